"""Whether `unpadded` and `sorted` make the updates of padded random batches: weights after an epoch, in float64.

    python -m benchmarks.accuracy_weights --model MODEL --mirror DIR [--task rte] [--steps N]

An epoch of the same updates with each, without dropout, at a constant rate. In float64 rounding is too small to carry
far, so what is left between the weights is what the executions do. Beside it stand the distance that training moved the
weights, and the distance between two seeds of `random`. Writes reports/accuracy/weights.md.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

import torch

from benchmarks.accuracy import RECORDS
from benchmarks.accuracy_runs import prepared_task
from benchmarks.common import markdown_table, provenance
from tdbs.cli.common import quiet_libraries
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.settings import TrainSettings
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.learner import make_learner
from tdbs.train.loop import StepPlace, run_step, shares_of
from tdbs.train.planning.model_choice import shown_model
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.resolved import resolve_settings

RATE, SEED = 1e-4, 1


def weights_after(dataset: PreparedDataset, name: str, *, model: str, seed: int, steps: int | None) -> torch.Tensor:
    """Return all weights of the model after an epoch (or some steps), one after another; 0 steps: before training."""
    settings = resolve_settings(TrainSettings(model=model, precision="fp32"), dataset.manifest)
    strategy = resolve_strategy(name, dataset.manifest.task)
    learner = make_learner(dataset, settings, seed=seed, dropout=0.0, in_rows=strategy.in_rows)
    learner.model.double()
    feed = make_feed(open_training_data(dataset), strategy, seed=seed, epochs=1)
    shares = itertools.islice(shares_of(learner, feed.steps(feed.plans[0])), steps)
    for step, (batches, share) in enumerate(shares):
        run_step(learner, batches, share, StepPlace(step=step, rate=RATE, seed=seed))
    return torch.cat([parameter.detach().flatten() for parameter in learner.model.parameters()])


def main() -> None:
    """Train, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--task", default="rte")
    parser.add_argument("--steps", type=int, help="instead of an epoch")
    options = parser.parse_args()
    quiet_libraries()
    with tempfile.TemporaryDirectory() as folder:
        dataset = prepared_task(options.task, model=options.model, mirror=options.mirror, out=Path(folder))

        def after(name: str, *, seed: int = SEED, steps: int | None = options.steps) -> torch.Tensor:
            return weights_after(dataset, name, model=options.model, seed=seed, steps=steps)

        begun, padded = after("random", steps=0), after("random")
        arms = {
            "`unpadded`": (padded, after("unpadded")),
            "`sorted`": (padded, after("sorted")),
            "`random` itself, again": (padded, after("random")),
            "`random`, another seed": (padded, after("random", seed=SEED + 1)),
            "how far training went": (padded, begun),
        }
    rows = [
        {
            "from `random`": name,
            "largest difference": f"{(one - other).abs().max():.1e}",
            "distance, of the way that training went": f"{(one - other).norm() / (padded - begun).norm():.1e}",
        }
        for name, (one, other) in arms.items()
    ]
    length = "An epoch" if options.steps is None else f"{options.steps} updates"
    page = [
        "# Weights after the same updates, in float64",
        f"{length} of {options.task}, {shown_model(options.model)} ({len(begun) / 1e6:.1f} M parameters), no dropout, "
        f"base batch 64, rate {RATE:g}. Another seed has another order and another head.",
        markdown_table(rows),
        f"{'; '.join(provenance().values())}. Made by `python -m benchmarks.accuracy_weights --model MODEL --mirror "
        f"DIR --task {options.task}`.",
    ]
    (RECORDS.parent / "weights.md").write_text("\n\n".join(page) + "\n", encoding="utf-8")
    print("\n\n".join(page))


if __name__ == "__main__":
    main()
