"""Batches without a dataset: random tokens in the shapes that a profile times, labelled as the kind of task asks."""

import numpy as np

from tdbs import rng
from tdbs.arrays import IntArray
from tdbs.pipeline.manifest import Manifest
from tdbs.train.batches import Batch
from tdbs.train.plan import row_width
from tdbs.train.strategies import Execution
from tdbs.train.targets import Labels

# Shapes: B samples, R rows of W tokens, L the longest sample, M the targets' length, C outputs.

_SHORTEST = 0.25  # of the longest: spread lengths lie evenly between


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
    padding, have lengths from a quarter of `length` up, or a little less by the variant.
    """
    chance = rng.stream(rng.Draw.SYNTHETIC_BATCH, seed=0)
    if execution == "packed":
        a_row = min(5, length)
        ends = np.arange(1, a_row + 1) * length // a_row
        lengths_B: IntArray = np.tile(np.append(ends[0], ends[1:] - ends[:-1]), samples)
        starts_B = np.cumsum(lengths_B) - lengths_B
        rows, width = samples, length
    else:
        shortest = max(int(length * _SHORTEST) - variant, 1) if execution == "unpadded" or padding else length
        lengths_B = np.linspace(shortest, length, samples).astype(np.int64)
        lengths_B[-1] = length
        starts_B = np.cumsum(lengths_B) - lengths_B
        rows, width = (1, int(row_width(lengths_B.sum()))) if execution == "unpadded" else (samples, length)
    ids_RW = chance.integers(0, manifest.tokenizer.vocabulary_size, (rows, width))
    return Batch(
        sample_ids_B=np.arange(len(lengths_B)),
        input_ids_RW=ids_RW,
        lengths_B=lengths_B,
        segment_starts_B=lengths_B // 2 if manifest.task.is_pair else None,
        labels=_labels(manifest, lengths_B, target_length, chance),
        execution=execution,
        starts_B=starts_B if execution in ("packed", "unpadded") else None,
    )


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
