"""Points of a profile: shapes of steps, each with what is in it and the seconds that it takes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tdbs.analysis.profile_shapes import Shape
from tdbs.analysis.step_timer import ROUNDS, Timing, time_in_rounds
from tdbs.analysis.synthetic import synthetic_batch
from tdbs.analysis.work import COUNTS, batches_work
from tdbs.pipeline.manifest import Manifest
from tdbs.train.batches import Batch
from tdbs.train.loop import Learner

_VARIANTS = 5  # of an unpadded step: rows of other lengths, as in training

Progress = Callable[[str], None]


def timed_points(
    learners: Mapping[bool, Learner],
    manifest: Manifest,
    kernel: str,
    shapes: Sequence[Shape],
    *,
    rounds: int = ROUNDS,
    progress: Progress = lambda _message: None,
) -> list[dict[str, Any]]:
    """Return a point for each shape that the device holds; `learners`: without and with dropout."""
    steps = [_variants(manifest, shape) for shape in shapes]

    def tell(turn: int, place: int) -> None:
        shape = shapes[place]
        progress(
            f"{kernel} {shape.execution} {shape.samples} x {shape.length} ({place + 1} of {len(shapes)}), round {turn}"
        )

    timings = [
        Timing(learner=learners[shape.dropout], variants=variants)
        for shape, variants in zip(shapes, steps, strict=True)
    ]
    points = []
    for shape, variants, found in zip(
        shapes, steps, time_in_rounds(timings, rounds=rounds, progress=tell), strict=True
    ):
        if found is None:
            continue
        work_F = np.mean([batches_work(step, target_length=shape.target_length) for step in variants], axis=0)
        points.append(
            {
                "execution": shape.execution,
                "attention": kernel,
                "batch_size": shape.samples,
                "length": shape.length,
                "calls": shape.calls,
                "dropout": shape.dropout,
                "padding": shape.padding,
                "tokens": round(work_F[COUNTS.index("tokens")] / shape.calls),
                "seconds": found.seconds,
                "spread": found.spread,
                "work": dict(zip(COUNTS, work_F.tolist(), strict=True)),
            }
        )
    return points


def _variants(manifest: Manifest, shape: Shape) -> list[list[Batch]]:
    """Return the batches of a step, in as many ways as it is timed."""
    batches = [
        synthetic_batch(
            manifest,
            shape.execution,
            samples=shape.samples,
            length=shape.length,
            target_length=shape.target_length,
            padding=shape.padding,
            variant=variant,
        )
        for variant in range(_VARIANTS if shape.execution == "unpadded" else 1)
    ]
    return [[batch] * shape.calls for batch in batches]
