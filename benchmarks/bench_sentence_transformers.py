"""Embeddings and rerankers beside sentence-transformers: seconds of training, and scores by its own evaluators.

    python -m benchmarks.bench_sentence_transformers --model MODEL --mirror DIR [--studies stsb,squad] [--seeds 3]

Three studies: cosine regression on STS-B; questions of SQuAD and their paragraphs, with in-batch negatives; a
cross-encoder over questions and paragraphs with a negative each. Both sides read the same JSONL files and have the
same model, batch size, rate, warmup, epochs, seed, dropout and length. Each run is a process of its own, arm by arm
and seed by seed, and each seed begins with another arm. Saved models are scored in a further process, by
sentence-transformers. Tokens are those of the rows, padding aside, so tokens/s compares as seconds do.

Ours tokenizes in `tdbs prepare`, once for all seeds; the others do in each epoch. So `with prepare` adds its seconds.
Runs are added to --records as they end, and a run that stands there is not made again.
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.common import provenance
from benchmarks.sentence_data import count_tokens, rows_of, write_groups, write_pairs, write_scored_pairs
from benchmarks.sentence_pages import print_page
from benchmarks.sentence_studies import ARMS, DROPOUT, OURS, STUDIES, TEMPERATURE, Study, arms_of
from tdbs.cli.common import quiet_libraries
from tdbs.train.device import resolve_execution

Found = dict[str, Any]
SIZES: Mapping[str, tuple[str, ...]] = {  # options that say which rows a study has
    "stsb": ("scored_pairs",),
    "squad": ("pairs", "held_out"),
    "rerank": ("groups", "ranked", "candidates"),
}


def main() -> None:
    """Make the data, run what is missing, and print all."""
    options = parsed_options()
    quiet_libraries()
    wanted = []  # keys of the records to print
    for name in options.studies.split(","):
        study, data = STUDIES[name], options.data / name
        write_study(name, data, options)
        sizes = {size: getattr(options, size) for size in SIZES[name]}
        asked = {"study": name, "precision": options.precision, "model": options.model.name, **sizes}
        wanted.append(asked)
        arms = [OURS, *(options.arms.split(";") if options.arms else arms_of(options.precision))]
        for seed in range(1, options.seeds + 1):
            first = seed % len(arms)
            for arm in (*arms[first:], *arms[:first]):
                key = {"arm": arm, "seed": seed, **asked}
                if not any(key.items() <= record.items() for record in records_of(options.records)):
                    add_record(options.records, key | run_apart(study, arm, seed, data, options))
    records = [
        record for record in records_of(options.records) if any(asked.items() <= record.items() for asked in wanted)
    ]
    print_page(records, facts=wanted, as_json=options.json, page=options.page)


def parsed_options() -> argparse.Namespace:
    """Return the options, with the precision that ours resolves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of an encoder")
    parser.add_argument("--mirror", type=Path, required=True, help="folder with glue/stsb and squad")
    parser.add_argument("--studies", default=",".join(STUDIES))
    parser.add_argument("--arms", help=f"of sentence-transformers, with semicolons between: {'; '.join(ARMS)}")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scored-pairs", type=int, help="of STS-B to train on; all of them otherwise")
    parser.add_argument("--pairs", type=int, default=4_000, help="of SQuAD to train embeddings on")
    parser.add_argument("--held-out", type=int, default=500, help="questions to score embeddings with")
    parser.add_argument("--groups", type=int, default=2_000, help="of SQuAD to train a cross-encoder on")
    parser.add_argument("--ranked", type=int, default=250, help="questions to score a cross-encoder with")
    parser.add_argument("--candidates", type=int, default=10, help="paragraphs of such a question")
    parser.add_argument("--data", type=Path, default=Path("data/sentence"))
    parser.add_argument("--records", type=Path, default=Path("data/sentence/runs.jsonl"))
    parser.add_argument("--page", type=Path, help="file for the tables, as Markdown")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.precision = resolve_execution(precision=options.precision, attention="auto").precision
    return options


def write_study(name: str, data: Path, options: argparse.Namespace) -> None:
    """Write the rows of a study; the same rows for all seeds."""
    if name == "stsb":
        write_scored_pairs(options.mirror, data, rows=options.scored_pairs)
    elif name == "squad":
        write_pairs(options.mirror, data, rows=options.pairs, held_out=options.held_out, seed=0)
    else:
        write_groups(
            options.mirror,
            data,
            rows=options.groups,
            held_out=options.ranked,
            negatives=1,
            candidates=options.candidates,
            seed=0,
        )


def run_apart(study: Study, arm: str, seed: int, data: Path, options: argparse.Namespace) -> Found:
    """Train by an arm and score what it saved, each in a process of its own; return what is found."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if arm == OURS:
            trained, model = run_ours(study, seed, data, folder, options), folder / "run" / "model"
        else:
            trained, model = in_process(_train_peer, study, arm, seed, data, options.model, folder), folder
        scores = in_process(_score, study, data, model)
    rows = rows_of(data / "train.jsonl")
    tokens = study.epochs * count_tokens(
        rows, str(options.model), max_length=study.max_length, pairs=study.task == "ranking"
    )
    found = {**trained, "tokens": tokens, "score": scores[study.score], "scores": scores}
    print(f"{study.title}, {arm}, seed {seed}: {found}", file=sys.stderr, flush=True)
    return found | provenance()


def run_ours(study: Study, seed: int, data: Path, folder: Path, options: argparse.Namespace) -> Found:
    """Prepare, unless it is done, and train by the command line."""
    label = [] if study.label is None else ["--label", study.label]
    prepared = run_tdbs(
        "prepare", data, "--task", study.task, "--columns", ",".join(study.columns), *label,
        "--tokenizer", options.model, "--max-length", study.max_length,
        "--out", data.with_name(f"{data.name}-prepared"),
    )  # fmt: skip
    loss = ["--temperature", TEMPERATURE] if study.loss == "negatives" else []
    pooling = ["--pooling", "mean"] if study.task == "embedding" else []
    trained = run_tdbs(
        "train", prepared["path"], "--model", options.model, "--loss", study.loss, *loss, *pooling,
        "--strategy", "unpadded", "--precision", options.precision, "--batch-size", study.batch, "--lr", study.rate,
        "--epochs", study.epochs, "--dropout", DROPOUT, "--seed", seed, "--out", folder / "run",
    )  # fmt: skip
    return {"seconds": trained["seconds"]["train"], "prepare": prepared["seconds"]["total"]}


def run_tdbs(*words: object) -> Found:
    """Run a command of tdbs in a process of its own, and return its JSON."""
    command = [sys.executable, "-c", "from tdbs.cli import main; main()", *map(str, words), "--json"]
    return dict(json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


def in_process(run: Any, *given: Any) -> Found:
    """Return what a function finds in a fresh process."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return dict(pool.submit(run, *given).result())


def _train_peer(study: Study, arm: str, seed: int, data: Path, model: Path, folder: Path) -> Found:
    from benchmarks.sentence_script import train_peer

    quiet_libraries()
    return {"seconds": train_peer(study, ARMS[arm], data=data, model=str(model), seed=seed, out=folder)}


def _score(study: Study, data: Path, model: Path) -> dict[str, float]:
    from benchmarks.sentence_scores import scores_of

    quiet_libraries()
    return scores_of(study, model, data=data)


def records_of(path: Path) -> list[Found]:
    """Return the records of earlier runs."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def add_record(path: Path, record: Found) -> None:
    """Add what a run found to the records."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
