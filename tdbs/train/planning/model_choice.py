"""The model to train, and what it decides before training: which strategies it can run, and the base rate.

Read from config.json alone, without torch or transformers: a dry run resolves its strategy as training does.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tdbs.data.sample import SAMPLE_TASK
from tdbs.errors import ConfigError, at_least
from tdbs.model_families import takes_rows_of_several
from tdbs.pipeline.manifest import Manifest
from tdbs.train.planning.model_size import ModelSize, model_size

TINY = "tiny"  # the model with random weights that the sample is trained with
DEFAULT_RATE = 5e-5  # in the paper's grid of 3, 4 and 5 e-5
TINY_RATE = 1e-3  # random weights need more
TINY_SIZES = {  # of `tiny`, as the configuration of a BERT has them
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 512,
}
TINY_POSITIONS = 128  # or the dataset's longest sample
_CONFIG_NAME = "config.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelChoice:
    """The model of a run, by name, and the facts known without loading it."""

    name: str  # hub name or folder, or `tiny`
    model_type: str | None  # as in config.json; None: no configuration was found
    in_rows: bool  # whether a row may hold several samples; assumed if no configuration was found
    size: ModelSize | None = None  # None: no configuration was found, or its family's memory was not counted

    @property
    def rate(self) -> float:
        """The base rate of a run that names none."""
        return default_rate(self.name)

    @property
    def assumption(self) -> str | None:
        """What a plan without the model's configuration assumes; None if it was found."""
        if self.model_type is not None or not self.in_rows:
            return None
        return (
            f"No configuration of the model {shown_model(self.name)} was found. tdbs assumes that its rows can hold "
            "several samples, as BERT's can. Pass --model with the model to train."
        )


def default_model(manifest: Manifest) -> str:
    """Return the model of a run that names none: the one the dataset was tokenized for; `tiny` for the sample."""
    return TINY if manifest.source == SAMPLE_TASK.name else manifest.tokenizer.source


def shown_model(model_name: str) -> str:
    """Return a model's name as results show it: for a folder its last two parts, never a machine's whole path."""
    return "/".join(model_name.replace("\\", "/").rstrip("/").split("/")[-2:])


def default_rate(model_name: str) -> float:
    """Return the base rate of a run that names none."""
    return TINY_RATE if model_name == TINY else DEFAULT_RATE


def choose_model(name: str | None, manifest: Manifest) -> ModelChoice:
    """Return the model that a run of this name trains; without a name the dataset's default.

    Never fails: if no configuration is found, the choice says so, and training itself will report the reason.
    """
    name = name or default_model(manifest)
    is_writer = manifest.task.kind == "seq2seq"
    config = _tiny_config(manifest, is_writer=is_writer) if name == TINY else find_config(name)
    model_type = config.get("model_type")
    return ModelChoice(
        name=name,
        model_type=model_type if isinstance(model_type, str) else None,
        in_rows=takes_rows_of_several(config, writes=is_writer) if isinstance(model_type, str) else not is_writer,
        size=model_size(config),
    )


def check_frozen_layers(choice: ModelChoice, count: int | None) -> None:
    """Refuse to freeze more layers than a model has, if its sizes are known."""
    if count is not None and choice.size is not None:
        at_least("--freeze-layers", count, 0)
        refuse_frozen(count, layers=choice.size.layers)


def refuse_frozen(count: int, *, layers: int) -> None:
    """Refuse to freeze more layers than there are."""
    if count > layers:
        raise ConfigError(
            f"--freeze-layers is {count}, but the model has {layers} layers.", next_step=f"Pass {layers} or less."
        )


def left_out_note(names: Sequence[str], model: ModelChoice) -> str | None:
    """Return a note on the strategies that are left out: because of the model, else of the task (runnable.py)."""
    if not names:
        return None
    kind = "" if model.model_type is None else f" ({model.model_type})"
    verb = "is" if len(names) == 1 else "are"
    listed = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    reason = "samples are of several sequences"
    if not model.in_rows:
        reason = f"{shown_model(model.name)}{kind} takes one sample a row"
    return f"{listed} {verb} left out: {reason}."


def _tiny_config(manifest: Manifest, *, is_writer: bool) -> dict[str, Any]:
    """Return what planning needs of the configuration of `tiny` (models/load.py makes the whole)."""
    if is_writer:
        return {"model_type": "t5"}
    return {
        "model_type": "bert",
        "vocab_size": manifest.tokenizer.vocabulary_size,
        "max_position_embeddings": max(manifest.longest_input, TINY_POSITIONS),
        "type_vocab_size": 2,
        **TINY_SIZES,
    }


def find_config(name: str) -> dict[str, Any]:
    """Return the configuration of a model by folder or hub name; empty if there is none that can be read."""
    folder = Path(name)
    place = folder / _CONFIG_NAME if folder.is_dir() else _hub_config(name)
    try:
        found = json.loads(place.read_text(encoding="utf-8")) if place is not None else {}
    except (OSError, ValueError):  # no such file, or no JSON
        return {}
    return found if isinstance(found, dict) else {}


def _hub_config(name: str) -> Path | None:
    """Return where the hub's cache has a model's configuration, downloaded if needed; None if that fails."""
    if Path(name).is_absolute() or name.startswith(".") or name.count("/") > 1:
        return None  # a folder that is not there
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    try:
        cached = try_to_load_from_cache(name, _CONFIG_NAME)
        return Path(cached if isinstance(cached, str) else hf_hub_download(name, _CONFIG_NAME))
    except Exception:  # a name that cannot be one, no such model, or one of many network errors
        return None
