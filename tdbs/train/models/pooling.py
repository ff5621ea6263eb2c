"""Pooling: the embedding of a sequence from the last hidden states of its tokens, in rows of several or padded.

Where a model's folder says how (sentence-transformers' modules.json), that holds unless the user says otherwise.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional

from tdbs.errors import ModelError
from tdbs.fields import InnerFolder, PlainText
from tdbs.model_families import family_of
from tdbs.objective_settings import PoolingMode
from tdbs.records import read_json, read_record, record_of
from tdbs.train.batches import Batch
from tdbs.train.device import to_device
from tdbs.train.models.sentence_settings import MODULES_NAME, SENTENCE_FILE, sentence_folder
from tdbs.train.rows.sequences import Sequences, means_of_samples

# Shapes: R rows of W tokens (R x W = F), B sequences, L their padded length, E entries of a hidden state.

_CONFIG_NAME = "config.json"
_MODES: dict[str, PoolingMode] = {"mean": "mean", "cls": "cls", "lasttoken": "last"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Module:
    """One of the modules that sentence-transformers runs, one after the other."""

    type: PlainText  # name of its class
    path: InnerFolder = ""  # below the model's


@dataclass(frozen=True, kw_only=True, slots=True)
class _PoolingConfig:
    """How a module pools: a name, or a flag for each mode."""

    pooling_mode: str | tuple[str, ...] | None = None
    pooling_mode_cls_token: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_lasttoken: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Pooling:
    """How an embedding is made of a sequence's hidden states."""

    mode: PoolingMode
    normalize: bool = False  # embeddings have the length 1


def choose_pooling(name: str, model_type: str, *, mode: PoolingMode | None, normalize: bool) -> Pooling:
    """Return the pooling of a model: as asked, else as its folder says, else a mean; decoders read the last token.

    The model is named as a folder, or as on the hub.
    """
    saved = saved_pooling(sentence_folder(name), mode=mode)
    if saved is not None:
        return Pooling(mode=saved.mode, normalize=normalize or saved.normalize)
    rows = family_of(model_type).rows
    reads_last = rows is not None and rows.reads == "last"
    return Pooling(mode=mode or ("last" if reads_last else "mean"), normalize=normalize)


def pool_rows(hidden_RWE: torch.Tensor, sequences: Sequences, pooling: Pooling) -> torch.Tensor:
    """Return the embeddings of sequences that share rows (B x E)."""
    hidden_FE = hidden_RWE.flatten(0, 1)
    if pooling.mode == "cls":
        pooled_BE = hidden_FE.index_select(0, sequences.starts_B)
    elif pooling.mode == "last":
        pooled_BE = hidden_FE.index_select(0, sequences.starts_B + sequences.lengths_B - 1)
    else:
        pooled_BE = means_of_samples(hidden_RWE, sequences)
    return _finished(pooled_BE, pooling)


def pool_padded(hidden_BLE: torch.Tensor, batch: Batch, pooling: Pooling, *, pads_left: bool) -> torch.Tensor:
    """Return the embeddings of sequences with a row each (B x E)."""
    lengths_B = to_device(batch.lengths_B, hidden_BLE.device)
    width = hidden_BLE.shape[1]
    first_B = width - lengths_B if pads_left else torch.zeros_like(lengths_B)
    row_B = torch.arange(len(lengths_B), device=hidden_BLE.device)
    if pooling.mode == "cls":
        return _finished(hidden_BLE[row_B, first_B], pooling)
    if pooling.mode == "last":
        return _finished(hidden_BLE[row_B, first_B + lengths_B - 1], pooling)
    rank_BL = torch.arange(width, device=hidden_BLE.device) - first_B[:, None]
    real_BL = (rank_BL >= 0) & (rank_BL < lengths_B[:, None])
    sums_BE = (hidden_BLE * real_BL[..., None]).sum(dim=1)
    return _finished(sums_BE / lengths_B[:, None], pooling)


def saved_pooling(folder: Path, *, mode: PoolingMode | None = None) -> Pooling | None:
    """Return how a folder of sentence-transformers pools, in its own mode if none is given; None if it is not one.

    Raises ModelError if it has modules that tdbs does not know, pools otherwise, or has a damaged file.
    """
    place = folder / MODULES_NAME
    if not place.is_file():
        return None
    normalize = False
    for module in record_of(read_json(place, SENTENCE_FILE), list[_Module], SENTENCE_FILE, named=str(place)):
        name = module.type.rpartition(".")[2]
        if name == "Pooling":
            mode = mode or _mode_of(folder / module.path)
        elif name == "Normalize":
            normalize = True
        elif name != "Transformer":
            raise ModelError(
                f"The model {folder} has a module {name} behind its transformer, which tdbs does not know.",
                next_step="Pass a model with a transformer, pooling and normalization alone.",
            )
    return None if mode is None else Pooling(mode=mode, normalize=normalize)


def _mode_of(folder: Path) -> PoolingMode:
    """Return the mode of a Pooling module: by its name, or by the one flag that older versions set."""
    config = read_record(folder / _CONFIG_NAME, _PoolingConfig, SENTENCE_FILE)
    flags = {
        "cls": config.pooling_mode_cls_token,
        "mean": config.pooling_mode_mean_tokens,
        "lasttoken": config.pooling_mode_lasttoken,
        "max": config.pooling_mode_max_tokens,
        "mean_sqrt_len": config.pooling_mode_mean_sqrt_len_tokens,
        "weightedmean": config.pooling_mode_weightedmean_tokens,
    }
    found = [name for name, flag in flags.items() if flag]
    if config.pooling_mode is not None:
        found = [config.pooling_mode] if isinstance(config.pooling_mode, str) else list(config.pooling_mode)
    if len(found) != 1 or found[0] not in _MODES:
        raise ModelError(
            f"The model in {folder.parent} pools by {' and '.join(found) or 'nothing'}, which tdbs does not know.",
            next_step="To train it with another, pass --pooling mean, cls or last.",
        )
    return _MODES[found[0]]


def _finished(pooled_BE: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """Return embeddings of at least 32 bits, with the length 1 if that is asked."""
    full_BE = pooled_BE.to(torch.promote_types(pooled_BE.dtype, torch.float32))
    return functional.normalize(full_BE, dim=-1) if pooling.normalize else full_BE
