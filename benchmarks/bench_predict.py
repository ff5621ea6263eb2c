"""Predicting: batches of all strategies against transformers' pipeline, and one text at a time with words dropped.

    python -m benchmarks.bench_predict MODEL FILE.parquet [FILE.parquet …] --text sentence --rows 5000

MODEL is a run, a fine-tuned checkpoint, or an encoder without a head, which is given a random one: time is measured,
not scores. Server mode goes from texts to JSON lines, all in one process, blocks as `tdbs predict` makes them; the
pipeline (`text-classification`, with each of --pipeline-batches) goes from texts to its lists. Equal precision: bf16 is
autocast here and a model in bf16 there. Both choose their attention kernel: each is timed with eager and sdpa. Real
time is one text after the other, the same texts at each drop rate, beside the pipeline with each kernel. Arms go in
turns. "Over the pipeline" is over its fastest arm of the same turn, the median of turns; of texts/s the best counts.
--alone is real time only. --cpu counts processor time of one thread: for a machine that others use too.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import transformers
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

from benchmarks.common import print_rows, timed
from tdbs.inference.batches import Dropping, inference_strategy, planned, predict_block
from tdbs.inference.blocks import BLOCK_ROWS, block_of, text_rows
from tdbs.inference.checkpoints import Checkpoint, droppable_pattern, open_checkpoint
from tdbs.inference.decode import prediction_schema, prediction_table
from tdbs.inference.output import json_lines
from tdbs.train.planning.strategies import Strategy
from tdbs.train.run_folder import MODEL_FOLDER, holds_run

STRATEGIES = ("bucket", "unpadded", "random", "random_max")
DROPPING = ("reach", "all")  # with words dropped: fewer tokens, another function
KERNELS = ("eager", "sdpa")
RATES = (0.0, 0.3, 0.5, 1.0)
PIPELINE_BATCHES = (16, 64)
WARM_UP = 20  # texts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("files", nargs="+")
    parser.add_argument("--text", default="sentence")
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--rows-alone", type=int, default=400)
    parser.add_argument("--alone", action="store_true", help="real time only")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--strategies", nargs="+", default=(*STRATEGIES, *DROPPING))
    parser.add_argument("--pipeline-batches", nargs="+", type=int, default=PIPELINE_BATCHES)
    parser.add_argument("--cpu", action="store_true", help="processor time of one thread")
    parser.add_argument("--precision", nargs="+", default=["bf16", "fp32"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    clock = time.process_time if arguments.cpu else time.perf_counter
    if arguments.cpu:
        torch.set_num_threads(1)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    texts = pa.concat_tables([pq.read_table(file, columns=[arguments.text]) for file in arguments.files])
    found = texts[arguments.text].to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        model = with_head(arguments.model, Path(folder))
        for precision in () if arguments.alone else arguments.precision:
            rows = server_rows(
                model,
                found[: arguments.rows],
                precision,
                repeats=arguments.repeats,
                strategies=arguments.strategies,
                pipeline_batches=arguments.pipeline_batches,
                clock=clock,
            )
            print_rows(rows, as_json=arguments.json, mode="server", precision=precision, texts=arguments.rows)
        for precision in arguments.precision:
            rows = real_time_rows(model, found[: arguments.rows_alone], precision, clock=clock)
            print_rows(rows, as_json=arguments.json, mode="real time", precision=precision, texts=arguments.rows_alone)


def with_head(model: str, folder: Path) -> str:
    """Return a checkpoint that predicts classes: the given one, or the encoder with a random head."""
    if holds_run(Path(model)):
        return str(Path(model) / MODEL_FOLDER)
    if any(name.endswith("ForSequenceClassification") for name in AutoConfig.from_pretrained(model).architectures):
        return model
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_pretrained(model, num_labels=2).save_pretrained(folder)
    AutoTokenizer.from_pretrained(model).save_pretrained(folder)
    return str(folder)


def server_rows(
    model: str,
    texts: list[str],
    precision: str,
    *,
    repeats: int,
    strategies: Sequence[str],
    pipeline_batches: Sequence[int],
    clock: Callable[[], float],
) -> list[dict[str, Any]]:
    """Return texts per second and padding of each arm, and how many times faster it is than the best pipeline."""
    arms: dict[tuple[str, str], Callable[[], object]] = {}
    padding: dict[tuple[str, str], float] = {}
    for kernel in KERNELS:
        checkpoint = open_checkpoint(model, precision=precision, attention=kernel)
        for name in strategies:
            strategy = (
                inference_strategy("bucket", checkpoint.task, dropping=Dropping(drop="all"))
                if name == "all"
                else inference_strategy(
                    name, checkpoint.task, dropping=Dropping(drop=name if name in DROPPING else None)
                )
            )
            shown = f"{name}, words dropped" if name in DROPPING else name
            arms[shown, kernel] = serve(checkpoint, texts, strategy)
            padding[shown, kernel] = padding_of(checkpoint, texts, strategy)
        pipe = pipeline_of(model, precision, kernel)
        for size in pipeline_batches:
            arms[f"pipeline, {size}", kernel] = lambda pipe=pipe, size=size: pipe(
                texts, batch_size=size, truncation=True
            )
    seconds: dict[tuple[str, str], list[float]] = {arm: [] for arm in arms}
    for _ in range(repeats):
        for arm, run in arms.items():
            seconds[arm].append(timed(run, clock))
    peer_of_turns = np.min([found for (name, _), found in seconds.items() if name.startswith("pipeline")], axis=0)
    return [
        {
            "batches": name,
            "kernel": kernel,
            "texts/s": len(texts) / min(seconds[name, kernel]),
            "padding": f"{padding[name, kernel]:.1%}" if (name, kernel) in padding else "",
            "over the pipeline": float(np.median(peer_of_turns / seconds[name, kernel])),
        }
        for name, kernel in arms
    ]


def serve(checkpoint: Checkpoint, texts: list[str], strategy: Strategy) -> Callable[[], list[str]]:
    """Return what goes from texts to JSON lines."""
    pattern = None if strategy.drop == "none" else droppable_pattern(checkpoint, None)

    def run() -> list[str]:
        lines = []
        for first in range(0, len(texts), BLOCK_ROWS):
            encoded = block_of(text_rows(texts[first : first + BLOCK_ROWS])).encode(checkpoint, pattern)
            predicted = predict_block(checkpoint, encoded, strategy, seed=0)
            lines.append(
                json_lines(prediction_table(predicted.rows_R, predicted.decoded, prediction_schema(checkpoint)))
            )
        return lines

    return run


def padding_of(checkpoint: Checkpoint, texts: list[str], strategy: Strategy) -> float:
    """Return the share of pad tokens of an arm's first block."""
    pattern = None if strategy.drop == "none" else droppable_pattern(checkpoint, None)
    encoded = block_of(text_rows(texts[:BLOCK_ROWS])).encode(checkpoint, pattern)
    return planned(checkpoint, encoded, strategy, seed=0)[0].padding_fraction


def pipeline_of(model: str, precision: str, kernel: str) -> Any:
    """Return transformers' pipeline at a precision, with an attention kernel."""
    loaded = AutoModelForSequenceClassification.from_pretrained(
        model, dtype=torch.bfloat16 if precision == "bf16" else torch.float32, attn_implementation=kernel
    )
    device = 0 if torch.cuda.is_available() else -1
    tokenizer = AutoTokenizer.from_pretrained(model)
    return pipeline("text-classification", model=loaded, tokenizer=tokenizer, device=device)


def real_time_rows(model: str, texts: list[str], precision: str, *, clock: Callable[[], float]) -> list[dict[str, Any]]:
    """Return how long one text takes at each drop rate, and in the pipeline; all arms take a text in turn.

    Each text begins with another arm: the first one to meet a length pays for what oneDNN prepares for it.
    """
    checkpoint = open_checkpoint(model, precision=precision, alone=True)
    pattern = droppable_pattern(checkpoint, None)
    strategies = {
        rate: inference_strategy(None, checkpoint.task, dropping=Dropping(drop_rate=rate or None), batch_size=1)
        for rate in RATES
    }
    pipes = {f"pipeline, {kernel}": pipeline_of(model, precision, kernel) for kernel in KERNELS}
    seconds: dict[object, list[float]] = {arm: [] for arm in (*RATES, *pipes)}
    strings: dict[object, list[float]] = {rate: [] for rate in RATES}
    arms = list(seconds)
    for number, text in enumerate(texts):
        first = number % len(arms)
        for arm in (*arms[first:], *arms[:first]):
            if arm in pipes:
                seconds[arm].append(timed(lambda text=text, arm=arm: pipes[arm](text, truncation=True), clock))
                continue
            begun = clock()
            encoded = block_of(text_rows([text], rows=[number])).encode(checkpoint, pattern if arm else None)
            encoded_at = clock()
            predict_block(checkpoint, encoded, strategies[arm], seed=0)
            seconds[arm].append(clock() - begun)
            strings[arm].append(encoded_at - begun)
    median = {arm: statistics.median(found[WARM_UP:]) for arm, found in seconds.items()}
    peer = min(median[arm] for arm in pipes)
    rows = []
    for arm, found in seconds.items():
        p50, p95, p99 = np.percentile(np.array(found[WARM_UP:]) * 1_000, [50, 95, 99]).tolist()
        strings_share = sum(strings[arm][WARM_UP:]) / sum(found[WARM_UP:]) if arm in strings else None
        rows.append(
            {
                "drop rate": arm if arm in pipes else f"{arm:g}",
                "p50 ms": p50,
                "p95 ms": p95,
                "p99 ms": p99,
                "over rate 0": median[0.0] / median[arm],
                "over the pipeline": peer / median[arm],
                "string work": "" if strings_share is None else f"{strings_share:.1%}",
            }
        )
    return rows


if __name__ == "__main__":
    main()
