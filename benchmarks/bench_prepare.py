"""`prepare` against the tokenizer alone, and against `datasets.map` and save, on the same texts in the same process.

    python -m benchmarks.bench_prepare glue/sst2 --mirror MIRROR --tokenizer TOKENIZER [--tokenizer ANOTHER]

The floor is `encode_batch_fast` of all texts, with truncation. The usual way is `datasets.map(tokenizer, batched=True)`
and `save_to_disk`, which finds no droppable words and makes no buckets; reading its source is left out, ours is in.
It runs as it does unless told otherwise, and with a process for each core (num_proc). Imports are left out of all.
Median of the repeats.
"""

import argparse
import os
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import datasets
from transformers import AutoTokenizer

from benchmarks.common import print_rows, timed
from tdbs.data.file_options import FileOptions
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import open_source
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.tokens.tokenizer import load_tokenizer

MAX_LENGTH = 128


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True, action="append")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    datasets.disable_progress_bars()
    texts = split_texts(arguments.source, arguments.mirror)
    rows = [in_own_process(arguments, texts, tokenizer) for tokenizer in arguments.tokenizer]
    print_rows(rows, as_json=arguments.json, source=arguments.source)


def split_texts(source: str, mirror: Path) -> list[dict[str, list[str]]]:
    """Return the texts of every split, a second column where there are pairs."""
    opened = open_source(source, mirror=mirror, files=FileOptions())
    survey = survey_source(opened)
    found = []
    for name in survey.rows:
        blocks = list(read_blocks(opened, survey, name))
        columns = {"text": [text for block in blocks for text in block.texts.to_pylist()]}
        if blocks[0].pairs is not None:
            columns["pair"] = [text for block in blocks for text in block.pairs.to_pylist()]
        found.append(columns)
    return found


def in_own_process(
    arguments: argparse.Namespace, splits: list[dict[str, list[str]]], name: str
) -> dict[str, float | str]:
    """Measure one tokenizer where no other one has been before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, arguments, splits, name).result()


def measure(arguments: argparse.Namespace, splits: list[dict[str, list[str]]], name: str) -> dict[str, float | str]:
    """Return seconds and ratios for one tokenizer."""
    datasets.disable_progress_bars()
    ours = load_tokenizer(name)
    ours.backend.enable_truncation(MAX_LENGTH)
    inputs = [list(zip(*split.values(), strict=True)) if "pair" in split else split["text"] for split in splits]
    theirs = AutoTokenizer.from_pretrained(name)
    tables = [datasets.Dataset.from_dict(split) for split in splits]

    def floor() -> None:
        for texts in inputs:
            ours.backend.encode_batch_fast(texts)

    def tdbs() -> None:
        with tempfile.TemporaryDirectory() as folder:
            prepare(arguments.source, mirror=arguments.mirror, tokenizer=name, out=Path(folder) / "dataset")

    def usual() -> None:
        map_and_save(processes=None)

    def usual_in_processes() -> None:
        map_and_save(processes=os.cpu_count())

    def map_and_save(processes: int | None) -> None:
        def tokenize(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
            return theirs(*batch.values(), truncation=True, max_length=MAX_LENGTH)

        with tempfile.TemporaryDirectory() as folder:
            for number, table in enumerate(tables):
                mapped = table.map(tokenize, batched=True, load_from_cache_file=False, num_proc=processes)
                mapped.save_to_disk(f"{folder}/{number}")

    runs = {"floor": floor, "tdbs": tdbs, "usual": usual}
    seconds = {key: [] for key in (*runs, "processes")}
    for _ in range(arguments.repeats):  # in turn, so that a disturbance falls on all
        for key, run in runs.items():
            seconds[key].append(timed(run))
    for _ in range(arguments.repeats):  # last: once a process has forked, the library uses no threads in it any more
        seconds["processes"].append(timed(usual_in_processes))
    median = {key: statistics.median(values) for key, values in seconds.items()}
    return {
        "tokenizer": ours.name,
        "encode_batch_fast (s)": median["floor"],
        "prepare (s)": median["tdbs"],
        "datasets.map + save (s)": median["usual"],
        "the same, num_proc (s)": median["processes"],
        "prepare / encode_batch_fast": median["tdbs"] / median["floor"],
        "datasets.map + save / prepare": median["usual"] / median["tdbs"],
        "num_proc / prepare": median["processes"] / median["tdbs"],
    }


if __name__ == "__main__":
    main()
