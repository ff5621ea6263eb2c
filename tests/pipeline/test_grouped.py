"""Samples of several sequences: each is what transformers makes of its texts, and droppable words move with them."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

import tdbs
from tdbs.data.row_block import RowBlock
from tdbs.data.tasks import Columns, Task
from tdbs.errors import ConfigError, DatasetError, RowError
from tdbs.pipeline.annotate import annotated_table
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.lengths import Limits
from tdbs.pipeline.split_index import index_columns, index_of, read_index
from tdbs.pipeline.verify import verify
from tdbs.pipeline.words.matches import compile_words
from tests.conftest import SHARED
from tests.examples import examples
from tests.pipeline.grouped import ROWS, encoded, sequences_of, texts_of, words_of_sequence, write_rows
from tests.pipeline.real_tokenizers import NAMES, tokenizer_of
from tests.reference.spans import PAPER_STOPWORDS

LENGTH = 24
COLUMNS = "query,positive,negatives"
KINDS = ("embedding", "ranking")


def prepare_rows(place, task="embedding", *, rows=ROWS, tokenizer="bert-base-uncased", columns=COLUMNS, **options):
    source = write_rows(place / "rows.jsonl", rows)
    folder = str(SHARED / "tokenizers" / tokenizer)
    return tdbs.prepare(source, columns=columns, task=task, tokenizer=folder, progress=False, **options)


@pytest.mark.real_data
@pytest.mark.parametrize("task", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_each_sequence_is_what_transformers_makes_of_its_texts(name, task, shared, workplace):
    """Tokens, second texts and droppable words, with truncation, unicode, and lists of uneven length."""
    split = read_split(prepare_rows(workplace, task, tokenizer=name, max_length=LENGTH).dataset, "train")
    tokenizer = AutoTokenizer.from_pretrained(str(SHARED / "tokenizers" / name))
    for sample, row in enumerate(ROWS):
        texts = texts_of(row, task)
        encodings = [encoded(tokenizer, each, LENGTH) for each in texts]
        assert sequences_of(split, sample) == [encoding["input_ids"] for encoding in encodings]
        words, before = [], 0
        for each, encoding in zip(texts, encodings, strict=True):
            words += [(before + first, size) for first, size in words_of_sequence(each, tokenizer, LENGTH)]
            before += len(encoding["input_ids"])
        own = slice(*split.word_offsets_N1[sample : sample + 2])
        assert list(zip(split.word_starts_W[own], split.word_sizes_W[own], strict=True)) == words
        if task == "ranking":
            places = slice(*split.sequences.offsets_N1[sample : sample + 2])
            starts = [encoding.sequence_ids().index(1) for encoding in encodings]
            assert split.sequences.segment_starts_Q[places].tolist() == starts


TEXTS = st.text(alphabet="ab theof.é東 ", min_size=1, max_size=12).map(lambda text: f"{text}x")


@given(
    rows=st.lists(st.tuples(TEXTS, TEXTS, st.lists(TEXTS, max_size=4)), min_size=1, max_size=6),
    kind=st.sampled_from(KINDS),
    name=st.sampled_from(("roberta-base", "gpt2")),
    limit=st.integers(6, 20),
)
@examples(60)
def test_sequences_fit_their_sample_whatever_the_rows(shared, rows, kind, name, limit):
    """Sums, limits, places: no word crosses a sequence, and each keeps a token that is not special."""
    queries, positives, negatives = (list(each) for each in zip(*rows, strict=True))
    block = RowBlock(
        where="rows",
        rows_N=np.arange(len(rows)),
        texts=pa.array(queries),
        pairs=pa.array(positives),
        negatives=pa.array(negatives, pa.list_(pa.string())),
        targets=None,
    )
    tokenizer = tokenizer_of(name)
    task = Task(name="t", kind=kind, columns=Columns(text="q", pair="p", negatives=("n",), labels=()))
    pattern = compile_words(PAPER_STOPWORDS)
    table = annotated_table(block, task, tokenizer, pattern, Limits(max_length=limit), seconds={})
    found = table.to_pylist()
    for row, others in zip(found, negatives, strict=True):
        lengths = row["sequence_lengths"]
        assert len(lengths) == len(others) + (2 if kind == "embedding" else 1)
        assert sum(lengths) == row["length"] == len(row["input_ids"])
        assert max(lengths) <= limit
        ends = np.cumsum(lengths)
        special = np.isin(row["input_ids"], tokenizer.special_ids)
        kept = ~special
        for word in row["droppable"]:
            first, last = word["start"], word["start"] + word["length"] - 1
            assert np.searchsorted(ends, first, side="right") == np.searchsorted(ends, last, side="right")
            assert not special[first : last + 1].any()
            kept[first : last + 1] = False
        assert all(part.any() for part in np.split(kept, ends[:-1]))


@pytest.mark.real_data
def test_a_row_may_have_no_negative_several_columns_or_none(shared, workplace):
    """Entries of several columns stand in the order of the columns."""
    rows = [
        {"q": "a b", "p": "c", "n1": "one", "n2": ["two", "three"], "n3": []},
        {"q": "d", "p": "e f", "n1": "four", "n2": [], "n3": ["five"]},
    ]
    result = prepare_rows(workplace, rows=rows, columns="q,p,n1,n2,n3")
    split = read_split(result.dataset, "train")
    decode = tokenizer_of("bert-base-uncased").backend.decode
    texts = [[decode(ids) for ids in sequences_of(split, sample)] for sample in range(2)]
    assert texts == [["a b", "c", "one", "two", "three"], ["d", "e f", "four", "five"]]
    pairs = read_split(prepare_rows(workplace, rows=rows, columns="q,p").dataset, "train")
    assert np.diff(pairs.sequences.offsets_N1).tolist() == [2, 2]


@pytest.mark.real_data
@pytest.mark.parametrize("task", KINDS)
def test_the_dataset_is_whole_and_its_index_is_that_of_the_split(task, shared, workplace):
    """The greatest length is the longest sample's; the limit of a sequence stands beside it."""
    result = prepare_rows(workplace, task, max_length=LENGTH)
    dataset, manifest = result.dataset, result.dataset.manifest
    split = read_split(dataset, "train")
    assert manifest.max_length == split.lengths_N.max()
    assert (manifest.max_sequence_length, manifest.longest_input) == (LENGTH, LENGTH)
    assert manifest.bucket_edges[-1] == manifest.max_length
    assert manifest.splits["train"].labelled
    assert np.isnan(split.targets.values).all()
    assert verify(dataset).problems == ()
    told = index_of(split, manifest.tokenizer.special_ids)
    columns = index_columns(dataset, "train", drops=True)
    for read in (read_index(dataset, "train"), read_index(dataset, "train", columns=columns)):
        for name in ("lengths_N", "sequences_N", "longest_N"):
            assert getattr(read, name).tolist() == getattr(told, name).tolist()
    again = prepare_rows(workplace, task, max_length=LENGTH)
    assert (again.cached, again.dataset.manifest) == (True, load(dataset.path).manifest)


@pytest.mark.real_data
def test_ranking_and_embeddings_of_one_file_are_two_datasets(shared, workplace):
    one, other = (prepare_rows(workplace, task).dataset for task in KINDS)
    assert one.path != other.path
    assert one.manifest.key_parts["source"] == other.manifest.key_parts["source"]


@pytest.mark.real_data
def test_scores_of_pairs_are_numbers(shared, workplace):
    """A test split may lack them: it has no targets then."""
    (workplace / "d").mkdir()
    (workplace / "d" / "train.csv").write_text("a,b,s\none,two,4\nthree,four,0\nfive,six,2.5\n")
    (workplace / "d" / "test.csv").write_text("a,b\nseven,eight\n")
    tokenizer = str(SHARED / "tokenizers/bert-base-uncased")
    dataset = tdbs.prepare("d", columns=["a", "b"], label="s", tokenizer=tokenizer, progress=False).dataset
    assert read_split(dataset, "train").targets.values.tolist() == [4.0, 0.0, 2.5]
    assert read_split(dataset, "test").targets is None
    assert dataset.manifest.task.metrics == ("spearman", "pearson")
    assert verify(dataset).problems == ()


@pytest.mark.real_data
@pytest.mark.parametrize("task", KINDS)
def test_frames_have_the_sequences(task, shared, workplace):
    dataset = prepare_rows(workplace, task, max_length=LENGTH).dataset
    split = read_split(dataset, "train")
    expected = np.split(split.sequences.lengths_Q, split.sequences.offsets_N1[1:-1])
    frames = (
        dataset.to_polars("train").collect()["sequence_lengths"].to_list(),
        list(dataset.to_pandas("train")["sequence_lengths"]),
        list(dataset.to_datasets()["train"]["sequence_lengths"]),
    )
    for found in frames:
        assert [list(each) for each in found] == [each.tolist() for each in expected]


@pytest.mark.real_data
def test_summaries_say_what_sequences_are(shared, workplace):
    """Padding is that of random batches of sequences: the one batch of five rows has all of them."""
    dataset = prepare_rows(workplace, max_length=LENGTH).dataset
    lengths = read_split(dataset, "train").sequences.lengths_Q
    assert "rows, embedding: 5 train; " in repr(dataset)
    assert "in sequences of up to 24" in dataset._repr_html_()
    padding = 1 - lengths.sum() / (lengths.max() * len(lengths))
    assert f"{padding:.0%} padding in random batches" in repr(dataset)


@pytest.mark.real_data
def test_repeated_rows_are_those_with_the_same_texts_in_the_same_places(shared, workplace):
    """Another negative, or the same words cut otherwise, makes another row."""
    rows = [
        {"query": "one two", "positive": "three", "negatives": ["four"]},
        {"query": "one", "positive": "two three", "negatives": ["four"]},
        {"query": "one two", "positive": "three", "negatives": ["five"]},
        {"query": "one two", "positive": "three", "negatives": ["four"]},
        {"query": "one two", "positive": "three", "negatives": []},
    ]
    for tokenizer in ("bert-base-uncased", "gpt2"):
        result = prepare_rows(workplace, rows=rows, tokenizer=tokenizer, drop_duplicates="exact")
        assert read_split(result.dataset, "train").source_rows_N.tolist() == [0, 1, 2, 4]
        assert verify(result.dataset).problems == ()


@pytest.mark.real_data
def test_a_row_of_too_many_tokens_is_refused_and_can_be_skipped(shared, workplace, monkeypatch):
    """The longest sample has a limit of its own: 2 ** 20 tokens in use, 60 here."""
    monkeypatch.setattr("tdbs.pipeline.grouped_samples.LONGEST", 60)
    with pytest.raises(RowError) as caught:
        prepare_rows(workplace, max_length=LENGTH)
    assert caught.value.message == "Row 5 of rows.jsonl has 75 tokens."
    assert caught.value.next_step == "Give it fewer texts: a row has 60 tokens at most; or pass --skip-bad-rows."
    skipped = prepare_rows(workplace, max_length=LENGTH, skip_bad_rows=True).dataset
    listed = json.loads((skipped.path / "skipped.jsonl").read_text())
    assert listed == {"split": "train", "row": 5, "reason": "has 75 tokens"}


@pytest.mark.real_data
def test_edits_of_texts_are_refused(shared, workplace):
    from tdbs.pipeline.edits import edited_split, removal

    dataset = prepare_rows(workplace).dataset
    with pytest.raises(ConfigError) as caught:
        edited_split(dataset, "train", removal(["articles"]), folder=workplace / "e")
    assert caught.value.message == (
        "Samples of this task are several texts; --remove and --edits change one text or a pair."
    )
    assert caught.value.next_step == "Leave --remove and --edits out."


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda rows: rows["sequence_lengths"].__setitem__(0, rows["sequence_lengths"][0] + 1), "not those of its"),
        (lambda rows: rows["segment_starts"].__setitem__(0, 99), "segment_starts outside of their sequences"),
        (lambda rows: rows["segment_starts"].pop(), "a number of segment_starts that differs from its sequences"),
    ],
)
def test_damaged_sequences_are_found(change, problem, shared, workplace):
    import pyarrow.parquet as pq

    from tdbs.pipeline.shard_checks import read_shard

    dataset = prepare_rows(workplace, "ranking").dataset
    shard = dataset.manifest.splits["train"].shards[0]
    table = pq.read_table(dataset.path / shard.path, partitioning=None)
    rows = table.to_pylist()
    change(rows[0])
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), dataset.path / shard.path)
    with pytest.raises(DatasetError, match=problem):
        read_shard(dataset.path, shard, dataset.manifest, labelled=True, columns=table.schema.names)
    assert verify(dataset).problems != ()
