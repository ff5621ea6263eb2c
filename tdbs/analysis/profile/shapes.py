"""The steps that a profile times, and batches of random tokens in their shapes, labelled as the kind of task needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tdbs import rng
from tdbs.arrays import IntArray
from tdbs.data.tasks import Task, TaskKind
from tdbs.pipeline.manifest import Manifest
from tdbs.train.batches import Batch
from tdbs.train.planning.epoch_plan import row_width
from tdbs.train.planning.strategies import Execution
from tdbs.train.targets import Labels

# Shapes: B samples, R rows of W tokens, L the longest sample, M the targets' length, C outputs.

_CPU_TOKENS, _CUDA_TOKENS = 1 << 14, 1 << 16  # of the largest timed call, unless 64 of the longest samples are more
_BATCH_SIZES = (256, 64, 16, 4, 1)
_SHORTEST = 8
_ODD_LENGTHS = (0.3, 0.1)  # of the maximum: lengths that are not powers of two
_TARGET_SHARES = (4, 16)  # targets are a quarter and a sixteenth as long as their sources
_SEQUENCES: Mapping[TaskKind, int] = {"embedding": 2}  # of a sample: a query and its positive; else one
_SHORTEST_SHARE = 0.25  # of the longest: spread lengths lie evenly between


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A step to time: some equal calls of one batch size and length."""

    execution: Execution = "padded"
    samples: int  # packed: rows
    length: int
    target_length: int = 0
    calls: int = 1
    dropout: bool = False
    padding: bool = False  # padded rows that are not all full


def searched_lengths(max_length: int) -> list[int]:
    """Return the maximum and its halves, longest first: caps are searched at them, times measured at more."""
    shortest = min(_SHORTEST, max_length)
    return sorted({max(max_length >> shift, shortest) for shift in range(max_length.bit_length())}, reverse=True)


def target_length(manifest: Manifest, length: int) -> int:
    """Return the targets' length for a length of sources in the search of memory; 0: no sequences."""
    return max(length // _TARGET_SHARES[0], 1) if manifest.task.kind == "seq2seq" else 0


def grid_shapes(manifest: Manifest, device: str, *, in_rows: bool) -> list[Shape]:
    """Return the steps to time: a grid of batch sizes and lengths, longest first, then each way to run a batch."""
    longest = manifest.longest_input
    most = max(64 * longest, _CUDA_TOKENS if device == "cuda" else _CPU_TOKENS)
    odd = {max(int(longest * share), min(_SHORTEST, longest)) for share in _ODD_LENGTHS}
    lengths = sorted(odd.union(searched_lengths(longest)), reverse=True)
    half, quarter = max(longest // 2, 1), max(longest // 4, 1)
    shapes = [
        Shape(samples=size, length=length) for length in lengths for size in _BATCH_SIZES if size * length <= most
    ]
    shapes += [Shape(samples=16, length=quarter, calls=4), Shape(samples=4, length=half, calls=4)]
    short = min(16, longest)
    dropped = ((64, longest), (64, quarter), (16, half), (256, short), (64, short))
    shapes += [Shape(samples=size, length=length, dropout=True) for size, length in dropped]
    padded = ((64, longest), (64, half), (64, quarter), (16, half), (16, longest))
    shapes += [Shape(samples=size, length=length, padding=True) for size, length in padded]
    shapes += [Shape(samples=64, length=half, padding=True, dropout=True)]
    if in_rows:
        flat = ((64, longest), (64, half), (64, quarter), (16, half), (256, quarter))
        shapes += [Shape(execution="unpadded", samples=size, length=length) for size, length in flat]
        shapes += [Shape(execution="packed", samples=rows, length=longest) for rows in (32, 8, 2)]
        shapes += [
            Shape(execution="unpadded", samples=64, length=half, dropout=True),
            Shape(execution="packed", samples=8, length=longest, dropout=True),
        ]
    if manifest.task.is_grouped:
        return _of_sequences(manifest, shapes)
    return _with_targets(shapes) if manifest.task.kind == "seq2seq" else shapes


def kernel_shapes(manifest: Manifest) -> list[Shape]:
    """Return the few steps that attention kernels are compared by."""
    longest = manifest.longest_input
    sizes = ((64, longest), (64, max(longest // 8, 1)), (16, max(longest // 2, 1)))
    shapes = [Shape(samples=size, length=length) for size, length in sizes]
    return _with_targets(shapes) if manifest.task.kind == "seq2seq" else shapes


def overhead_shapes(manifest: Manifest) -> list[Shape]:
    """Return the steps that measure the framework's share: a tiny one, and a batch of short and long rows."""
    longest = manifest.longest_input
    sizes = ((1, min(_SHORTEST, longest)), (64, max(longest // 8, 1)), (64, longest))
    return [
        Shape(samples=_whole(manifest, size), length=length, target_length=target_length(manifest, length))
        for size, length in dict.fromkeys(sizes)
    ]


def synthetic_batch(
    manifest: Manifest,
    execution: Execution,
    *,
    samples: int,
    length: int,
    target_length: int = 0,
    padding: bool = False,
    variant: int = 0,
) -> Batch:
    """Return a batch of random tokens: samples of one length, or of spread lengths (with padding, or in one row).

    Packed rows are as wide as `length` and hold five samples or fewer each; unpadded ones, and those with
    padding, have lengths from a quarter of `length` up, or a little less by the variant. If samples have several
    sequences, `samples` counts these.
    """
    samples = _whole(manifest, samples)
    chance = rng.stream(rng.RandomPurpose.SYNTHETIC_BATCH, seed=0)
    if execution == "packed":
        a_row = min(5, length)
        ends = np.arange(1, a_row + 1) * length // a_row
        lengths_B: IntArray = np.tile(np.append(ends[0], ends[1:] - ends[:-1]), samples)
        starts_B = np.cumsum(lengths_B) - lengths_B
        rows, width = samples, length
    else:
        shortest = max(int(length * _SHORTEST_SHARE) - variant, 1) if execution == "unpadded" or padding else length
        lengths_B = np.linspace(shortest, length, samples).astype(np.int64)
        lengths_B[-1] = length
        starts_B = np.cumsum(lengths_B) - lengths_B
        rows, width = (1, int(row_width(lengths_B.sum()))) if execution == "unpadded" else (samples, length)
    ids_RW = chance.integers(0, manifest.tokenizer.vocabulary_size, (rows, width))
    a_sample = _SEQUENCES.get(manifest.task.kind, 1)
    is_grouped = manifest.task.is_grouped
    return Batch(
        sample_ids_B=np.arange(len(lengths_B) // a_sample),
        input_ids_RW=ids_RW,
        lengths_B=lengths_B,
        segment_starts_B=lengths_B // 2 if manifest.task.is_pair else None,
        labels=_sequence_labels(manifest.task, len(lengths_B), chance)
        if is_grouped
        else _labels(manifest, lengths_B, target_length, chance),
        execution=execution,
        starts_B=starts_B if execution in ("packed", "unpadded") else None,
        sequences_B=np.full(len(lengths_B) // a_sample, a_sample) if is_grouped else None,
    )


def _of_sequences(manifest: Manifest, shapes: Sequence[Shape]) -> list[Shape]:
    """Return the steps that samples of several sequences have: these are not packed."""
    whole = (replace(shape, samples=_whole(manifest, shape.samples)) for shape in shapes)
    return list(dict.fromkeys(shape for shape in whole if shape.execution != "packed"))


def _whole(manifest: Manifest, sequences: int) -> int:
    """Return a number of sequences that whole samples have."""
    a_sample = _SEQUENCES.get(manifest.task.kind, 1)
    return -(-sequences // a_sample) * a_sample


def _with_targets(shapes: Sequence[Shape]) -> list[Shape]:
    return [replace(shape, target_length=max(shape.length // share, 1)) for shape in shapes for share in _TARGET_SHARES]


def _labels(manifest: Manifest, lengths_B: IntArray, target_length: int, chance: np.random.Generator) -> Labels:
    task, count = manifest.task, len(lengths_B)
    if task.kind == "classification":
        return chance.integers(0, task.outputs, count)
    if task.kind == "regression":
        return chance.random((count, task.outputs)) if task.outputs > 1 else chance.random(count)
    if task.kind == "multi_label":
        return chance.integers(0, 2, (count, task.outputs)).astype(np.float32)
    if task.kind == "token_classification":
        return chance.integers(0, task.outputs, (count, int(lengths_B.max())))
    if task.kind == "question_answering":
        return np.zeros((count, 2), dtype=np.int64)
    return chance.integers(0, manifest.tokenizer.vocabulary_size, (count, target_length))


def _sequence_labels(task: Task, count: int, chance: np.random.Generator) -> Labels:
    if task.kind == "ranking":
        return chance.integers(0, 2, count).astype(np.float64)
    return chance.random(count) if task.columns.labels else np.arange(count)  # scores of pairs, or texts that differ
