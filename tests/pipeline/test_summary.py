"""How a dataset is shown: in a line, and in notebooks as a table with the figure of its lengths; all text escaped."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from tdbs.pipeline.dataset import PreparedDataset
from tests.pipeline.test_frames import prepared, rows_by_arrow


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> PreparedDataset:
    return prepared("classification", tmp_path_factory.mktemp("small"))


def test_repr_is_one_line(small):
    """With the padding of random batches of 64, from the chance that all of them are at most so long."""
    lengths = [row["length"] for split in small.manifest.splits for row in rows_by_arrow(small, split)]
    train = [row["length"] for row in rows_by_arrow(small, "train")]
    longest = sum(1 - (sum(each <= length for each in train) / len(train)) ** 64 for length in range(max(train)))
    padding = 1 - np.mean(train) / longest
    assert repr(small) == (
        f"<PreparedDataset source, classification: 30 train, 10 validation; {sum(lengths)} tokens, "
        f"{padding:.0%} padding in random batches; {small.path}>"
    )
    assert str(small) == repr(small)


class Cells(HTMLParser):
    """The tags of a fragment, and the texts of its cells."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_parts_of_a_manifest_have_short_reprs(small):
    assert repr(small.manifest) == "<Manifest source, classification: 30 train, 10 validation>"
    info = small.manifest.splits["validation"]
    assert repr(info) == f"<SplitInfo 10 samples, {info.tokens} tokens, {len(info.shards)} shards>"


def test_a_notebook_shows_the_lengths_of_train(small):
    """The figure of reports, with a shape for each bucket that has samples; a dataset without train has none."""
    shown = small._repr_html_()
    edges = small.manifest.bucket_edges
    lengths = [row["length"] for row in rows_by_arrow(small, "train")]
    filled = {
        bucket for bucket in range(len(edges) - 1) if any(edges[bucket] <= n < edges[bucket + 1] for n in lengths)
    }
    assert {int(number) for number in re.findall(r"bucket-(\d+)\"", shown)} == filled
    alone = dataclasses.replace(small.manifest, splits={"test": small.manifest.splits["validation"]})
    assert "<svg" not in PreparedDataset(path=small.path, manifest=alone)._repr_html_()


def test_the_table_of_a_notebook_has_a_row_per_split(small):
    page = Cells()
    page.feed(small._repr_html_())
    row = page.texts.index("validation")
    lengths = [row["length"] for row in rows_by_arrow(small, "validation")]
    words = [word["length"] for row in rows_by_arrow(small, "validation") for word in row["droppable"]]
    assert page.texts[row : row + 5] == [
        "validation", "10", str(sum(lengths)), f"{np.mean(lengths):.1f}", f"{sum(words) / sum(lengths):.1%}",
    ]  # fmt: skip
    assert "; classes: bad, good" in " ".join(page.texts)


HOSTILE = "<img src=x onerror=alert(1)>&\"'\x1b[31m\u202e"


def test_hostile_names_are_text(small):
    """In a source, a path, a tokenizer, classes and a split: no tag and no control character comes of them."""
    manifest = dataclasses.replace(
        small.manifest,
        source=HOSTILE,
        tokenizer=dataclasses.replace(small.manifest.tokenizer, name=HOSTILE),
        task=dataclasses.replace(small.manifest.task, classes=(HOSTILE,) * 12),
        splits={HOSTILE: small.manifest.splits["train"]},
    )
    hostile = PreparedDataset(path=Path(HOSTILE), manifest=manifest)
    page = Cells()
    page.feed(hostile._repr_html_())
    assert "img" not in page.tags
    assert page.attributes == []
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
    whole = "".join(page.texts)
    assert whole.count(shown) == 14  # ten of the classes
    assert "and 2 more" in whole
    assert "\x1b" not in repr(hostile) + whole
    assert "\u202e" not in repr(hostile) + whole
    assert "\n" not in repr(hostile)


def test_a_split_without_samples_has_a_row_and_a_frame(small, tmp_path):
    empty = dataclasses.replace(
        small.manifest.splits["train"],
        rows=0, source_rows=0, tokens=0, droppable_words=0, droppable_tokens=0,
        length_histogram=(), droppable_histogram=(), shards=(), repeats=None,
    )  # fmt: skip
    dataset = PreparedDataset(path=small.path, manifest=dataclasses.replace(small.manifest, splits={"train": empty}))
    assert len(dataset) == 0
    assert "<td>train</td><td>0</td><td>0</td><td>–</td><td>–</td><td>–</td>" in dataset._repr_html_()
    assert len(dataset.to_pandas("train")) == 0
    assert dataset.to_datasets()["train"].num_rows == 0
    pytest.importorskip("polars", reason="polars is not installed")
    assert dataset.to_polars().collect().shape == (0, 8)
