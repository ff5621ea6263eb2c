"""A training step's forward and backward passes as a CUDA graph, beside the same step launched kernel by kernel.

    python -m benchmarks.bench_graphs --model MODEL --mirror DIR [--json]

Needs a CUDA device; benchmarks/gpu.sh runs it. Batches are full (no padding, no mask), of lengths that buckets give,
so each length has one fixed shape and one graph. Where a graph is much faster, small batches are bound by launches, and
fixed shapes pay without larger batches. `tdbs train` makes no graphs yet: this is to tell whether it should.
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

from benchmarks.accuracy_runs import prepared_task
from benchmarks.common import print_rows, timed
from tdbs.cli.common import quiet_libraries
from tdbs.settings import TrainSettings
from tdbs.train.learner import Learner, make_learner
from tdbs.train.resolved import resolve_settings

SIZES = (16, 64)
LENGTHS = (8, 16, 32, 64, 128)
ROUNDS, REPEATS = 7, 20


def passes_of(learner: Learner, input_ids_BL: torch.Tensor, labels_B: torch.Tensor) -> Callable[[], None]:
    """Return a function that runs forward and backward on tensors that stay where they are."""

    def passes() -> None:
        # weights cast to half precision in a graph would be the cast of its capture, for ever
        with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
            logits = learner.model(input_ids=input_ids_BL).logits
        functional.cross_entropy(logits.float(), labels_B).backward()

    return passes


def graph_of(learner: Learner, passes: Callable[[], None]) -> Callable[[], None]:
    """Return the passes as a graph, captured after a warm-up on a stream of its own, as torch's documentation asks."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            learner.optimizer.zero_grad(set_to_none=True)
            passes()
    torch.cuda.current_stream().wait_stream(stream)
    learner.optimizer.zero_grad(set_to_none=True)  # gradients are to lie in the graph's own memory
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        passes()
    return graph.replay


def milliseconds(run: Callable[[], None]) -> float:
    """Return the median milliseconds of a run, the first round left out."""

    def rounds() -> None:
        for _ in range(REPEATS):
            run()
        torch.cuda.synchronize()

    return 1e3 * statistics.median([timed(rounds) for _ in range(ROUNDS)][1:]) / REPEATS


def row_of(learner: Learner, *, size: int, length: int) -> dict[str, float | int | str]:
    """Return the times of one shape."""
    input_ids_BL = torch.randint(1_000, 20_000, (size, length), device="cuda")
    passes = passes_of(learner, input_ids_BL, torch.randint(0, 2, (size,), device="cuda"))
    eager = milliseconds(passes)
    graph = milliseconds(graph_of(learner, passes))
    learner.optimizer.zero_grad(set_to_none=True)
    return {
        "samples": size,
        "length": length,
        "launched, ms": eager,
        "graph, ms": graph,
        "speedup": eager / graph,
        "tokens/s as a graph": int(size * length / graph * 1e3),
    }


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("data/accuracy"), help="folder of the prepared dataset")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.exit(1, "This benchmark needs a CUDA device.\n")
    quiet_libraries()
    dataset = prepared_task("sst2-8000", model=arguments.model, mirror=arguments.mirror, out=arguments.data)
    given = TrainSettings(model=arguments.model, precision="bf16", attention="sdpa")
    learner = make_learner(dataset, resolve_settings(given, dataset.manifest), seed=1, dropout=0.1)
    learner.model.train()
    rows = [row_of(learner, size=size, length=length) for size in SIZES for length in LENGTHS]
    print_rows(rows, as_json=arguments.json)


if __name__ == "__main__":
    main()
