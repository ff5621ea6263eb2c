"""Cards as the hub's own parser reads them: hostile names stay text, and only what a run knows is said."""

import dataclasses
import json
from pathlib import Path

import pytest
from huggingface_hub import DatasetCard, ModelCard

from tdbs.hub.card_text import fenced
from tdbs.hub.dataset_card import dataset_card
from tdbs.hub.model_card import model_card
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.manifest_file import read_manifest
from tdbs.shown import shown
from tdbs.train.run_folder import Run, read_run
from tests.hub.conftest import RECORDS

HOSTILE = "a: b\n---\nlicense: mit\n# Title\n```\n<script>alert(1)</script> [x](http://evil) \x1b[31m\u202e ````"


@pytest.fixture
def manifest() -> Manifest:
    return read_manifest(RECORDS / "dataset")


@pytest.fixture
def run() -> Run:
    return read_run(RECORDS / "run")


def outside_of_fences(text: str) -> str:
    """Return a card without its metadata and its fenced blocks."""
    lines, fence = [], ""
    for line in text.split("\n---\n", 1)[1].splitlines():
        if not fence and line.startswith("```"):
            fence = line[: len(line) - len(line.lstrip("`"))]
        elif fence:
            fence = "" if line == fence else fence
        else:
            lines.append(line)
    assert not fence
    return "\n".join(lines)


def test_hostile_names_are_quoted_in_yaml_and_fenced_in_text(manifest, run):
    task = dataclasses.replace(manifest.task, classes=(HOSTILE, "b"), prefix=HOSTILE)
    text = dataset_card(dataclasses.replace(manifest, source=HOSTILE, task=task), "you/texts", "cc-by-4.0")
    data = DatasetCard(text).data
    assert (data.license, data.pretty_name) == ("cc-by-4.0", f"{shown(HOSTILE)}, prepared")
    of_model = dict(run.config) | {"dataset": {"path": "d", "source": HOSTILE}, "model": HOSTILE}
    of_model["task"] = {"kind": "classification", "classes": [HOSTILE]}
    card = model_card(dataclasses.replace(run, config=of_model), run.result, "you/model", None)
    assert ModelCard(card).data.eval_results[0].dataset_name == shown(HOSTILE)
    for each in (text, card):
        assert "<script>" in each
        assert [word for word in ("<script>", "evil", "# Title") if word in outside_of_fences(each)] == []
        assert "\x1b" not in each
        assert "\u202e" not in each


def test_a_fence_is_longer_than_any_run_of_backticks():
    assert fenced("a ```` b").splitlines() == ["`````text", "a ```` b", "`````"]


def test_statistics_are_those_of_the_manifest(manifest):
    text = dataset_card(manifest, "you/texts", "mit")
    row = next(line for line in text.splitlines() if line.startswith("| `train`"))
    lengths = [length for length, count in enumerate(manifest.splits["train"].length_histogram) for _ in range(count)]
    mean = sum(lengths) / len(lengths)
    assert row.split(" | ")[1:4] == ["30", str(sum(lengths)), f"{mean:.2f}"]


@pytest.mark.parametrize(
    ("rows", "name"), [(999, "n<1K"), (1_000, "1K<n<10K"), (67_349, "10K<n<100K"), (5 * 10**9, "1B<n<10B")]
)
def test_size_categories_are_those_of_the_hub(manifest, rows, name):
    splits = {"train": dataclasses.replace(manifest.splits["train"], rows=rows)}
    assert DatasetCard(
        dataset_card(dataclasses.replace(manifest, splits=splits), "you/a", "mit")
    ).data.size_categories == [name]


def test_energy_is_there_if_the_run_measured_it(run):
    assert "co2_eq_emissions" not in model_card(run, run.result, "you/model", None)
    used = {"kwh": 0.25, "co2e_kg": 0.1, "country": "FRA", "power": "processor estimated"}
    text = model_card(run, dict(run.result) | {"energy": used}, "you/model", "mit")
    data = ModelCard(text).data
    assert data.co2_eq_emissions == {
        "emissions": 100.0,
        "source": "codecarbon",
        "training_type": "fine-tuning",
        "geographical_location": "FRA",
    }
    assert data.license == "mit"
    assert "kWh             0.25" in text


def test_a_known_task_is_named_as_on_the_hub(run):
    config = dict(run.config) | {"model": "roberta-base", "dataset": {"path": "d", "source": "glue/sst2"}}
    data = ModelCard(model_card(dataclasses.replace(run, config=config), run.result, "you/model", None)).data
    result = data.eval_results[0]
    assert (data.base_model, data.datasets) == ("roberta-base", ["nyu-mll/glue"])
    assert (result.dataset_type, result.dataset_config, result.dataset_split) == ("nyu-mll/glue", "sst2", "validation")


@pytest.mark.parametrize(
    ("kind", "tag", "used"),
    [
        ("embedding", "sentence-similarity", 'SentenceTransformer("you/model").encode('),
        ("ranking", "text-ranking", 'CrossEncoder("you/model").predict('),
    ],
)
def test_models_of_queries_are_those_of_sentence_transformers(run, kind, tag, used):
    """The hub's task, the library that opens the model, and how."""
    config = dict(run.config) | {"task": {"kind": kind, "classes": []}}
    result = dict(run.result) | {"metrics": {"mrr@10": 0.5}}
    text = model_card(dataclasses.replace(run, config=config), result, "you/model", None)
    data = ModelCard(text).data
    assert (data.pipeline_tag, data.library_name) == (tag, "sentence-transformers")
    assert [(found.task_type, found.metric_type) for found in data.eval_results] == [(tag, "mrr@10")]
    assert used in text


def test_snippets_of_a_card_read_what_it_names(manifest, tmp_path, monkeypatch):
    """The patterns of the card find the shards: those of the metadata by datasets, those of the text by polars."""
    import datasets
    import polars as pl

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "repo"
    folder.symlink_to(RECORDS / "dataset")
    card = dataset_card(manifest, "you/texts", "mit")
    copied = tmp_path / "copied"
    copied.mkdir()
    for name in ("train", "validation"):
        (copied / name).symlink_to(RECORDS / "dataset" / name)
    (copied / "README.md").write_text(card)
    loaded = datasets.load_dataset(str(copied))
    assert {name: len(split) for name, split in loaded.items()} == {"train": 30, "validation": 10}
    pattern = next(line for line in card.splitlines() if "scan_parquet" in line).split('"')[1]
    place = pattern.replace("hf://datasets/you/texts", str(copied))
    assert len(pl.scan_parquet(place, hive_partitioning=True).collect()) == 30
    assert json.loads((Path(folder) / "manifest.json").read_text())["splits"].keys() == loaded.keys()
