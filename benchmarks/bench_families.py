"""Seconds of an update by execution, for models of several families with random weights of MiniLM's size.

    python -m benchmarks.bench_families --tokenizer FOLDER --mirror DIR [--families distilbert,qwen2] [--updates 6]
    python -m benchmarks.bench_families --tokenizer T5_FOLDER --texts FILE --families t5

Whole updates of 64 samples (forward, backward, weights), padded random batches, `sorted` and `unpadded` in turns, each
on a learner as training makes it, with one attention kernel, at dropout 0 and at 0.1. SST-2's texts, or documents with
summaries.
"""

import argparse
import itertools
import statistics
import tempfile
from pathlib import Path
from typing import Any

import transformers

import tdbs
from benchmarks.accuracy_runs import prepared_task
from benchmarks.bench_sorted import Updates, times_in_turns
from benchmarks.common import print_rows
from tdbs.cli.common import quiet_libraries
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.manifest import TokenizerInfo
from tdbs.settings import TrainSettings
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.learner import make_learner
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.resolved import resolve_settings

_SIZES = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
_CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("BertConfig", _SIZES),
    "distilbert": ("DistilBertConfig", {"dim": 384, "n_layers": 6, "n_heads": 12, "hidden_dim": 1536}),
    "deberta-v2": (
        "DebertaV2Config",
        {
            **_SIZES,
            "relative_attention": True,
            "pos_att_type": ["p2c", "c2p"],
            "position_buckets": 256,
            "max_relative_positions": -1,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "position_biased_input": False,
            "type_vocab_size": 0,
        },
    ),
    "qwen2": ("Qwen2Config", {**_SIZES, "num_key_value_heads": 2, "max_position_embeddings": 512}),
    "t5": (
        "T5Config",
        {"d_model": 384, "d_kv": 32, "d_ff": 1536, "num_layers": 6, "num_heads": 12, "decoder_start_token_id": 0},
    ),
}
_HEADS = {"t5": "AutoModelForSeq2SeqLM"}


def saved_model(family: str, tokenizer: TokenizerInfo, folder: Path) -> Path:
    """Save a model with random weights for a tokenizer."""
    kind, sizes = _CONFIGS[family]
    config = getattr(transformers, kind)(vocab_size=tokenizer.vocabulary_size, pad_token_id=tokenizer.pad_id, **sizes)
    head = getattr(transformers, _HEADS.get(family, "AutoModelForSequenceClassification"))
    head.from_config(config).save_pretrained(folder)
    return folder


def prepared(options: argparse.Namespace, place: Path) -> PreparedDataset:
    """Return SST-2's first rows, or documents with summaries."""
    if options.texts is None:
        return prepared_task("sst2-8000", model=str(options.tokenizer), mirror=options.mirror, out=place / "data")
    return tdbs.prepare(
        str(options.texts),
        tokenizer=str(options.tokenizer),
        text="document",
        target="summary",
        max_length=options.max_length,
        out=place / "texts",
    ).dataset


def real_updates(dataset: PreparedDataset, count: int) -> Updates:
    """Return the first updates of an epoch by execution."""
    data, found = open_training_data(dataset), {}
    for name in ("random", "sorted", "unpadded"):
        feed = make_feed(data, resolve_strategy(name, dataset.manifest.task), seed=1, epochs=1)
        found[name] = list(itertools.islice(feed.steps(feed.plans[0]), count))
    return found


def family_rows(
    family: str, model: Path, dataset: PreparedDataset, options: argparse.Namespace
) -> list[dict[str, float | int | str]]:
    """Return a row for each execution and dropout."""
    rows: list[dict[str, float | int | str]] = []
    updates = real_updates(dataset, options.updates)
    for dropout in (0.0, 0.1):
        asked = TrainSettings(model=str(model), precision=options.precision, attention="eager")
        resolved = resolve_settings(asked, dataset.manifest)
        learners = {
            name: make_learner(dataset, resolved, seed=1, dropout=dropout, in_rows=name == "unpadded")
            for name in updates
        }
        for learner in learners.values():
            learner.prepared.train()
        times = times_in_turns(learners, updates, rounds=options.rounds)
        for name, own in times.items():
            rows.append(
                {
                    "model": family,
                    "dropout": dropout,
                    "execution": name,
                    "calls": sum(map(len, updates[name])) / len(updates[name]),
                    "ms an update": 1e3 * statistics.mean(own),
                    "random is slower": f"{sum(times['random']) / sum(own):.2f} x",
                }
            )
    return rows


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--mirror", type=Path)
    parser.add_argument("--texts", type=Path, help="Parquet file with document and summary")
    parser.add_argument("--max-length", type=int, default=512, help="of --texts")
    parser.add_argument("--families", default="distilbert,deberta-v2,qwen2")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--updates", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    quiet_libraries()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        dataset = prepared(options, Path(place))
        for family in options.families.split(","):
            model = saved_model(family, dataset.manifest.tokenizer, Path(place) / family)
            rows += family_rows(family, model, dataset, options)
    print_rows(rows, as_json=options.json, precision=options.precision, attention="eager", rounds=options.rounds - 1)


if __name__ == "__main__":
    main()
