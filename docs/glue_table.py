"""Print what padding costs on the GLUE tasks, as a Markdown table: `python -m docs.glue_table MIRROR --tokenizer T`.

MIRROR holds `glue/<task>/<split>.parquet`. Lengths and shares are of the train split that is there; the speedup is by
tokens, over `random`, of three epochs with the default caps (base batch 64).
"""

import argparse
import tempfile
from pathlib import Path

import tdbs
from tdbs.analysis.statistics import split_statistics
from tdbs.data.tasks import HUB_TASKS

TASKS = [name for name in HUB_TASKS if name.startswith("glue/")]
HEAD = (
    "| task | rows | L_avg | L_87.5 | padding_fraction_est | random padding | droppable | `reach` padding | speedup |",
    "|---|---|---|---|---|---|---|---|---|",
)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mirror", type=Path)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--task", action="append", choices=[name.removeprefix("glue/") for name in TASKS])
    options = parser.parse_args()
    chosen = TASKS if options.task is None else [f"glue/{name}" for name in options.task]
    print(*HEAD, sep="\n")
    for name in chosen:
        print(row(name, options.mirror, options.tokenizer), flush=True)


def row(task: str, mirror: Path, tokenizer: str) -> str:
    """Return the line of one task."""
    with tempfile.TemporaryDirectory() as folder:
        dataset = tdbs.prepare(task, mirror=mirror, tokenizer=tokenizer, out=Path(folder) / "d").dataset
        found = split_statistics(dataset.manifest.splits["train"])
        [reach] = tdbs.estimate_speedup(dataset, ["reach"])
    cells = (
        task,
        f"{found.rows:,}",
        f"{found.average_length:.1f}",
        str(found.percentile_length),
        f"{found.padding_fraction_estimate:.1%}",
        f"{found.expected_random_padding:.1%}",
        f"{found.droppable_fraction:.1%}",
        f"{reach.padding_fraction:.1%}",
        f"{reach.speedup:.2f} x",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
