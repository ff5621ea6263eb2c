"""Does memory stay flat and time linear? `tdbs prepare` of a million and of ten million synthetic rows.

    python -m benchmarks.bench_prepare_rows --words TEXTS.parquet --column sentence --tokenizer TOKENIZER

Rows have the numbers of words of the given texts (SST-2's, say), words drawn from them at random, and one word in fifty
made up of random letters, so that new words never end. Median time of the repeats. Peak memory is the largest sum of
resident memory over the process and its children, looked at every 20 ms, and no less than what the kernel reports of
the process.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.common import print_rows

AT_ONCE = 100_000  # rows of a row group
MADE_UP = 0.02
LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", dtype=np.uint8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=Path, required=True)
    parser.add_argument("--column", default="sentence")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--memory", default="2GiB")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            source = made_source(rows, arguments, Path(folder))
            runs = [measure(source, arguments.tokenizer, arguments.memory) for _ in range(arguments.repeats)]
            seconds = statistics.median(run.seconds for run in runs)
            peak = max(run.peak_bytes for run in runs)
            found.append(
                {"rows": rows, "seconds": seconds, "rows/s": rows / seconds, "peak memory (GiB)": peak / 2**30}
            )
    print_rows(found, as_json=arguments.json, memory=arguments.memory)


def parser_of_sources(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of sources to prepare, and of numbers of synthetic rows that are sources, too."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--mirror", type=Path)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--rows", type=int, nargs="*", default=[])
    parser.add_argument("--words", type=Path)
    parser.add_argument("--column", default="sentence")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    return parser


def made_source(rows: int, arguments: argparse.Namespace, folder: Path) -> Path:
    """Write synthetic rows as a source, and return it."""
    path = folder / f"rows{rows}.parquet"
    write_rows(path, arguments.words, arguments.column, rows)
    return path


def write_rows(path: Path, words_from: Path, column: str, rows: int) -> None:
    """Write synthetic rows as Parquet, a row group at a time."""
    texts = pq.read_table(words_from, columns=[column])[column].combine_chunks()
    words = pc.split_pattern(pc.utf8_trim_whitespace(texts), " ")
    counts, pool = words.value_lengths().to_numpy(), words.flatten()
    random = np.random.default_rng(0)
    writer = None
    for first in range(0, rows, AT_ONCE):
        size = min(AT_ONCE, rows - first)
        of_row = random.choice(counts, size)
        chosen = pool.take(pa.array(random.integers(0, len(pool), of_row.sum())))
        is_new = random.random(len(chosen)) < MADE_UP
        letters = LETTERS[random.integers(0, 26, (int(is_new.sum()), 8))]
        new = pa.array(letters.view("S8").ravel().astype(str))
        mixed = pc.replace_with_mask(chosen, pa.array(is_new), new)
        offsets = np.concatenate([[0], np.cumsum(of_row)]).astype(np.int32)
        table = pa.table(
            {
                "text": pc.binary_join(pa.ListArray.from_arrays(offsets, mixed), " "),
                "label": random.integers(0, 2, size),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    writer.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What one command took: seconds, and the most memory of its processes together."""

    seconds: float
    peak_bytes: int


def measure(source: Path, tokenizer: str, memory: str) -> Run:
    """Prepare anew in a process of its own."""
    place = ["--out", str(source.with_suffix(".dataset")), "--overwrite"]
    return run_of(["prepare", str(source), *place, "--tokenizer", tokenizer, "--memory", memory])


def run_of(arguments: list[str]) -> Run:
    """Run a command of tdbs in a process of its own."""
    command = [sys.executable, "-c", "from tdbs.cli import main; main()", *arguments, "--json"]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        peak = 0
        tree = psutil.Process(process.pid)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, resident(tree))
            time.sleep(0.02)
        if status:
            raise SystemExit(f"{' '.join(arguments)} failed")
        output.seek(0)
        seconds = json.loads(output.read())["seconds"]
    return Run(seconds=seconds["total"], peak_bytes=max(peak, usage.ru_maxrss * 1024))


def resident(process: psutil.Process) -> int:
    """Return the resident memory of a process and its children, in bytes."""
    total = 0
    try:
        for member in [process, *process.children(recursive=True)]:
            total += member.memory_info().rss
    except psutil.NoSuchProcess:  # one ended meanwhile
        pass
    return total


if __name__ == "__main__":
    main()
