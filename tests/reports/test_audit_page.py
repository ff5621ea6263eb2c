"""The page and the lines of an audit: findings with their examples, and what is said where nothing is wrong."""

from dataclasses import replace
from pathlib import Path

import pytest

import tdbs
from tdbs.analysis.audit.audit import audit
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.reports.audit_page import audit_page, write_audit_page
from tdbs.reports.page import is_own_page
from tdbs.reports.terminal_audit import cut_rows, finding_lines, measured_lines
from tests.analysis.audit.made import clean, prepared, write_tokenizer
from tests.reports.pages import Page


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> PreparedDataset:
    """Return a dataset with a conflict, a leak, and markup in its texts and classes."""
    train = [{"text": "good <b>film</b>", "label": label} for label in ("<i>", "no")]
    train.append({"text": "an actor", "label": "no"})
    held = [{"text": "good <b>film</b>", "label": "no"}, {"text": "a plot", "label": "<i>"}]
    options = {"tokenizer": str(TOKENIZER_FOLDER), "out": tmp_path_factory.mktemp("audited") / "data"}
    return tdbs.prepare({"train": train, "validation": held}, label_type="class", **options).dataset


def test_a_page_has_each_finding_and_loads_nothing(dataset: PreparedDataset):
    """Texts are escaped, tags match, and no address leads elsewhere."""
    found = audit(dataset)
    page = Page(audit_page(found, dataset.manifest))
    for each in found.findings:
        assert each.what in page.text
        assert each.fix in page.text
    assert {"b", "i", "script"} & page.tags == set()
    assert set(page.addresses) <= {"data:,"} | {each for each in page.addresses if each.startswith("#")}


def test_a_clean_dataset_says_so(tmp_path: Path):
    """No table of findings, a sentence instead, on the page and in the terminal."""
    made = prepared(clean(1), tmp_path / "data", write_tokenizer(tmp_path / "tokenizer"))
    found = audit(made)
    assert found.findings == ()
    assert finding_lines(found) == ["", f"No warnings: {made.path}"]
    assert (
        "Nothing is wrong with this dataset, as far as its shards tell." in Page(audit_page(found, made.manifest)).text
    )


def test_lines_name_both_rows_of_an_example(dataset: PreparedDataset):
    """A leak names its row of train, with the labels of both, and what fixes it."""
    lines = finding_lines(audit(dataset))
    place = lines.index("Samples of validation that stand in train, token by token: 1, 1 of them with another label.")
    assert lines[place + 1 : place + 3] == [
        "  validation row 1 [no]: good < b > film < / b > (and train row 1 [<i>])",
        f"  fix: tdbs prepare SOURCE --label-type class --tokenizer {TOKENIZER_FOLDER} --keep-out validation",
    ]


def test_a_threshold_and_its_error_are_told(dataset: PreparedDataset):
    first, *_, last = measured_lines(audit(dataset))
    assert first == (
        "5 samples. Near duplicates have a Jaccard index of three-word shingles of 0.7 or more: 1.2% of the pairs at "
        "the threshold are missed, and none below it is shown."
    )
    assert last == "Prepared with at most 128 tokens."


def test_what_an_older_dataset_cannot_tell_is_a_question_mark(tmp_path: Path):
    """All samples are cut at 8, of 47 tokens. Without the lengths before the cut, nothing is known of longer cuts."""
    rows = [{"text": f"{name} word " * 9, "label": i % 2} for i, name in enumerate("abcd")]
    made = tdbs.prepare(rows, tokenizer=str(TOKENIZER_FOLDER), max_length=8, out=tmp_path / "data").dataset
    assert list(cut_rows(audit(made))) == [
        ("train", "8", "4", "156", "47"),
        *(("", str(length), "0", "0", "") for length in (64, 128, 256, 512)),
    ]
    older = replace(made.manifest.splits["train"], cut_lengths=None)
    found = audit(replace(made, manifest=replace(made.manifest, splits={"train": older})))
    assert list(cut_rows(found)) == [
        ("train", "8", "?", "?", "8 or more"),
        *(("", str(length), "?", "?", "") for length in (64, 128, 256, 512)),
    ]
    assert measured_lines(found)[-1] == "Lengths before the cut are not in this dataset: prepare it again to know them."


def test_pages_of_tdbs_are_known_by_their_title(dataset: PreparedDataset, tmp_path: Path):
    """The source's name in the title is escaped, and a page that quotes a title is not ours."""
    ours, mine = tmp_path / "audit.html", tmp_path / "mine.html"
    renamed = replace(dataset.manifest, source="a < b – é" * 40)
    write_audit_page(ours, audit(dataset), renamed)
    mine.write_text("<title>My notes</title><p>audit &lt;title&gt;x – tdbs audit&lt;/title&gt;", encoding="utf-8")
    assert is_own_page(ours)
    assert not is_own_page(mine)
