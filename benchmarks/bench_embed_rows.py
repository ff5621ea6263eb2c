"""Does memory stay flat when texts are embedded? `tdbs predict` of more and more synthetic rows.

    python -m benchmarks.bench_embed_rows --words TEXTS.parquet --model FOLDER [--memory 2GiB]

Rows are those of bench_prepare_rows. The model is a run on embeddings or a folder of sentence-transformers. Embeddings
are written to Parquet, in 16 bits. Peak memory is VmHWM of the process, as it ends: unlike ru_maxrss it has nothing of
the process that started it. --memory is that of `tdbs predict`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.bench_prepare_rows import Run, write_rows
from benchmarks.common import print_rows

_SCRIPT = """
import json, sys
from pathlib import Path
import tdbs
model, source, asked = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
seconds = tdbs.predict(model, source, text="text", float16=True, **asked).seconds["total"]
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) << 10
print(json.dumps({"seconds": seconds, "peak_bytes": peak}))
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=Path, required=True)
    parser.add_argument("--column", default="sentence")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--memory", help="Bound of tdbs predict; none by default.")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in arguments.rows:
            source, out = Path(folder) / f"rows{rows}.parquet", Path(folder) / f"embeddings{rows}.parquet"
            write_rows(source, arguments.words, arguments.column, rows)
            run = embed(arguments.model, source, out, memory=arguments.memory)
            found.append(
                {
                    "rows": rows,
                    "seconds": run.seconds,
                    "rows/s": rows / run.seconds,
                    "peak memory (GiB)": run.peak_bytes / 2**30,
                    "file (GiB)": out.stat().st_size / 2**30,
                }
            )
    print_rows(found, as_json=arguments.json, model=arguments.model.name, memory=arguments.memory)


def embed(model: Path, source: Path, out: Path, *, memory: str | None) -> Run:
    """Write the embeddings of a file in a process of its own."""
    asked = json.dumps({"out": str(out), "memory": memory})
    command = [sys.executable, "-c", _SCRIPT, str(model), str(source), asked]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Run(**json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
