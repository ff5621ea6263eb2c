"""Where an update's time goes: the operations of the real loop, in groups; those that do not grow with tokens first.

    python -m benchmarks.bench_update_costs --model MODEL --mirror DIR [--strategy unpadded] [--precision bf16]

torch's profiler counts each operation's own time over some updates of SST-2, after others that are left out. `the rest`
is the update's time with the profiler off less all groups: Python between operations, the seed and the bits of dropout,
the batch, the record and the log.
"""

import argparse
import itertools
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

import tdbs
from benchmarks.bench_train_loop import our_loop
from benchmarks.bench_turns import learner_and_feed
from benchmarks.common import print_rows
from tdbs.cli.common import quiet_libraries

LEFT_OUT, STEPS, PROFILED = 40, 40, 10
CASTS = "fixed: casts of weights and gradients"
FIXED = {"_fused_adamw_": "fixed: AdamW", "linalg_vector_norm": "fixed: norm of gradients"}
GROWING = {
    "matrix products of layers": ("mm", "addmm"),
    "matrix products of attention": ("bmm", "baddbmm"),
    "GELU": ("gelu", "gelu_backward"),
    "layer norm": ("native_layer_norm", "native_layer_norm_backward"),
    "softmax": ("_softmax", "_softmax_backward_data"),
    "dropout's masks and products": ("mul", "mul_", "ge"),
    "tokens to their places": ("index_select", "index_copy_", "index"),
}


def group_of(operation: str, shape: tuple[int, ...], weights: set[tuple[int, ...]]) -> str:
    """Return the group of an operation with a first argument of a shape."""
    name = operation.removeprefix("aten::")
    if name == "copy_" and len(shape) == 2 and shape in weights:
        return CASTS
    if name in FIXED:
        return FIXED[name]
    found = (group for group, operations in GROWING.items() if name in operations)
    return next(found, "copies and casts of states" if name == "copy_" else "other operations")


def main() -> None:
    """Profile and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--strategy", default="unpadded")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    quiet_libraries()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        out = Path(folder) / "sst2"
        dataset = tdbs.prepare("glue/sst2", mirror=options.mirror, tokenizer=options.model, out=out).dataset
        learner, feed = learner_and_feed(dataset, options.strategy, model=options.model, precision=options.precision)
        loop = our_loop(learner, feed, steps=LEFT_OUT + STEPS + PROFILED, log=Path(folder) / "steps.jsonl")
        all(True for _ in itertools.islice(loop, LEFT_OUT))
        clock = time.perf_counter()
        all(True for _ in itertools.islice(loop, STEPS))
        whole = 1e3 * (time.perf_counter() - clock) / STEPS
        with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as found:
            all(True for _ in loop)
    weights = {tuple(parameter.shape) for parameter in learner.model.parameters()}
    milliseconds: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    for event in found.key_averages(group_by_input_shape=True):
        shape = tuple(event.input_shapes[0]) if event.input_shapes else ()
        group = group_of(event.key, shape, weights)
        milliseconds[group] += event.self_cpu_time_total / 1e3 / PROFILED
        calls[group] += event.count
    rows = sorted(milliseconds.items(), key=lambda row: ("fixed" not in row[0], -row[1]))
    print_rows(
        [
            *({"": name, "ms an update": value, "calls": round(calls[name] / PROFILED)} for name, value in rows),
            {"": "the rest", "ms an update": whole - sum(milliseconds.values()), "calls": 0},
            {"": "an update", "ms an update": whole, "calls": sum(calls.values()) // PROFILED},
        ],
        as_json=options.json,
        strategy=options.strategy,
        precision=learner.accelerator.mixed_precision.replace("no", "fp32"),
        threads=torch.get_num_threads(),
    )


if __name__ == "__main__":
    main()
