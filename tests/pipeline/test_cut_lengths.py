"""The tokens of each text before it is cut: those of the library without a cut, whatever is cut and left out."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

import tdbs
from tdbs.errors import DatasetError
from tdbs.pipeline.manifest import CutLengths
from tdbs.pipeline.manifest_file import read_manifest, write_manifest
from tdbs.pipeline.tokens.tokenize import tokenize_block
from tests.conftest import SHARED
from tests.pipeline.grouped import ROWS, texts_of
from tests.pipeline.real_tokenizers import NAMES, tokenizer_of
from tests.pipeline.test_grouped import COLUMNS, KINDS, prepare_rows

pytestmark = pytest.mark.real_data

TEXTS = ("a good film", "!", "it is what it is , and nobody knows why", "naïve façade — 東京 🎬 " * 5, "word " * 70)
PAIRS = (TEXTS[3], TEXTS[4], TEXTS[0], TEXTS[1], TEXTS[4])
LIMIT = 12


def cut(lengths: list[int], limit: int = LIMIT) -> CutLengths:
    """Return the lengths beyond the limit, ascending, and how often each comes."""
    return tuple(sorted(Counter(length for length in lengths if length > limit).items()))


def folder_of(name: str) -> str:
    return str(SHARED / "tokenizers" / name)


@pytest.mark.parametrize("by_library", [False, True])
@pytest.mark.parametrize("pairs", [None, PAIRS])
@pytest.mark.parametrize("name", NAMES)
def test_whole_lengths_are_those_of_the_library(name, pairs, by_library, shared):
    """Joined from chunks, and where the library itself cuts, since a tokenizer does more than add tokens."""
    loaded = tokenizer_of(name)
    theirs = AutoTokenizer.from_pretrained(folder_of(name))
    second = None if pairs is None else pa.array(pairs, pa.string())
    block = tokenize_block(
        replace(loaded, layout=None) if by_library else loaded, pa.array(TEXTS, pa.string()), second, max_length=LIMIT
    )
    expected = list(map(len, theirs(list(TEXTS), None if pairs is None else list(pairs))["input_ids"]))
    assert block.whole_lengths_N is not None
    assert block.whole_lengths_N.tolist() == expected
    assert np.diff(block.token_offsets_N1).tolist() == [min(length, LIMIT) for length in expected]


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_counts_what_was_cut(name, shared, workplace):
    rows = [{"text": TEXTS[n], "pair": PAIRS[n], "label": "ab"[n % 2]} for n in range(len(TEXTS))]
    made = tdbs.prepare(rows, text="text", pair="pair", tokenizer=folder_of(name), max_length=LIMIT, progress=False)
    theirs = AutoTokenizer.from_pretrained(folder_of(name))
    expected = cut([len(theirs(row["text"], row["pair"])["input_ids"]) for row in rows])
    assert made.dataset.manifest.splits["train"].cut_lengths == expected
    assert read_manifest(made.dataset.path).splits["train"].cut_lengths == expected


@pytest.mark.parametrize("task", KINDS)
def test_each_sequence_is_counted(task, shared, workplace):
    made = prepare_rows(workplace, task, columns=COLUMNS, max_length=LIMIT)
    theirs = AutoTokenizer.from_pretrained(folder_of("bert-base-uncased"))
    lengths = [len(theirs(*texts)["input_ids"]) for row in ROWS for texts in texts_of(row, task)]
    assert made.dataset.manifest.splits["train"].cut_lengths == cut(lengths)


def test_targets_are_counted_too(shared, workplace):
    rows = [{"text": text, "target": pair} for text, pair in zip(TEXTS, PAIRS, strict=True)]
    options = {"text": "text", "target": "target", "max_length": LIMIT, "max_target_length": 7, "progress": False}
    info = tdbs.prepare(rows, tokenizer=folder_of("t5-small"), **options).dataset.manifest.splits["train"]
    theirs = AutoTokenizer.from_pretrained(folder_of("t5-small"))
    assert info.cut_lengths == cut([len(theirs(row["text"])["input_ids"]) for row in rows])
    assert info.cut_target_lengths == cut([len(theirs(row["target"])["input_ids"]) for row in rows], 7)


def test_rows_that_are_left_out_are_not_counted(shared, workplace):
    """A row comes four times; --drop-duplicates leaves one, and what was cut of it counts once."""
    rows = [{"text": text, "label": "ab"[number % 2]} for number, text in enumerate((*TEXTS, *[TEXTS[4]] * 6))]
    options = {"tokenizer": folder_of("bert-base-uncased"), "max_length": LIMIT, "progress": False}
    theirs = AutoTokenizer.from_pretrained(options["tokenizer"])
    lengths = [len(theirs(row["text"])["input_ids"]) for row in rows]
    assert lengths[-1] > LIMIT
    every = tdbs.prepare(rows, out="every", **options).dataset.manifest.splits["train"]
    assert every.cut_lengths == cut(lengths)
    once = tdbs.prepare(rows, out="once", drop_duplicates="exact", **options).dataset.manifest.splits["train"]
    assert once.cut_lengths == cut(lengths[:6])  # each of both labels stays once


def test_windows_of_questions_are_not_cut(shared, workplace):
    rows = [{"question": "who ?", "context": "word " * 200, "answers": {"text": ["word"], "answer_start": [0]}}] * 3
    options = {"tokenizer": folder_of("bert-base-uncased"), "max_length": 40, "progress": False}
    info = tdbs.prepare(rows, **options).dataset.manifest.splits["train"]
    assert (info.rows > info.source_rows, info.cut_lengths) == (True, ())


@pytest.mark.parametrize("lengths", [((12, 1),), ((20, 1), (15, 1)), ((15, 1), (15, 1)), ((20, 99),)])
def test_lengths_that_no_sample_can_have_are_refused(lengths, shared, workplace):
    """Not beyond the cut, not ascending, and more than there are of the greatest length."""
    rows = [{"text": text, "label": "ab"[number % 2]} for number, text in enumerate(TEXTS)]
    made = tdbs.prepare(rows, tokenizer=folder_of("gpt2"), max_length=LIMIT, progress=False).dataset
    info = made.manifest.splits["train"]
    write_manifest(made.path, replace(made.manifest, splits={"train": replace(info, cut_lengths=lengths)}))
    with pytest.raises(DatasetError, match=r"splits\.train\.cut_lengths: not lengths of samples that were cut at 12"):
        read_manifest(made.path)
