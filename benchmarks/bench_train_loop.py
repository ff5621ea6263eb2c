"""What the training loop adds to the model's own work: `tdbs.train` beside a bare loop on ready tensors.

    python -m benchmarks.bench_train_loop --model MODEL --mirror DIR [--steps 40] [--compile] [--json]

Both train the same updates of SST-2 with the same weights, update by update in turns, each beginning in its turn: what
the machine does besides lasts longer than one. The bare loop is what anyone would write: tensors that are ready before
the clock starts, autocast, backward, clipping, fused AdamW, nothing noted. There are two of it:
one runs the last layer on all tokens, as transformers does (`plain`), one on first tokens, as tdbs does (`equal`); both
have our gradients of embeddings by rows. So what makes a step shorter is not taken for a loop without cost. The loop of
tdbs makes its batches from the plan, seeds each step, makes its record and writes the log. With --compile it is timed
once more with compiled layers, on weights of its own.

`of the best`: real tokens a second of our loop over those of the best of some shapes without padding, 64 samples of one
length, timed as single steps on the same learner in the same run. Longer samples share the fixed costs of an update
among more tokens; `of as many` is the same over 64 samples of the mean length.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from benchmarks.accuracy_runs import prepared_task
from benchmarks.common import print_rows
from tdbs.analysis.profile.shapes import synthetic_batch
from tdbs.analysis.profile.timing import timed_step
from tdbs.cli.common import quiet_libraries
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import Manifest
from tdbs.settings import TrainSettings
from tdbs.train.batches import Batch
from tdbs.train.feed import Feed, make_feed, open_training_data
from tdbs.train.gradients import MAX_GRADIENT_NORM, dense_gradients
from tdbs.train.learner import Learner, make_learner
from tdbs.train.loop import StepPlace, run_step, shares_of
from tdbs.train.models.inputs import model_inputs, row_inputs
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.resolved import resolve_settings
from tdbs.train.rows.heads import body_on_rows, ends_on_first_tokens
from tdbs.train.rows.models import inputs_of_rows, on_rows
from tdbs.train.rows.sequences import Sequences, sequences_of

ROUNDS = 5  # of all updates; the first is left out
SAMPLES, LENGTHS = 64, (8, 16, 32, 64, 128)  # of the shapes
REPEATS = 9  # of a shape's step; the first is left out
RATE = 1e-6  # both loops share the weights, which hardly move

Ready = tuple[dict[str, Any], Sequences | None, torch.Tensor]


def ready_tensors(batch: Batch, learner: Learner) -> Ready:
    """Return what the bare loop is given for a batch."""
    device = learner.accelerator.device
    labels = torch.from_numpy(batch.labels).to(device)
    if batch.starts_B is None:
        return model_inputs(batch, learner.rules, device=device), None, labels
    sequences = sequences_of(batch, device=device)
    inputs = row_inputs(batch, learner.rules, sequences, device=device)
    return inputs | inputs_of_rows(learner.model, sequences, inputs["input_ids"]), sequences, labels


def bare_step(learner: Learner, ready: Ready, *, equal: bool) -> None:
    """Update the model once, with nothing around it."""
    inputs, sequences, labels = ready
    with learner.accelerator.autocast():
        if sequences is None:
            with ends_on_first_tokens(learner.model) if equal else nullcontext():
                logits = learner.prepared(**inputs).logits
        else:
            with on_rows(learner.model, sequences), body_on_rows(learner.model, sequences, inputs) as tokens_read:
                logits = learner.prepared(**tokens_read).logits
        loss = functional.cross_entropy(logits.float(), labels)
    loss.backward()
    with dense_gradients(learner.prepared):
        torch.nn.utils.clip_grad_norm_(learner.prepared.parameters(), MAX_GRADIENT_NORM)
        learner.optimizer.step()
    learner.optimizer.zero_grad()


def bare_loop(learner: Learner, ready: Sequence[Ready], *, equal: bool) -> Iterator[None]:
    """Make the updates of the bare loop, one for each item that is asked for."""
    for each in ready:
        bare_step(learner, each, equal=equal)
        yield


def our_loop(learner: Learner, feed: Feed, *, steps: int, log: Path) -> Iterator[None]:
    """Make the updates of `tdbs.train`, one for each item that is asked for."""
    made = itertools.islice(feed.steps(feed.plans[0]), steps)
    with log.open("a", encoding="utf-8") as file:
        for step, (batches, share) in enumerate(shares_of(learner, made)):
            record, _ = run_step(learner, batches, share, StepPlace(step=step, rate=RATE, seed=1))
            file.write(json.dumps(asdict(record)) + "\n")
            yield


def in_turns(loops: Mapping[str, Callable[[], Iterator[None]]], *, steps: int) -> dict[str, list[float]]:
    """Return the seconds of each update of each loop; the first round over all updates is left out."""
    seconds: dict[str, list[float]] = {kind: [] for kind in loops}
    kinds = list(loops)
    for number in range(ROUNDS):
        running = {kind: begin() for kind, begin in loops.items()}
        for step in range(steps):
            first = (number + step) % len(kinds)
            for kind in (*kinds[first:], *kinds[:first]):
                clock = time.perf_counter()
                next(running[kind])
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                seconds[kind].append(time.perf_counter() - clock)
        for loop in running.values():
            next(loop, None)
    return {kind: found[steps:] for kind, found in seconds.items()}


def shape_rate(learner: Learner, manifest: Manifest, length: int) -> float:
    """Return the tokens a second of full batches of one length."""
    steps = [[synthetic_batch(manifest, "padded", samples=SAMPLES, length=length)] for _ in range(REPEATS)]
    return SAMPLES * length / statistics.median([timed_step(learner, step) for step in steps][1:])


def row_of(
    dataset: PreparedDataset, name: str, *, model: str, steps: int, compiled: bool
) -> dict[str, float | int | str]:
    """Return the times of a strategy's steps in each loop."""
    strategy = resolve_strategy(name, dataset.manifest.task)
    feed = make_feed(open_training_data(dataset), strategy, seed=1, epochs=1)

    def learner_of(*, compiled: bool) -> Learner:
        settings = resolve_settings(TrainSettings(model=model, compiled=compiled), dataset.manifest)
        learner = make_learner(dataset, settings, seed=1, dropout=0.1, in_rows=strategy.in_rows)
        learner.prepared.train()
        return learner

    learner = learner_of(compiled=False)
    for group in learner.optimizer.param_groups:
        group["lr"] = RATE
    ready = [ready_tensors(batch, learner) for (batch,) in itertools.islice(feed.steps(feed.plans[0]), steps)]
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "steps.jsonl"
        loops = {
            "bare, plain": partial(bare_loop, learner, ready, equal=False),
            "bare, equal": partial(bare_loop, learner, ready, equal=True),
            "tdbs": partial(our_loop, learner, feed, steps=steps, log=log),
        }
        if compiled:
            loops["tdbs, compiled"] = partial(our_loop, learner_of(compiled=True), feed, steps=steps, log=log)
        times = in_turns(loops, steps=steps)
    found = {kind: statistics.mean(seconds) for kind, seconds in times.items()}
    rates = {length: shape_rate(learner, dataset.manifest, length) for length in LENGTHS}
    best = max(rates, key=rates.__getitem__)
    kept = int(sum(batch.lengths_B.sum() for (batch,) in itertools.islice(feed.steps(feed.plans[0]), steps))) / steps
    mean = round(kept / SAMPLES)
    alike = shape_rate(learner, dataset.manifest, mean)
    low, middle, high = statistics.quantiles(pairs(times["tdbs"], times["bare, equal"]), n=4)
    return {
        "strategy": name,
        **{f"{kind}, ms a step": 1e3 * seconds for kind, seconds in found.items()},
        "tdbs over bare, equal": f"{middle:+.1%} (quartiles {low:+.1%}, {high:+.1%})",
        "real tokens/s": int(kept / found["tdbs"]),
        "of the best": f"{kept / found['tdbs'] / rates[best]:.2f} ({rates[best]:,.0f} at {SAMPLES} x {best})",
        "of as many": f"{kept / found['tdbs'] / alike:.2f} ({alike:,.0f} at {SAMPLES} x {mean})",
    }


def pairs(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return what our loop takes more than theirs, update by update."""
    return [mine / other - 1 for mine, other in zip(ours, theirs, strict=True)]


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("data/accuracy"), help="folder of the prepared dataset")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--compile", action="store_true", help="time compiled layers too")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    quiet_libraries()
    dataset = prepared_task("sst2-8000", model=arguments.model, mirror=arguments.mirror, out=arguments.data)
    rows = [
        row_of(dataset, name, model=arguments.model, steps=arguments.steps, compiled=arguments.compile)
        for name in ("unpadded", "reach", "random")
    ]
    print_rows(rows, as_json=arguments.json, threads=torch.get_num_threads(), rounds=ROUNDS - 1, steps=arguments.steps)


if __name__ == "__main__":
    main()
