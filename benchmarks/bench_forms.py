"""`prepare` of the same rows in the forms that people have: CSV, Parquet, JSONL, compressed; and another checkout's.

    python -m benchmarks.bench_forms --rows PARQUET --tokenizer FOLDER [--before CHECKOUT]

Every preparation is a process of its own, and the forms take turns, so what slows the machine slows all of them.
`--before` names a checkout of tdbs to measure in the same turns, on the forms that it knows. Seconds are those that
`prepare` reports: from after the imports to the manifest. Median of the repeats.
"""

import argparse
import gzip
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.common import print_rows

ROOT = Path(__file__).parents[1]
PLAIN = ("csv", "parquet")  # forms that every checkout knows
_PREPARE = (
    "import sys; from tdbs.pipeline.prepare import prepare; "
    "made = prepare(sys.argv[1], text='sentence', tokenizer=sys.argv[2], out=sys.argv[3]); "
    "print(made.dataset.manifest.seconds['total'])"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, required=True, help="Parquet file with the columns sentence and label")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--before", type=Path, help="another checkout of tdbs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        forms = write_forms(arguments.rows, folder)
        ways = [(form, "now", ROOT) for form in forms]
        if arguments.before is not None:
            ways += [(form, "before", arguments.before) for form in PLAIN]
        seconds: dict[tuple[str, str], list[float]] = {(form, when): [] for form, when, _ in ways}
        for turn in range(arguments.repeats):
            for form, when, checkout in ways:
                out = folder / f"{form}-{when}-{turn}"
                seconds[form, when].append(prepared(forms[form], arguments.tokenizer, out, checkout))
    median = {way: statistics.median(found) for way, found in seconds.items()}
    plain = median["csv", "now"]
    rows: list[dict[str, float | int | str]] = []
    for (form, when), found in median.items():
        row: dict[str, float | int | str] = {
            "form": form,
            "code": when,
            "seconds": found,
            "ratio to csv now": found / plain,
        }
        known = median.get((form, "before"))
        row["ratio to before"] = "" if known is None else found / known
        rows.append(row)
    print_rows(rows, as_json=arguments.json, rows_prepared=pq.read_metadata(arguments.rows).num_rows)


def write_forms(rows: Path, folder: Path) -> dict[str, Path]:
    """Write rows in each form, and return their files."""
    table = pq.read_table(rows, columns=["sentence", "label"])
    files = {form: folder / f"rows.{form}" for form in ("csv", "parquet", "jsonl", "csv.gz")}
    pyarrow.csv.write_csv(table, files["csv"])
    pq.write_table(table, files["parquet"])
    files["csv.gz"].write_bytes(gzip.compress(files["csv"].read_bytes()))
    table.to_pandas().to_json(files["jsonl"], orient="records", lines=True)
    return files


def prepared(source: Path, tokenizer: str, out: Path, checkout: Path) -> float:
    """Prepare a file in a process of its own and return the seconds."""
    done = subprocess.run(
        [sys.executable, "-c", _PREPARE, str(source), tokenizer, str(out)],
        env={**os.environ, "PYTHONPATH": str(checkout)},
        cwd=out.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    main()
