"""Wrong labels found again: a share of train labels is flipped, a model is trained, and each score ranks the samples.

    python -m benchmarks.bench_label_errors MODEL TRAIN.parquet --text sentence --rows 8000 --epochs 2 3 --seeds 1 2 3

MODEL is a folder of an encoder with its tokenizer. Each seed draws the rows, and the ones whose label becomes another
class. Precision is the share of flipped labels among the first of each ranking, as many as were flipped; recall is the
same number there. By chance it is the flipped share. "At the end, evaluated" are scores of the trained model in
evaluation mode, as `tdbs score` makes them of a run without records of its epochs.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import tdbs
from benchmarks.common import markdown_table, print_rows, provenance, shown_number
from tdbs.analysis.samples.score import ScoreResult

# How each column ranks samples: the sign makes the suspected ones small.
SIGNS = {"aum": 1, "margin": 1, "loss": -1, "el2n": -1, "forgetting": -1, "correct": 1}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("file", type=Path)
    parser.add_argument("--text", default="sentence")
    parser.add_argument("--label", default="label")
    parser.add_argument("--rows", type=int, default=8_000)
    parser.add_argument("--flipped", type=float, default=0.05)
    parser.add_argument("--epochs", type=int, nargs="+", default=[2])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--page", type=Path, help="write the table there, too: reports/label_errors/README.md")
    arguments = parser.parse_args()
    rows: list[dict[str, float | int | str]] = []
    with tempfile.TemporaryDirectory() as place:
        for epochs in arguments.epochs:
            found = [
                precisions(Path(place) / f"{epochs}-{seed}", arguments, seed=seed, epochs=epochs)
                for seed in arguments.seeds
            ]
            for name in found[0]:
                values = [each[name] for each in found]
                rows.append(
                    {
                        "epochs": epochs,
                        "ranked by": name,
                        "precision": statistics.mean(values),
                        "least": min(values),
                        "greatest": max(values),
                    }
                )
    rows_of = f"{arguments.file.parent.name}, {arguments.rows:,} rows, {arguments.flipped:.0%} flipped"
    model = "/".join(Path(arguments.model).parts[-2:])
    print_rows(rows, as_json=arguments.json, model=model, rows_of=rows_of, seeds=arguments.seeds)
    if arguments.page is not None:
        arguments.page.parent.mkdir(parents=True, exist_ok=True)
        arguments.page.write_text(page(rows, rows_of=rows_of, arguments=arguments), encoding="utf-8")


def page(rows: list[dict[str, float | int | str]], *, rows_of: str, arguments: argparse.Namespace) -> str:
    """Return the page of the rankings, with the command that makes it."""
    origin, seeds = provenance(), " ".join(map(str, arguments.seeds))
    counted = round(arguments.flipped * arguments.rows)
    return "\n\n".join(
        [
            "# Wrong labels found again",
            f"How well the scores of a run find wrong labels: in {rows_of} by each seed. Precision is the share of "
            f"flipped labels among the first {counted} samples of a ranking, {arguments.flipped:g} is chance. Mean, "
            f"least and greatest of seeds {seeds}; all-MiniLM-L6-v2, rate {arguments.lr:g}; {origin['hardware']}, "
            f"{origin['versions']}, {origin['date']}, commit {origin['commit']}.",
            markdown_table([{name: shown_number(value) for name, value in row.items()} for row in rows]),
            "Scores of the epochs are of training mode, as the run saw its samples. The last two rows are of the "
            "trained model in evaluation mode. Labels that were wrong before count as false alarms.",
            "Made by `python -m benchmarks.bench_label_errors MODEL ../shared/datasets/glue/sst2/train.parquet "
            f"--epochs {' '.join(map(str, arguments.epochs))} --seeds {seeds} "
            "--page reports/label_errors/README.md`.\n",
        ]
    )


def precisions(folder: Path, arguments: argparse.Namespace, *, seed: int, epochs: int) -> dict[str, float]:
    """Train on labels of which some are flipped; return the precision of each ranking."""
    flipped = write_rows(folder, arguments, seed=seed)
    dataset = tdbs.prepare(
        str(folder / "train.parquet"),
        text=arguments.text,
        label=arguments.label,
        tokenizer=arguments.model,
        out=folder / "prepared",
    )
    clock = time.perf_counter()
    run = tdbs.train(
        dataset.dataset, model=arguments.model, epochs=epochs, lr=arguments.lr, seed=seed, out=folder / "run"
    )
    trained = time.perf_counter() - clock
    recorded = scores_of(tdbs.score(run))
    shutil.rmtree(folder / "run/samples")
    evaluated = scores_of(tdbs.score(run))
    print(f"seed {seed}, {epochs} epochs: trained in {trained:.0f} s", flush=True)
    return {
        **{name: precision(recorded, name, flipped) for name in SIGNS},
        **{f"{name} at the end, evaluated": precision(evaluated, name, flipped) for name in ("margin", "el2n")},
    }


def write_rows(folder: Path, arguments: argparse.Namespace, *, seed: int) -> np.ndarray:
    """Write drawn rows with flipped labels; return the numbers of the flipped ones."""
    draw = np.random.default_rng(seed)
    table = pq.read_table(arguments.file, columns=[arguments.text, arguments.label])
    table = table.take(draw.choice(len(table), min(arguments.rows, len(table)), replace=False))
    labels = table[arguments.label].to_numpy().copy()
    classes = np.unique(labels)
    flipped = draw.choice(len(labels), round(arguments.flipped * len(labels)), replace=False)
    shift = draw.integers(1, len(classes), size=len(flipped))
    labels[flipped] = classes[(np.searchsorted(classes, labels[flipped]) + shift) % len(classes)]
    folder.mkdir(parents=True)
    place = table.schema.get_field_index(arguments.label)
    pq.write_table(table.set_column(place, arguments.label, pa.array(labels)), folder / "train.parquet")
    return flipped


def scores_of(result: ScoreResult) -> pa.Table:
    """Return the scores that `tdbs score` wrote."""
    return pq.read_table(result.scores)


def precision(scores: pa.Table, name: str, flipped: np.ndarray) -> float:
    """Return the share of flipped labels among as many first samples of a ranking; ties are broken by AUM or margin."""
    tie = scores["aum" if "aum" in scores.column_names else "margin"].to_numpy()
    order = np.lexsort((tie, SIGNS[name] * scores[name].to_numpy()))
    chosen = scores["source_row"].to_numpy()[order[: len(flipped)]]
    return float(np.isin(chosen, flipped).mean())


if __name__ == "__main__":
    main()
