"""Predicted against measured time of every strategy: a profile of synthetic batches, a prediction, a measurement.

    python -m benchmarks.bench_prediction --model MODEL --mirror DIR --tasks sst2,rte,mrpc,cola,stsb,wnli --out FOLDER

The profile is measured first (one for each maximum length), and each comparison stores its prediction before its first
step; what is in the folder already is not measured again. Without --model a roberta-base-sized model of random weights
is made, which is enough for times. `pace`: seconds of three synthetic steps just before / those of the profile.
"""

import argparse
import json
import shutil
from pathlib import Path

from transformers import RobertaConfig, RobertaModel

import tdbs
from benchmarks.common import markdown_table, provenance
from tdbs.analysis.compare.compare import compare
from tdbs.analysis.profile.measure import measure_profile, write_profile
from tdbs.cli.common import quiet_libraries
from tdbs.train.planning.profile_file import read_profile


def random_roberta(folder: Path, tokenizer: Path) -> Path:
    """Save a model of roberta-base's size with random weights, with its tokenizer beside it."""
    config = RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1)
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (tokenizer / name).exists():
            shutil.copy(tokenizer / name, folder / name)
    return folder


def measure(arguments: argparse.Namespace) -> list[dict[str, float | str | int]]:
    """Return one row for each task and strategy."""
    out: Path = arguments.out
    model = arguments.model or str(random_roberta(out / "roberta-random", arguments.tokenizer))
    datasets = {
        task: tdbs.prepare(
            task if task == "squad" else f"glue/{task}",
            mirror=arguments.mirror,
            tokenizer=model,
            out=out / "data" / task,
        ).dataset
        for task in arguments.tasks.split(",")
    }
    profiles: dict[int, Path] = {}
    for dataset in datasets.values():
        length = dataset.manifest.max_length
        if length not in profiles:
            profiles[length] = out / f"profile-{length}.json"
            if not profiles[length].exists():
                profile = measure_profile(dataset, model=model, precision=arguments.precision, progress=print)
                write_profile(profiles[length], profile, overwrite=False)
    rows: list[dict[str, float | str | int]] = []
    for task, dataset in datasets.items():
        result = compare(
            dataset,
            out=out / task,
            model=model,
            seeds=[1],
            precision=arguments.precision,
            profile=read_profile(profiles[dataset.manifest.max_length]),
            part_steps=arguments.steps,
            resume=True,
            progress=print,
        )
        rows += [
            {
                "task": task,
                "pace": result["prediction"]["pace"],
                "strategy": row["strategy"],
                "steps of a run": row["steps"],
                "padding": row["padding_fraction"],
                "measured, s": row["seconds"],
                "predicted, s": row["predicted_seconds"],
                "off by": row["predicted_seconds"] / row["seconds"] - 1,
                "speedup": row["speedup"],
                "predicted speedup": row["predicted_speedup"],
            }
            for row in result["rows"]
        ]
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model")
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--mirror", type=Path, required=True)
    parser.add_argument("--tasks", default="sst2,rte,mrpc,cola,stsb,wnli")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    quiet_libraries()
    rows = measure(arguments)
    errors = sorted(abs(float(row["off by"])) for row in rows)
    median = (errors[(len(errors) - 1) // 2] + errors[len(errors) // 2]) / 2
    summary = f"{len(rows)} strategies and tasks: off by {median:.1%} (median), {errors[-1]:.1%} (worst)"
    if arguments.json:
        print(json.dumps({**provenance(), "rows": rows, "median_error": median, "worst_error": errors[-1]}))
        return
    print("\n".join(f"{name}: {value}" for name, value in provenance().items()) + f"\n{summary}\n")
    print(markdown_table([{name: _shown(name, value) for name, value in row.items()} for row in rows]))


def _shown(name: str, value: float | str | int) -> str:
    if isinstance(value, str):
        return value
    if name in ("padding", "off by"):
        return f"{value:+.1%}" if name == "off by" else f"{value:.1%}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}{' x' if 'speedup' in name else ''}"


if __name__ == "__main__":
    main()
