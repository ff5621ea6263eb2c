"""Peak memory and seconds of an update on documents of 8,192 tokens: predicted and measured, by strategy.

    python -m benchmarks.bench_memory [--length 8192] [--documents 8] [--batch 4] [--layers 4] [--hidden 128]
        [--memory 2GiB]

With --memory the question is whether a bound that padded batches exceed holds training without padding: `bound` in the
result. `random` runs as it is, and those of --bounded as `tdbs train --memory` cuts them.

The documents are made: words of a small vocabulary, lengths from an eighth of the longest up. Each strategy trains a
BERT with random weights, with and without --checkpoint-activations, in a process of its own, whose peak the system
reports (ru_maxrss). The prediction is that of `tdbs estimate-speedup`.
"""

import argparse
import csv
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import tdbs
from benchmarks.common import provenance
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.engines import memory_bytes
from tdbs.pipeline.prepare import prepare
from tdbs.train.planning.strategies import resolve_strategy

STRATEGIES = ("random", "sorted", "unpadded", "reach")
_WORDS = ("film", "story", "actor", "good", "bad", "the", "is", "with", "music", "plot")


def made_dataset(folder: Path, *, documents: int, length: int, tokenizer: Path) -> Path:
    """Prepare documents of made words, one token each, and return the dataset's folder."""
    chance = np.random.default_rng(0)
    lengths = np.linspace(length // 8, length - 2, documents).astype(int)
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number, words in enumerate(chance.permutation(lengths)):
            writer.writerow([" ".join(chance.choice(_WORDS, words)), "ab"[number % 2]])
    copied = copied_tokenizer(tokenizer, folder / "tokenizer", length=length)
    made = prepare(str(folder / "train.csv"), tokenizer=str(copied), max_length=length, out=folder / "prepared")
    return Path(made.dataset.path)


def copied_tokenizer(source: Path, folder: Path, *, length: int) -> Path:
    """Copy a tokenizer, for longer texts."""
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, folder / name)
    place = folder / "tokenizer_config.json"
    config = json.loads(place.read_text(encoding="utf-8"))
    place.write_text(json.dumps({**config, "model_max_length": length}), encoding="utf-8")
    return folder


def made_model(folder: Path, *, vocabulary: int, length: int, layers: int, hidden: int) -> Path:
    """Save a BERT with random weights."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(hidden // 64, 1),
        intermediate_size=4 * hidden,
        max_position_embeddings=length,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def trained_peak(asked: dict) -> dict:
    """Train one run in this process; return its peak, predicted and measured, and seconds of an update."""
    dataset = tdbs.load(asked["dataset"])
    strategy = resolve_strategy(asked["strategy"], dataset.manifest.task, {"base_batch_size": asked["batch"]})
    terms = {name: asked[name] for name in ("model", "epochs", "precision", "attention", "checkpoint_activations")}
    terms |= {"dropout": asked["dropout"], "memory": asked.get("memory")}
    (estimate,) = tdbs.estimate_speedup(dataset, [strategy], baseline=strategy, **terms)
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "run"
        tdbs.train(dataset, strategy=strategy, out=out, checkpoints=None, save=False, **terms)
        steps = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    seconds = [step["seconds"] for step in steps]
    return {
        "strategy": asked["strategy"],
        "checkpoint_activations": asked["checkpoint_activations"],
        "memory": asked.get("memory"),
        "max_tokens": estimate.max_tokens,
        "predicted_bytes": estimate.peak_memory_bytes,
        "measured_bytes": peak,
        "off_by": estimate.peak_memory_bytes / peak - 1,
        "updates": len(steps),
        "tokens": estimate.tokens,
        "seconds_a_step": statistics.median(seconds[1:] or seconds),
    }


def in_own_process(asked: dict) -> dict:
    """Return what `trained_peak` measures in a fresh process; one that fails is no row but an error."""
    command = [sys.executable, "-m", "benchmarks.bench_memory", "--one", json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def held(rows: list[dict], memory: str) -> dict:
    """Return whether padded batches exceed a bound by what was measured, and which bounded runs are within it."""
    most = memory_bytes(memory)
    free = [row for row in rows if row["memory"] is None and row["strategy"] == "random"]
    bounded = [row for row in rows if row["memory"] is not None]
    return {
        "memory": memory,
        "bytes": most,
        "random_exceeds": all(row["measured_bytes"] > most for row in free),
        "within": {row["strategy"]: row["measured_bytes"] <= most for row in bounded},
    }


def main() -> None:
    """Measure all strategies and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=8192)
    parser.add_argument("--documents", type=int, default=8)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    parser.add_argument("--memory", help="Bound of the runs of --bounded, as of tdbs train.")
    parser.add_argument("--bounded", default="sorted,unpadded", help="Strategies that train within --memory, too.")
    parser.add_argument("--model", help="Folder of a model; default: a BERT with random weights.")
    parser.add_argument("--one", help="One run, as JSON: what this script starts.")
    given = parser.parse_args()
    if given.one:
        print(json.dumps(trained_peak(json.loads(given.one))))
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        tokenizer = Path(given.model) if given.model else TOKENIZER_FOLDER
        dataset = made_dataset(folder, documents=given.documents, length=given.length, tokenizer=tokenizer)
        vocabulary = tdbs.load(dataset).manifest.tokenizer.vocabulary_size
        sizes = {"length": given.length, "layers": given.layers, "hidden": given.hidden}
        model = given.model or str(made_model(folder / "model", vocabulary=vocabulary, **sizes))
        common = {"dataset": str(dataset), "model": model, "epochs": 1, "batch": given.batch}
        common |= {name: getattr(given, name) for name in ("precision", "attention", "dropout")}
        rows = []
        for strategy in given.strategies.split(","):
            for again in (False, True):
                rows.append(in_own_process({**common, "strategy": strategy, "checkpoint_activations": again}))
                print(rows[-1], file=sys.stderr)
        for strategy in given.bounded.split(",") if given.memory else ():
            asked = {**common, "strategy": strategy, "checkpoint_activations": False, "memory": given.memory}
            rows.append(in_own_process(asked))
            print(rows[-1], file=sys.stderr)
    facts = {"documents": given.documents, "batch": given.batch, **sizes, "attention": given.attention}
    facts |= {} if given.memory is None else {"bound": held(rows, given.memory)}
    print(json.dumps({**provenance(), **facts, "dropout": given.dropout, "rows": rows}))


if __name__ == "__main__":
    main()
