"""The inputs of a transformers model for a batch: ids, mask and segment ids, as its own tokenizer makes them.

Segment ids follow from a sample's length and where its second text starts, since special tokens stand in fixed
places (pipeline/tokens/rules.py). Batches have their padding on the right; a head that reads the last token of a row
gets it on the left.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer

from tdbs.arrays import IntArray
from tdbs.data.tasks import Task
from tdbs.errors import ModelError
from tdbs.pipeline.dataset import PreparedDataset, read_tokenizer
from tdbs.pipeline.manifest import TokenizerInfo
from tdbs.pipeline.tokens.rules import Layout, Template, layout_of
from tdbs.train.batches import Batch
from tdbs.train.device import to_device
from tdbs.train.models.pooling import Pooling
from tdbs.train.rows.sequences import Sequences

# Shapes: B samples of the batch, L its padded length, R rows of W tokens (R x W = F), C outputs.


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleFormat:
    """The format of a model's samples: their task, the tokenizer that makes them, and how long they may be."""

    task: Task
    info: TokenizerInfo
    backend: Tokenizer
    layout: Layout | None  # where the tokenizer puts special tokens; None: that cannot be read from it
    max_length: int

    @property
    def template(self) -> Template | None:
        """Where special tokens stand in a sample; None: that cannot be read from the tokenizer."""
        return None if self.layout is None else self.layout.template(pair=self.task.is_pair)


def format_of(dataset: PreparedDataset) -> SampleFormat:
    """Return the format of a dataset's samples. Raises DatasetError if the tokenizer that it carries is damaged."""
    manifest, backend = dataset.manifest, read_tokenizer(dataset)
    return SampleFormat(
        task=manifest.task,
        info=manifest.tokenizer,
        backend=backend,
        layout=layout_of(backend),
        max_length=manifest.longest_input,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRules:
    """How a model receives samples, and gives embeddings; made once, when it is loaded (load.py)."""

    # id of padding: the model's own, which decoders look for, or another one if its head looks for that; None: the
    # configuration has none, and each batch gets an id that ends none of its samples
    pad_id: int | None
    layout: Layout | None = None  # of the tokenizer whose segment ids the model receives; None: it receives none
    pads_left: bool = False  # whether padding is on the left
    token_names: tuple[tuple[str, str], ...] = ()  # special tokens by name, as eos_token: saved with its tokenizer
    pooling: Pooling | None = None  # how embeddings are made of its hidden states; None: it has a head
    end_id: int | None = None  # end token: the head reads a row's last one, and rows of one call have equally many


def model_inputs(batch: Batch, rules: InputRules, *, device: torch.device) -> dict[str, torch.Tensor]:
    """Return a model's inputs for a batch of one sample a row, by their names in transformers."""
    input_ids_RW, lengths_B = batch.input_ids_RW, batch.lengths_B
    width = input_ids_RW.shape[1]
    rank_L = np.arange(width)
    rank_BL = rank_L - (width - lengths_B)[:, None] if rules.pads_left else rank_L[None]
    if rules.pads_left:
        input_ids_RW = np.take_along_axis(input_ids_RW, rank_BL % width, axis=1)
    tensors = {}
    if has_padding(batch):
        real_BL = (rank_BL >= 0) & (rank_BL < lengths_B[:, None])
        filler = last_absent(batch) if rules.pad_id is None else rules.pad_id
        input_ids_RW = np.where(real_BL, input_ids_RW, filler)
        tensors["attention_mask"] = to_device(real_BL.astype(np.int64), device)
    tensors["input_ids"] = to_device(input_ids_RW, device)
    if rules.layout is not None:
        starts_B = None if batch.segment_starts_B is None else batch.segment_starts_B[:, None]
        tensors["token_type_ids"] = to_device(segment_ids(rules.layout, rank_BL, lengths_B[:, None], starts_B), device)
    return tensors


def last_absent(batch: Batch) -> int:
    """Return the first token id that no sample of the batch ends with."""
    width = batch.input_ids_RW.shape[1]
    starts_B = np.arange(len(batch.lengths_B)) * width if batch.starts_B is None else batch.starts_B
    last_B = batch.input_ids_RW.ravel()[starts_B + batch.lengths_B - 1]
    return int(np.setdiff1d(np.arange(len(last_B) + 1), last_B)[0])


def has_padding(batch: Batch) -> bool:
    """Return whether some row of a batch is not full.

    If none is, models are called without an attention mask: transformers' models treat its absence as a mask of
    ones (tests/train/test_mask.py), and on CUDA scaled_dot_product_attention has faster kernels without one.
    """
    return bool(batch.lengths_B.min() < batch.input_ids_RW.shape[1])


def row_inputs(
    batch: Batch, rules: InputRules, sequences: Sequences, *, device: torch.device
) -> dict[str, torch.Tensor]:
    """Return a model's inputs, except positions, for a batch whose rows hold several samples."""
    input_ids_RW = to_device(batch.input_ids_RW, device)
    inputs = {"input_ids": input_ids_RW}
    if rules.layout is not None:
        # padding has sample -1; no token sees its segment ids
        starts_F = None
        if batch.segment_starts_B is not None:
            starts_F = to_device(batch.segment_starts_B, device)[sequences.sample_F]
        types_F = segment_ids(rules.layout, sequences.positions_F, sequences.lengths_B[sequences.sample_F], starts_F)
        inputs["token_type_ids"] = types_F.view_as(input_ids_RW)
    return inputs


def segment_ids(layout: Layout, rank: Any, length: Any, start: Any) -> Any:
    """Return the segment id of each token of some samples, 0 at padding: arrays or tensors of one shape.

    `rank` is each token's place in its sample, negative or beyond `length` at padding; `start` is the place of the
    sample's second text, None for a single text. Raises ModelError if the layout does not define them.
    """
    template = layout.template(pair=start is not None)
    if template is None:
        raise ModelError(
            "The model takes segment ids, but tdbs cannot read from its tokenizer how to count them.",
            next_step="Choose a tokenizer whose special tokens stand around the texts.",
        )
    where = torch.where if isinstance(rank, torch.Tensor) else np.where
    first, *others = template.text_types
    found = first + 0 * rank + 0 * length
    if start is not None:
        found = where(rank >= start, others[0], found)
    ends = [0, length] if start is None else [0, start, length]
    for number, (end, types) in enumerate(zip(ends, template.special_types, strict=True)):
        # special tokens stand before the end of what they close, the leading ones at the beginning
        begins = end - len(types) if number else end
        for place, kind in enumerate(types):
            found = where(rank == begins + place, kind, found)
    return where((rank >= 0) & (rank < length), found, 0)


def rows_by_ends(batch: Batch, rules: InputRules) -> list[IntArray] | None:
    """Return the rows of a batch that may share a call, if the head asks for equal numbers of end tokens.

    None: all of them. Models that read their last end token (BART, T5) refuse a batch in which one text has another
    end token inside; each text alone is fine.
    """
    if rules.end_id is None:
        return None
    real_BL = np.arange(batch.input_ids_RW.shape[1]) < batch.lengths_B[:, None]
    ends_B = ((batch.input_ids_RW == rules.end_id) & real_BL).sum(axis=1)
    counts = np.unique(ends_B)
    return None if len(counts) == 1 else [np.flatnonzero(ends_B == count) for count in counts]
