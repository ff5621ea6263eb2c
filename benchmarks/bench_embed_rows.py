"""Does memory stay flat when texts are embedded? `tdbs predict` of more and more synthetic rows.

    python -m benchmarks.bench_embed_rows --words TEXTS.parquet --model FOLDER

Rows are those of bench_prepare_rows, and so is the measure of memory. The model is a run on embeddings or a folder of
sentence-transformers. Embeddings are written to Parquet, in 16 bits.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.bench_prepare_rows import run_of, write_rows
from benchmarks.common import print_rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=Path, required=True)
    parser.add_argument("--column", default="sentence")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            source, out = Path(folder) / f"rows{rows}.parquet", Path(folder) / f"embeddings{rows}.parquet"
            write_rows(source, arguments.words, arguments.column, rows)
            run = run_of(
                ["predict", str(arguments.model), str(source), "--text", "text", "--out", str(out), "--float16"]
            )
            found.append(
                {
                    "rows": rows,
                    "seconds": run.seconds,
                    "rows/s": rows / run.seconds,
                    "peak memory (GiB)": run.peak_bytes / 2**30,
                    "file (GiB)": out.stat().st_size / 2**30,
                }
            )
    print_rows(found, as_json=arguments.json, model=arguments.model.name)


if __name__ == "__main__":
    main()
