"""`prepare` against the tokenizer alone (`encode_batch_fast`) on the same texts in the same process, imports excluded.

python -m benchmarks.bench_prepare glue/sst2 --mirror MIRROR --tokenizer TOKENIZER
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.common import provenance
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import FileOptions, open_source
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.tokenizer import load_tokenizer


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    source = open_source(arguments.source, mirror=arguments.mirror, files=FileOptions())
    survey = survey_source(source)
    tables = [block for split in survey.rows for block in read_blocks(source, survey, split)]
    inputs = [
        table.texts.to_pylist()
        if table.pairs is None
        else list(zip(table.texts.to_pylist(), table.pairs.to_pylist(), strict=True))
        for table in tables
    ]
    tokenizer = load_tokenizer(arguments.tokenizer)
    tokenizer.backend.enable_truncation(128)
    floors, totals = [], []
    for _ in range(arguments.repeats):
        clock = time.perf_counter()
        for texts in inputs:
            tokenizer.backend.encode_batch_fast(texts)
        floors.append(time.perf_counter() - clock)
        with tempfile.TemporaryDirectory() as folder:
            result = prepare(
                arguments.source, mirror=arguments.mirror, tokenizer=arguments.tokenizer, out=Path(folder) / "dataset"
            )
            totals.append(result.dataset.manifest.seconds["total"])
    found = {
        **provenance(),
        "source": arguments.source,
        "tokenizer": tokenizer.name,
        "encode_batch_fast": statistics.median(floors),
        "prepare": statistics.median(totals),
        "ratio": statistics.median(totals) / statistics.median(floors),
        "stages": result.dataset.manifest.seconds,
    }
    if arguments.json:
        print(json.dumps(found))
        return
    print("\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
