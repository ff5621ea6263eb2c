"""Tables of Python programs: the same rows are the same source, whichever library holds them."""

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tdbs.data.file_options import FileOptions
from tdbs.data.sources import open_source
from tdbs.data.streams import kept_streams
from tdbs.digests import table_sha256, tables_sha256
from tdbs.errors import SourceError, TdbsError
from tests.data.conftest import read_source
from tests.data.test_bad_rows import skipped

TEXTS = [f"text {i}" for i in range(20)]
LABELS = [i % 2 for i in range(20)]
COLUMNS = {"text": TEXTS, "label": LABELS}
ROWS = [{"text": text, "label": label} for text, label in zip(TEXTS, LABELS, strict=True)]
NAMED = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])})


@pytest.fixture(autouse=True)
def quiet():
    datasets.disable_progress_bars()


def opened(source, table=None, **options):
    return open_source(source, mirror=None, files=FileOptions(**options), validation=table)


def refusal(source, table=None, **options):
    with pytest.raises(TdbsError) as caught:
        read_source(opened(source, table, **options))
    assert max(len(caught.value.message), len(caught.value.next_step)) <= 120
    return caught.value.message, caught.value.next_step


def texts_and_classes(source, split="train"):
    task, splits = read_source(source)
    found = splits[split]
    return found.texts.to_pylist(), [task.classes[i] for i in found.targets.to_pylist()]


def shuffled_back() -> datasets.Dataset:
    """Return the rows by a list of chosen ones: of a table in another order, with one more."""
    backwards = datasets.Dataset.from_dict({"text": ["more", *TEXTS[::-1]], "label": [1, *LABELS[::-1]]})
    return backwards.select(list(range(20, 0, -1)))


FORMS = {
    "Dataset": lambda: datasets.Dataset.from_dict(COLUMNS),
    "chosen rows of a Dataset": shuffled_back,
    "formatted Dataset": lambda: datasets.Dataset.from_dict(COLUMNS).with_format("numpy", columns=["label"]),
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas of categories": lambda: pd.DataFrame(COLUMNS).astype({"text": "category"}),
    "pandas of objects, another index": lambda: pd.DataFrame(COLUMNS, index=range(7, 27)).astype({"text": object}),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "lazy polars": lambda: pl.DataFrame(COLUMNS).lazy(),
    "Arrow": lambda: pa.table(COLUMNS),
    "Arrow in pieces": lambda: pa.concat_tables([pa.table(COLUMNS).slice(0, 3), pa.table(COLUMNS).slice(3)]),
    "Arrow of views": lambda: pa.table({"text": pa.array(TEXTS, pa.string_view()), "label": LABELS}),
    "list of dicts": lambda: ROWS,
    "a column more": lambda: pa.table({**COLUMNS, "id": list(range(20))}),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_same_rows_are_the_same_source(form):
    """Texts and labels are those that went in, and the key of the cache is that of a pyarrow table."""
    source = opened(FORMS[form]())
    assert texts_and_classes(source) == (TEXTS, list(map(str, LABELS)))
    assert source.content_sha256 == opened(pa.table(COLUMNS)).content_sha256
    assert (source.name, source.default_tokenizer) == ("table", None)


@pytest.mark.parametrize("kind", ["int8", "uint16", "int32", "uint32", "int64"])
def test_whole_numbers_have_one_digest_whatever_their_width(kind):
    """Libraries choose widths of their own: a category's codes are int8, a polars count is uint32."""
    narrow = pd.DataFrame(COLUMNS).astype({"label": kind})
    assert opened(narrow).content_sha256 == opened(pd.DataFrame(COLUMNS)).content_sha256
    listed = pa.table({"text": TEXTS, "label": pa.array([[i] for i in LABELS], pa.list_(pa.type_for_alias(kind)))})
    wide = pa.table({"text": TEXTS, "label": [[i] for i in LABELS]})
    assert opened(listed).content_sha256 == opened(wide).content_sha256


def test_other_kinds_of_values_have_other_digests():
    """False is not 0, and 0.0 is not 0: as texts, and so as classes, they differ."""
    kinds = ["int64", "float64", "bool", "str"]
    assert len({opened(pd.DataFrame(COLUMNS).astype({"label": kind})).content_sha256 for kind in kinds}) == len(kinds)


def test_other_rows_are_another_source():
    digests = {
        opened(rows).content_sha256
        for rows in (ROWS, ROWS[::-1], ROWS[:-1], [*ROWS[:-1], {"text": "other", "label": 1}])
    }
    digests |= {opened(ROWS, label_type="class").content_sha256, opened(ROWS, validation=0.1).content_sha256}
    assert len(digests) == 6


def test_lists_of_words_and_answers_have_one_digest_in_every_library():
    words = {"tokens": [["a", "film"], ["b"]], "ner_tags": [["O", "B-X"], ["O"]]}
    forms = [pa.table(words), pl.DataFrame(words), pd.DataFrame(words), datasets.Dataset.from_dict(words)]
    assert len({opened(form).content_sha256 for form in forms}) == 1
    assert read_source(opened(forms[1]))[1]["train"].texts.to_pylist() == words["tokens"]
    answers = [
        {"question": "who?", "context": "it was Ann", "answers": {"text": ["Ann"], "answer_start": [7]}},
        {"question": "what?", "context": "a film", "answers": {"text": ["film"], "answer_start": [2]}},
    ]
    listed = [answers, pa.Table.from_pylist(answers), pl.DataFrame(answers), datasets.Dataset.from_list(answers)]
    assert len({opened(form).content_sha256 for form in listed}) == 1
    assert read_source(opened(answers))[0].kind == "question_answering"
    columns = [
        {
            "q": row["question"],
            "c": row["context"],
            "a": row["answers"]["text"][0],
            "at": row["answers"]["answer_start"][0],
        }
        for row in answers
    ]
    task, splits = read_source(opened(pl.DataFrame(columns), text="q", pair="c", label="a,at"))
    assert task.kind == "question_answering"
    assert splits["train"].targets.to_pylist() == [row["answers"] for row in answers]


def test_a_digest_in_pieces_is_that_of_the_whole():
    """Nested columns, booleans and a column of nothing too."""
    nested = [{"x": "u", "y": [1.5]}, None, {"x": None, "y": None}, {"x": "v", "y": []}]
    columns = {"a": [["p", None], None, [], ["q"]], "b": nested, "c": [True, None, False, True], "d": pa.nulls(4)}
    whole = pa.table(columns)
    for cut in range(5):
        assert tables_sha256(whole.schema, [whole.slice(0, cut), whole.slice(cut)]) == table_sha256(whole)
    assert table_sha256(whole.set_column(2, "c", pa.array([True, False, False, True]))) != table_sha256(whole)


def test_class_labels_have_their_names_and_minus_one_is_none():
    train = datasets.Dataset.from_dict(COLUMNS, features=NAMED)
    test = datasets.Dataset.from_dict({"text": ["a", "b"], "label": [-1, -1]}, features=NAMED)
    whole = datasets.DatasetDict({"train": train, "test": test})
    task, splits = read_source(opened(whole))
    assert (task.classes, splits["test"].targets) == (("neg", "pos"), None)
    assert texts_and_classes(opened(train.data.table))[1] == [NAMED["label"].int2str(label) for label in LABELS]
    plain = opened(datasets.Dataset.from_dict(COLUMNS)).content_sha256
    assert opened(train).content_sha256 == opened(train.data.table).content_sha256 != plain
    broken = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, -1]}, features=NAMED)
    assert refusal(broken) == ("Row 3 of the train table has no 'label'.", "Fill the row or delete it.")


@pytest.mark.parametrize("named", [True, False])
def test_a_stream_is_written_once_and_read_as_its_rows(named, tmp_path, monkeypatch):
    """Its rows can be taken once only; the file is gone afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    stream = datasets.IterableDataset.from_generator(lambda: iter(ROWS), features=NAMED if named else None)
    whole = datasets.IterableDatasetDict({"train": stream, "valid": stream.take(4)})
    with kept_streams(whole, "train") as kept:
        source = opened(kept)
        names = ["neg", "pos"] if named else ["0", "1"]
        assert texts_and_classes(source) == (TEXTS, [names[label] for label in LABELS])
        assert read_source(source)[1]["validation"].texts.to_pylist() == TEXTS[:4]
        assert list(tmp_path.iterdir()) != []
    assert list(tmp_path.iterdir()) == []


def test_rows_of_a_stream_must_fit_together():
    rows = [{"text": "a", "label": 1}] * 8192 + [{"text": "b", "label": "x"}]
    stream = datasets.IterableDataset.from_generator(lambda: iter(rows))
    with pytest.raises(TdbsError) as caught, kept_streams(stream, "train"):
        pass
    assert caught.value.message.startswith("Rows 8193 to 8193 of the train table do not fit those before: ")
    assert caught.value.next_step == FEATURES_STEP


FEATURES_STEP = "Give the IterableDataset features, as ds.cast(features) does, and each row values of their types."
FITTING = [
    ([{"text": None}, {"text": "a", "label": 1}], [None, 1]),
    ([{"label": []}, {"label": ["x"]}, {"label": [None]}], [[], ["x"], [None]]),
    ([{"label": 1}, {"label": 2.5}], [1.0, 2.5]),
    ([{"label": 1}, {"label": 1, "more": 2}], [1, 1]),
    ([{"label": 1}, {}], [1, None]),
    ([{"label": {"a": None}}, {"label": {"a": "x", "b": 1}}], [{"a": None, "b": None}, {"a": "x", "b": 1}]),
]


@pytest.mark.parametrize("between", [0, 8192])
@pytest.mark.parametrize(("rows", "labels"), FITTING)
def test_rows_of_a_stream_without_features_have_the_types_of_all(rows, labels, between):
    """Later rows may say more than the first, in one piece or in several."""
    filled = [rows[0]] * between + rows
    stream = datasets.IterableDataset.from_generator(lambda: iter([{"text": "a", **row} for row in filled]))
    with kept_streams(stream, "train") as kept:
        assert kept["label"][between:] == labels
        assert len(kept) == len(filled)


def test_rows_of_a_stream_of_different_types_are_an_error_of_ours():
    stream = datasets.IterableDataset.from_generator(lambda: iter(mixed("y", 1, "x")))
    with pytest.raises(SourceError) as caught, kept_streams(stream, "train"):
        pass
    assert caught.value.message == "Rows of the train table, from 1 on, have other types than each other."
    assert caught.value.next_step == FEATURES_STEP
    with pytest.raises(SourceError) as caught, kept_streams({"train": stream.take(1), "test": stream}, "train"):
        pass
    assert caught.value.message.startswith("Rows of the test table")


def test_an_error_of_the_generator_is_its_own():
    def rows():
        yield ROWS[0]
        raise ValueError("mine")

    stream = datasets.IterableDataset.from_generator(rows)
    with pytest.raises(ValueError, match="mine"), kept_streams(stream, "train"):
        pass


def test_a_dataset_on_disk_is_read_in_batches(tmp_path):
    """Of a mapped and filtered Dataset no piece has more than some thousand rows."""
    from tdbs.data.stores import store_tables

    datasets.Dataset.from_dict({"text": ["a"] * 30_000, "label": [0, 1] * 15_000}).save_to_disk(tmp_path / "d")
    chosen = datasets.load_from_disk(tmp_path / "d").filter(lambda row: row["label"] == 1)
    (split,) = opened(chosen, label_type="regression").splits
    pieces = list(store_tables(split.content, {"label": "label"}))
    assert max(piece.num_rows for piece in pieces) == 8192
    assert pa.concat_tables(pieces)["label"].to_pylist() == chosen["label"][:]


def test_a_dict_has_splits_by_any_known_name():
    source = opened({"train": pd.DataFrame(COLUMNS), "dev": ROWS[:3], "extra": ROWS})
    assert list(read_source(source)[1]) == ["train", "validation"]
    assert source.notes == ("Splits that are not read: extra. tdbs reads train, validation and test.",)
    assert refusal({"a": ROWS, "b": ROWS}) == (
        "The source has no train split; its splits: a, b.",
        "Name one of them train.",
    )
    assert refusal({"train": ROWS, "dev": ROWS}, validation=0.1) == (
        "The source already has a validation split: the validation table.",
        "Leave --validation out.",
    )


def test_validation_is_a_number_a_file_or_a_table(tmp_path):
    assert opened(ROWS, validation=0.2).content_sha256 == opened(ROWS, validation="0.2").content_sha256
    held = read_source(opened(ROWS, validation=0.2))[1]
    assert len(held["validation"].texts) == 4
    (tmp_path / "v.csv").write_text("text,label\na,1\n")
    assert read_source(opened(ROWS, validation=str(tmp_path / "v.csv")))[1]["validation"].targets.to_pylist() == [1]
    assert read_source(opened(ROWS, pl.DataFrame(ROWS[:3])))[1]["validation"].texts.to_pylist() == TEXTS[:3]
    (tmp_path / "t.csv").write_text("text,label\na,1\nb,0\n")
    assert read_source(opened(str(tmp_path / "t.csv"), ROWS))[1]["validation"].texts.to_pylist() == TEXTS
    assert refusal(ROWS, validation=1.5)[0] == "--validation must be between 0 and 1, got 1.5."


def test_columns_are_chosen_as_in_files():
    table = pd.DataFrame({" review ": TEXTS, "other": TEXTS[::-1], "stars": np.linspace(1, 5, 20)})
    task, splits = read_source(opened(table, text="review", pair="other", label="stars"))
    assert (task.kind, splits["train"].pairs.to_pylist()) == ("regression", TEXTS[::-1])
    assert splits["train"].targets.to_pylist() == table["stars"].tolist()
    assert opened(ROWS, text="text", target="label").task.kind == "seq2seq"


def mixed(*labels):
    return [{"text": "a", "label": label} for label in labels]


REFUSED = [
    ([], "The train table has no rows.", "Add rows, or leave it out."),
    (pl.DataFrame({"text": [], "label": []}), "The train table has no rows.", "Add rows, or leave it out."),
    ([{"text": "a"}], "The train table has no column 'label'; it has: 'text'.", "Name the column with --label."),
    ([*ROWS, {"text": "b"}], "Row 21 of the train table has no 'label'.", "Fill the row or delete it."),
    ([*ROWS, {"label": 1}], "Row 21 of the train table has no 'text'.", "Fill the row or delete it."),
    (pd.DataFrame({"text": ["a", None], "label": [0, 1]}), "Row 2 of the train table has no 'text'.",
     "Fill the row or delete it."),
    (pd.DataFrame({"text": ["a", float("nan")], "label": [0, 1]}, dtype=object),
     "Row 2 of the train table has no 'text'.", "Fill the row or delete it."),
    ([*ROWS, "text"], "Row 21 of the train table is of type str, not a dict.",
     "Make each row a dict of its columns."),
    ([{1: "a"}], "Row 1 of the train table has keys that are not texts.", "Make each row a dict of its columns."),
    (pa.table([["a"], ["b"]], names=["text", " text"]), "The train table has two columns named 'text'.",
     "Rename one of them."),
    (pa.table({"text": ["a"], "label": pa.array([b"x"])}),
     "'label' of the train table contains binary, which is neither texts nor labels.", "Name another column."),
    (pa.table({"text": [1, 2], "label": [0, 1]}), "'text' of the train table contains int64, not texts.",
     "Name a column of texts, or write its numbers as texts, in quotes."),
    (pa.table([["a"], ["b"]], names=["long" * 60] * 2),
     f"The train table has two columns named '{('long' * 60)[:39]}…'.", "Rename one of them."),
    ({"text": ["a"], "label": [1]}, "The source is a dict of columns (text, label), not of splits.",
     "Pass Dataset.from_dict(columns) of the datasets library, or a DataFrame of them."),
    ({"text": np.array(["a"]), "label": pd.Series([1])},
     "The source is a dict of columns (text, label), not of splits.",
     "Pass Dataset.from_dict(columns) of the datasets library, or a DataFrame of them."),
    (7, "The train table is of type int, not a table.",
     "Pass a Dataset, a DataFrame, a pyarrow Table, a list of dicts, or a dict of splits with one of these each."),
    (datasets.Dataset.from_dict(COLUMNS).with_transform(lambda rows: rows),
     "The train table has a transform, which changes rows as they are read.",
     "Apply it with ds.map, or take it off with ds.reset_format()."),
]  # fmt: skip


@pytest.mark.parametrize(("source", "message", "next_step"), REFUSED)
def test_what_a_table_may_not_be(source, message, next_step):
    assert refusal(source) == (message, next_step)


def test_a_long_name_is_cut():
    name = "long" * 60
    message, _ = refusal(pa.table({"text": ["a"], name: [{"a": 1}]}), label=name)
    assert message == f"'{name[:39]}…' contains objects, which cannot be labels."


@pytest.mark.parametrize("wrong", ["x", [1], {"a": 1}, 2**70])
@pytest.mark.parametrize("frame", [list, pd.DataFrame])
def test_a_value_that_does_not_fit_names_its_row(frame, wrong):
    """The other columns may hold anything."""
    rows = mixed(*[0, 1] * 50, wrong, *[0, 1] * 50)
    assert refusal(frame(rows)) == (
        f"Row 101 of the train table has {wrong!r} in 'label', which does not fit.",
        "Give the column values of one type: lists in every row, or in none.",
    )
    kept, reasons = skipped(opened(frame(rows), skip_bad_rows=True))
    assert (len(kept), reasons) == (200, {100: f"has {wrong!r} in 'label', which does not fit"})
    renamed = [{**row, "meta": row["label"], "label": place % 2} for place, row in enumerate(rows)]
    assert len(texts_and_classes(opened(frame(renamed)))[0]) == 201


@pytest.mark.parametrize("odd", [5, ["x"], []])
@pytest.mark.parametrize("row", [0, 1])
def test_a_text_of_another_kind_is_skipped(odd, row):
    texts = ["x", "y", "z", "w"]
    texts[row] = odd
    frame = pd.DataFrame({"text": pd.Series(texts, dtype=object), "label": list("abab")})
    found = skipped(opened(frame, skip_bad_rows=True))
    assert found == ([place for place in range(4) if place != row], {row: f"has {odd!r} in 'text', which does not fit"})


def test_lists_with_an_empty_one_keep_it_beside_a_value_of_another_kind():
    rows = mixed([], ["x"], 3, ["y", None], ["y"])
    kept, reasons = skipped(opened(rows, skip_bad_rows=True))
    assert (kept, reasons[2]) == ([0, 1, 4], "has 3 in 'label', which does not fit")


def test_values_of_no_kind_in_most_rows_are_refused():
    message, next_step = refusal(mixed("x", 1), skip_bad_rows=True)
    assert message == "Row 2 of the train table has 1 in 'label', which does not fit."
    assert next_step.startswith("Give the column values of one type. Arrow reports: ")


def test_options_of_files_do_not_apply():
    assert refusal(ROWS, encoding="latin-1") == (
        "--encoding only applies to files, not to tables.",
        "Leave it out.",
    )
    assert refusal("sample", ROWS) == (
        "--validation only applies to your own files; sample has its columns and splits.",
        "Leave the option out.",
    )


# ----------------------------------------------------------------------------------------------- types of libraries


@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["O", "X", "a b"])])
def test_categories_of_polars_are_texts_in_a_file_and_in_a_frame(tmp_path, kind):
    plain = pl.DataFrame({"text": ["a b", "X"], "label": ["O", "X"], "tokens": [["O"], ["X"]], "tags": [["O"], ["X"]]})
    lists = pl.List(kind)
    frame = plain.with_columns(pl.col("text", "label").cast(kind), pl.col("tokens", "tags").cast(lists))
    frame.write_ipc(tmp_path / "a.arrow")
    for source in (str(tmp_path / "a.arrow"), frame):
        assert texts_and_classes(opened(source)) == (["a b", "X"], ["O", "X"])
        _, splits = read_source(opened(source, text="tokens", label="tags"))
        assert splits["train"].targets.to_pylist() == [[0], [1]]
    assert opened(frame).content_sha256 == opened(plain).content_sha256


def test_whole_numbers_of_128_bits_are_refused_if_they_are_used():
    frame = pl.DataFrame(COLUMNS).with_columns(wide=pl.col("label").cast(pl.Int128))
    assert texts_and_classes(opened(frame))[0] == TEXTS
    assert refusal(frame, label="wide") == (
        "'wide' of the train table contains Int128, which Arrow does not have.",
        "Cast it to another type, such as Int64.",
    )


def test_sparse_columns_of_pandas_are_flags():
    frame = pd.get_dummies(pd.DataFrame({"k": ["a", "b", "a"]}), sparse=True).assign(text=["x", "y", "z"])
    task, splits = read_source(opened(frame, label="k_a,k_b"))
    assert (task.kind, splits["train"].targets.to_pylist()) == ("multi_label", [[0], [1], [0]])
