"""Edges that `--bucket-width auto` chooses for a split, and what they cost beside buckets of one width."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tdbs.arrays import IntArray
from tdbs.pipeline.lengths import bucket_edges
from tdbs.pipeline.manifest import Manifest
from tdbs.train.planning.batching import epoch_caps
from tdbs.train.planning.edges import AUTO, BatchCosts, predicted_cost, width_costs, width_of, worthwhile_edges
from tdbs.train.planning.strategies import Strategy

# Shapes: L1 = max_length + 1, E edges.


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictedEdges:
    """What the batches of an epoch cost, in tokens of the linear layers; fields are JSON keys of `tdbs inspect`."""

    buckets: int
    cost: float  # with the chosen edges
    best_fixed_width: int  # from 1 to 64 lengths; of several, the widest: it has the fewest shapes
    best_fixed_cost: float


def edges_to_show(
    manifest: Manifest, split: str, width: str | None, auto: Callable[..., Strategy], *, epoch: int
) -> tuple[IntArray, PredictedEdges | None]:
    """Return the edges (E) in which `tdbs inspect` shows a split, and their costs if they are chosen.

    Args:
        manifest: The dataset's.
        split: Name of the split.
        width: As on the command line: a number, or auto. None: the edges of the shards.
        auto: Returns the strategy whose edges to choose, from its overrides.
        epoch: Number of the epoch, from 0.

    Returns:
        The edges, and with `auto` what they cost.

    Raises:
        ConfigError: The width is neither a number from 1 nor auto, or the strategy has no edges to choose.
    """
    if width is None:
        return np.array(manifest.bucket_edges), None
    number = width_of(width)
    if not isinstance(number, str):
        return bucket_edges(manifest.max_length, number), None
    strategy = auto(overrides={"bucket_width": AUTO})
    return predict_edges(manifest.splits[split].lengths_L1, strategy, max_length=manifest.max_length, epoch=epoch)


def predict_edges(
    counts_L1: IntArray, strategy: Strategy, *, max_length: int, epoch: int
) -> tuple[IntArray, PredictedEdges]:
    """Return the edges (E) of an epoch with `--bucket-width auto`, and their cost beside the best of fixed widths.

    Args:
        counts_L1: Samples of each length.
        strategy: A resolved strategy of buckets; it has the caps, and the costs of a batch.
        max_length: Greatest length that the dataset may have, in tokens.
        epoch: Number of the epoch, from 0: caps may grow.

    Returns:
        The edges, and the predicted costs.
    """
    costs, rbm = strategy.batch_costs or BatchCosts(), strategy.rbm
    counts_L1 = np.pad(counts_L1, (0, max_length + 1 - len(counts_L1)))
    caps_L1 = epoch_caps(strategy, max_length=max_length, epoch=epoch)
    edges_E = worthwhile_edges(counts_L1, caps_L1, costs, rbm=rbm)
    fixed = width_costs(counts_L1, caps_L1, costs, rbm=rbm)
    best = max(fixed, key=lambda width: (-fixed[width], width))
    return edges_E, PredictedEdges(
        buckets=len(edges_E) - 1,
        cost=predicted_cost(counts_L1, edges_E, caps_L1, costs, rbm=rbm),
        best_fixed_width=best,
        best_fixed_cost=fixed[best],
    )
