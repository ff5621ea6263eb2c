"""Whether a device runs as fast as when it was profiled: a few of the profile's steps, timed again.

Shared machines and hot laptops change their speed by a quarter and more within minutes; a prediction cannot know.
"""

from tdbs.analysis.profile_shapes import kernel_shapes
from tdbs.analysis.timed_points import timed_points
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.device import resolve_execution
from tdbs.train.loop import make_learner
from tdbs.train.profile_file import Profile

_ROUNDS = 2
_SAME = ("attention", "dropout", "work")  # what makes two points the same step


def device_pace(
    dataset: PreparedDataset, profile: Profile, *, model: str, precision: str, attention: str
) -> float | None:
    """Return the seconds of steps now / then; None where the profile does not have these steps."""
    execution = resolve_execution(precision=precision, attention=attention)
    learner = make_learner(dataset, model, seed=0, dropout=0.0, execution=execution)
    learner.prepared.train()
    shapes = kernel_shapes(dataset.manifest)
    now = then = 0.0
    for point in timed_points({False: learner}, dataset.manifest, attention, shapes, rounds=_ROUNDS):
        old = [other for other in profile.points if all(other.get(name) == point[name] for name in _SAME)]
        if old:
            now, then = now + point["seconds"], then + old[0]["seconds"]
    return now / then if then else None
