"""What an audit measures, against numbers typed by hand; every kind of task can be audited."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

import tdbs
from tdbs.analysis.audit.audit import Audit, audit
from tdbs.analysis.audit.characters import script_of
from tdbs.analysis.audit.contents import read_contents
from tdbs.analysis.audit.sizes import longest_usual
from tdbs.analysis.audit.truncation import Truncation, truncation_of
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.fields import CutLengths
from tdbs.pipeline.manifest import SplitInfo
from tests.analysis.audit.made import clean, prepared, write_tokenizer
from tests.docs.files import write_files

SAMPLE = {"tokenizer": str(TOKENIZER_FOLDER)}


def info_of(histogram: list[int], cut_lengths: CutLengths | None) -> SplitInfo:
    """Return a split with these lengths; nothing else of it is read."""
    rows = sum(histogram)
    tokens = sum(length * count for length, count in enumerate(histogram))
    return SplitInfo(
        rows=rows,
        source_rows=rows,
        tokens=tokens,
        droppable_words=0,
        droppable_tokens=0,
        labelled=True,
        length_histogram=tuple(histogram),
        droppable_histogram=(rows,),
        shards=(),
        cut_lengths=cut_lengths,
    )


def cuts_of(found: Truncation) -> list[tuple[int, int | None, int | None]]:
    return [(cut.max_length, cut.samples, cut.tokens_lost) for cut in found.cuts]


def test_cuts_are_counted_beyond_the_prepared_length():
    """Lengths 60, 70, 128, and three that were cut: 129 twice, and 600."""
    histogram = [0] * 129
    histogram[60], histogram[70], histogram[128] = 50, 30, 5
    found = truncation_of(info_of(histogram, ((129, 2), (600, 1))), 128)
    assert (found.max_length, found.samples, found.tokens_lost, found.keeps_99_percent) == (128, 3, 2 + 472, 600)
    lost_at_64 = 30 * (70 - 64) + 2 * (128 - 64) + 2 * (129 - 64) + (600 - 64)
    assert cuts_of(found) == [(64, 35, lost_at_64), (128, 3, 474), (256, 1, 344), (512, 1, 88)]


def test_what_was_not_cut_is_known_for_every_length():
    """No sample reaches the greatest length, so an older dataset says as much."""
    histogram = [0] * 129
    histogram[10], histogram[20], histogram[100] = 90, 9, 1
    for cut_lengths in ((), None):
        found = truncation_of(info_of(histogram, cut_lengths), 128)
        assert found.keeps_99_percent == 20
        assert cuts_of(found) == [(64, 1, 36), (128, 0, 0), (256, 0, 0), (512, 0, 0)]


def test_an_older_dataset_does_not_say_what_was_longer():
    """A sample has the greatest length and may have been longer, so tokens that shorter lengths lose are unknown."""
    histogram = [0] * 129
    histogram[60], histogram[70], histogram[128] = 50, 30, 20
    found = truncation_of(info_of(histogram, None), 128)
    assert (found.samples, found.tokens_lost, found.keeps_99_percent) == (None, None, None)
    assert cuts_of(found) == [(64, 50, None), (128, None, None), (256, None, None), (512, None, None)]


def test_an_outlier_is_far_beyond_the_spread_of_the_others():
    """Half of the lengths 10, half 20: the logarithm deviates by 0.51. All the same: 2.7 times the length."""
    middle, deviation = np.log(10 * 20) / 2, 1.4826 * np.log(20 / 10) / 2
    assert longest_usual(np.array([10, 20] * 50)) == pytest.approx(np.exp(middle + 5 * deviation))
    assert longest_usual(np.full(9, 10)) == pytest.approx(10 * np.e)
    assert longest_usual(np.zeros(3, dtype=np.int64)) == np.inf


@pytest.mark.parametrize(
    ("character", "script"),
    [("a", "LATIN"), ("я", "CYRILLIC"), ("か", "CJK"), ("中", "CJK"), ("7", ""), ("α", "GREEK")],
)
def test_scripts_are_those_of_unicode_names(character: str, script: str):
    assert script_of(character) == script


def test_rows_without_words_are_not_the_same(tmp_path: Path):
    """ "?!" and "..." have the same letters, none: they are neither duplicates nor a conflict."""
    rows = [{"text": text, "label": i % 2} for i, text in enumerate(("? !", ". . .", "( )", "a film", "no film"))]
    found = tdbs.audit(tdbs.prepare(rows, out=tmp_path / "data", **SAMPLE).dataset)
    assert not {each.kind for each in found.findings} & {"normalized_duplicates", "conflicts", "near_duplicates"}


def test_a_conflict_names_both_rows_and_labels(tmp_path: Path):
    """Three rows of one text, one with another label: all three are in conflict, each with a row that differs."""
    texts = ["good film", "bad film", "good film", "good film!"]
    rows = [{"text": text, "label": label} for text, label in zip(texts, "pnpn", strict=True)]
    found = tdbs.audit(tdbs.prepare(rows, label_type="class", out=tmp_path / "data", **SAMPLE).dataset)
    conflict = next(each for each in found.findings if each.kind == "conflicts")
    assert (conflict.count, conflict.total, conflict.share) == (3, 4, 0.75)
    pairs = [(each.row, each.label, each.other_row, each.other_label) for each in conflict.examples]
    assert pairs == [(1, "p", 4, "n"), (3, "p", 4, "n"), (4, "n", 1, "p")]
    assert conflict.rows.tolist() == [1, 3, 4]
    assert conflict.examples[0].text == "good film"


@pytest.mark.parametrize(
    ("options", "labels", "severity"),
    [
        ({"columns": ["text", "pair"], "label": "label"}, (0.5, 4.0), "warning"),
        ({"text": "text", "pair": "pair", "label": "label", "label_type": "regression"}, (0.5, 4.0), "warning"),
        ({"text": "text", "pair": "pair", "label": "label", "label_type": "class"}, (0, 1), "warning"),
        ({"text": "text", "target": "label"}, ("a b", "b a"), "note"),
    ],
)
def test_a_conflict_is_a_warning_unless_both_labels_may_be_right(options, labels, severity, tmp_path: Path):
    """Scores of pairs, numbers and classes of one text contradict each other; two summaries do not."""
    pairs = [("a film", "one film"), ("a day", "the day"), ("a film", "one film"), ("x", "y")]
    values = (labels[0], labels[1], labels[1], labels[0])
    rows = [{"text": text, "pair": pair, "label": value} for (text, pair), value in zip(pairs, values, strict=True)]
    found = tdbs.audit(tdbs.prepare(rows, out=tmp_path / "data", **SAMPLE, **options).dataset)
    [conflict] = [each for each in found.findings if each.kind == "conflicts"]
    assert (conflict.severity, conflict.rows.tolist()) == (severity, [1, 3])


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ((1.0, 2.5), ("1", "2.5")),
        ((0.5, 0.5 + 1e-9), ("0.5", "0.500000001")),
        ((1 / 3, 1 / 3 + 2**-54), ("0.3333333333333333", "0.3333333333333334")),
        (([1.0, 2.0], [1.0, 2.0 + 1e-9]), ("1, 2", "1, 2.000000001")),
    ],
)
def test_numbers_that_conflict_have_the_digits_that_tell_them_apart(labels, shown, tmp_path: Path):
    """Six digits or as many as it takes; other samples have six."""
    several = isinstance(labels[0], list)
    names = ["a", "b"] if several else ["label"]
    values = [*labels, [1 / 3, 3.0] if several else 1 / 3]
    rows = [
        {"text": text} | dict(zip(names, value if several else [value], strict=True))
        for text, value in zip(("a film", "a film", "no film"), values, strict=True)
    ]
    options = {"label": ",".join(names), "label_type": "regression", "progress": False}
    dataset = tdbs.prepare(rows, text="text", out=tmp_path / "data", **SAMPLE, **options).dataset
    found = audit(dataset).findings
    [conflict] = [each for each in found if each.kind == "conflicts"]
    assert (conflict.examples[0].label, conflict.examples[0].other_label) == shown
    assert read_contents(dataset).label_of(2) == ("0.333333, 3" if several else "0.333333")


def test_a_text_that_repeats_in_train_leaks_once_a_row(tmp_path: Path):
    """Two rows of validation with one text of train are two leaks; that they are alike is a duplicate of their own."""
    train = [{"text": f"film {name}", "label": 0} for name in ("one", "two", "three")] + [{"text": "x", "label": 1}]
    held = [{"text": "film two", "label": 0}, {"text": "film two", "label": 0}, {"text": "film four", "label": 1}]
    splits = {"train": train, "validation": held}
    found = tdbs.audit(tdbs.prepare(splits, out=tmp_path / "data", **SAMPLE).dataset)
    counted = {(each.kind, each.split): each.count for each in found.findings}
    assert counted["leaks", "validation"] == 2
    assert counted["exact_duplicates", "validation"] == 1
    assert ("exact_duplicates", "train") not in counted


def test_near_samples_count_in_each_split_though_their_text_stands_in_another(tmp_path: Path):
    """Two near rows of validation stand in train or in test, too: they are near in validation, and leak in both."""
    text = "one film about a long way home by night and day in winter"
    rows = {
        "train": [{"text": text, "label": 0}, {"text": "another film", "label": 1}],
        "validation": [{"text": text, "label": 0}, {"text": f"{text} again", "label": 0}, {"text": "x", "label": 1}],
        "test": [{"text": f"{text} again", "label": 0}, {"text": "y", "label": 1}],
    }
    found = tdbs.audit(tdbs.prepare(rows, out=tmp_path / "data", **SAMPLE).dataset)
    counted = {(each.kind, each.split): each.count for each in found.findings if "near" in each.kind}
    assert counted == {("near_duplicates", "validation"): 1, ("near_leaks", "validation"): 1, ("near_leaks", "test"): 1}


@pytest.mark.parametrize(
    ("file", "options"),
    [
        ("ratings.csv", {"label": "clarity"}),
        ("ratings.csv", {"label": "clarity,depth"}),
        ("emotions.csv", {"label": "joy,anger"}),
        ("names.jsonl", {"text": "tokens", "label": "ner_tags"}),
        ("questions.jsonl", {}),
        ("news.jsonl", {"text": "document", "target": "summary"}),
    ],
)
def test_every_kind_of_task_is_audited(file: str, options: dict[str, Any], tmp_path: Path):
    """Figures add up for labels of samples, of words, of answers and of texts."""
    write_files(tmp_path)
    made = tdbs.prepare(tmp_path / file, out=tmp_path / "data", validation=0.2, **SAMPLE, **options).dataset
    found = audit(made)
    assert {name: split.rows for name, split in found.splits.items()} == {
        name: split.rows for name, split in made.manifest.splits.items()
    }
    for each in found.findings:
        assert each.count > 0
        assert "rows" not in each.record()
        assert each.fix
        assert len(each.examples) <= 3


def test_targets_that_are_cut_are_a_finding(tmp_path: Path):
    """The command takes the length that 99 % of the targets have at most, as for inputs, not the longest one."""
    rows = [{"text": f"film {n}", "target": "of a film " * (90 if n % 100 == 0 else 1 + n % 5)} for n in range(200)]
    options = {"text": "text", "target": "target", "max_target_length": 5, "progress": False}
    dataset = tdbs.prepare(rows, out=tmp_path / "data", **SAMPLE, **options).dataset
    tokenizer = Tokenizer.from_file(str(TOKENIZER_FOLDER / "tokenizer.json"))
    lengths = sorted(len(tokenizer.encode(row["target"]).ids) for row in rows)
    assert lengths[-3] < lengths[-2]
    cut = next(each for each in audit(dataset).findings if each.kind == "target_truncation")
    assert (cut.count, cut.total) == (sum(length > 5 for length in lengths), 200)
    assert cut.fix.endswith(f"--max-target-length {lengths[197]}")


def test_a_tokenizer_that_removes_control_characters_says_so(tmp_path: Path):
    """BERT's rules take them out before there are tokens; the made tokenizer keeps them."""
    rows = [{"text": "a\x07 film", "label": 0}, {"text": "no film", "label": 1}]
    assert audit(tdbs.prepare(rows, out=tmp_path / "sample", **SAMPLE).dataset).control_characters_removed
    made: Audit = audit(prepared(clean(0), tmp_path / "made", write_tokenizer(tmp_path / "tokenizer")))
    assert not made.control_characters_removed


def test_texts_of_other_scripts_are_told_with_the_share_of_the_main_one(tmp_path: Path):
    """12 of 20 letters are Latin: no script is that of nearly all texts, and the finding does not claim it."""
    texts = ["b d f g"] * 3 + ["а б в г"] * 2
    rows = [{"text": text, "label": number % 2} for number, text in enumerate(texts)]
    tokenizer = str(write_tokenizer(tmp_path / "t"))
    found = audit(tdbs.prepare(rows, tokenizer=tokenizer, out=tmp_path / "d").dataset)
    [other] = [each for each in found.findings if each.kind == "other_scripts"]
    assert other.what == "Samples of train that are mostly not in Latin letters, the script of 60% of tokens: 2."
