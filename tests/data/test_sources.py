"""A source is opened by name, file or folder, and read split by split; each refusal says what to do."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tdbs.data.columns import NUMBERS_AS_TEXTS
from tdbs.data.tasks import HUB_TASKS, Columns
from tdbs.errors import ConfigError, SourceError, TdbsError
from tests.data.conftest import read_source

ROWS = "text,label\n" + "".join(f"text {i},{'good' if i % 2 else 'bad'}\n" for i in range(20))


def refusal(opened, spec, error=SourceError, **options):
    with pytest.raises(error) as caught:
        read_source(opened(spec, **options))
    return caught.value.message, caught.value.next_step


def test_a_single_file_is_train(opened, write):
    source = opened(write("my reviews.csv", ROWS))
    task, splits = read_source(source)
    assert (source.name, source.default_tokenizer) == ("my reviews", None)
    assert (task.name, task.kind, task.classes, task.metrics) == (
        "my reviews",
        "classification",
        ("bad", "good"),
        ("accuracy", "f1_macro"),
    )
    assert list(splits) == ["train"]
    assert splits["train"].texts.type == pa.string()
    assert splits["train"].pairs is None
    assert splits["train"].targets.to_pylist() == [0, 1] * 10


def test_a_folder_has_a_file_for_each_split_in_any_format(opened, write, tmp_path):
    write("d/train.csv", "a,b,y\nx,1,0.5\ny,2,3\n")
    write("d/validation.jsonl", '{"a": "x", "b": "y", "y": 1}\n')
    pq.write_table(pa.table({"a": pa.array(["t"]).dictionary_encode(), "b": ["u"]}), tmp_path / "d/test.parquet")
    write("d/notes.csv", "ignored")
    task, splits = read_source(opened(tmp_path / "d", text="a", pair="b", label="y"))
    assert (task.kind, task.columns, task.metrics) == (
        "regression",
        Columns(text="a", pair="b", labels=("y",)),
        ("pearson", "spearman"),
    )
    assert list(splits) == ["train", "validation", "test"]
    assert splits["train"].pairs.to_pylist() == ["1", "2"]
    assert splits["validation"].targets.type == pa.float64()
    assert (splits["test"].texts.to_pylist(), splits["test"].targets) == (["t"], None)


def test_a_test_split_may_lack_all_labels_but_not_some(opened, write, tmp_path):
    write("d/train.csv", ROWS)
    write("d/test.csv", "text,label\na,\nb,\n")
    assert read_source(opened(tmp_path / "d"))[1]["test"].targets is None
    write("d/test.csv", "text,label\na,good\nb,\n")
    assert refusal(opened, tmp_path / "d") == ("Row 2 of test.csv has no 'label'.", "Fill the row or delete it.")


def test_a_fraction_holds_out_rows_by_contents_alone(opened, write):
    path = write("a.csv", ROWS)
    splits = read_source(opened(path, validation="0.2"))[1]
    train, validation = (splits[name].texts.to_pylist() for name in ("train", "validation"))
    all_texts = [f"text {i}" for i in range(20)]
    assert (len(train), len(validation)) == (16, 4)
    assert sorted(train + validation) == sorted(all_texts)
    assert train == [text for text in all_texts if text in train]
    assert validation == [text for text in all_texts if text in validation]
    other = write("elsewhere/b.csv", ROWS)
    assert read_source(opened(other, validation="0.2"))[1]["validation"].texts.to_pylist() == validation


def test_a_validation_file_of_its_own(opened, write):
    validation = write("held.csv", "text,label\nx,good\n")
    splits = read_source(opened(write("a.csv", ROWS), validation=str(validation)))[1]
    assert list(splits) == ["train", "validation"]
    assert splits["validation"].targets.to_pylist() == [1]


def test_the_digest_is_of_contents_and_of_how_they_are_read(opened, write):
    path = write("a.csv", ROWS)
    base = opened(path).content_sha256
    assert opened(write("other/b.csv", ROWS)).content_sha256 == base
    others = [
        opened(path, validation="0.2"),
        opened(path, validation="0.1"),
        opened(path, label_type="class"),
        opened(path, text="label", label="text"),
        opened(write("a2.csv", ROWS + "x,good\n")),
    ]
    assert len({base, *(source.content_sha256 for source in others)}) == 6


def test_text_falls_back_to_sentence_and_names_are_safe_in_paths(opened, write):
    source = opened(write("a=b:c.csv", ROWS.replace("text,", "sentence,", 1)))
    assert source.name == "a_b_c"
    assert source.task.columns.text == "sentence"


FILE_REFUSALS = [
    ("text,label\n", {}, "a.csv has no rows.", "Add rows, or leave it out."),
    ("text,label\na,b\n,c\n", {}, "Row 2 of a.csv has no 'text'.", "Fill the row or delete it."),
    ("text,label\na,b\nc,\n", {}, "Row 2 of a.csv has no 'label'.", "Fill the row or delete it."),
    ("x,label\na,b\n", {}, "a.csv has no column 'text'; it has: 'x', 'label'.", "Name the column with --text."),
    ("text,y\na,b\n", {}, "a.csv has no column 'label'; it has: 'text', 'y'.", "Name the column with --label."),
    (
        ROWS,
        {"pair": "other"},
        "a.csv has no column 'other'; it has: 'text', 'label'.",
        "Name the column with --pair.",
    ),
    (ROWS, {"validation": "gone.csv"}, "--validation 'gone.csv' is neither a file nor a fraction.",
     "Pass the path of a file, or a fraction such as 0.1."),
    (ROWS, {"pair": "text"}, "--text names 'text', as another option does.", "Name another column."),
    (ROWS, {"validation": "1.5"}, "--validation must be between 0 and 1, got 1.5.", "Pass a fraction such as 0.1."),
    (ROWS, {"validation": "nan"}, "--validation must be between 0 and 1, got nan.", "Pass a fraction such as 0.1."),
    (ROWS, {"validation": "0.01"}, "--validation 0.01 of 20 rows leaves 20 to train and 0 to validation.",
     "Pass another fraction, or a file."),
]  # fmt: skip


@pytest.mark.parametrize(("content", "options", "message", "next_step"), FILE_REFUSALS)
def test_what_a_file_may_not_be(opened, write, content, options, message, next_step):
    assert refusal(opened, write("a.csv", content), TdbsError, **options) == (message, next_step)


def test_held_out_rows_keep_the_row_numbers_of_the_file(opened, write):
    rows = "text,label\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(30))
    held = read_source(opened(write("a.csv", rows), validation="0.2"))[1]["validation"].texts.to_pylist()
    row = int(held[0])
    content = rows.replace(f"\n{row},{'ab'[row % 2]}\n", f"\n{row},\n")
    assert refusal(opened, write("a.csv", content), validation="0.2") == (
        f"Row {row + 1} of a.csv has no 'label'.",
        "Fill the row or delete it.",
    )


def test_folder_refusals(opened, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = "d"
    write("d/validation.csv", ROWS)
    assert refusal(opened, folder) == (
        f"{folder} has no train split: no file train or train-00000-of-…, no folder train, no state.json.",
        "Name it train with "
        ".csv, .tsv, .tab, .txt, .jsonl, .json, .ndjson, .parquet, .arrow, .conll, .conllu, .iob, .bio.",
    )
    write("d/train.csv", ROWS)
    assert refusal(opened, folder, ConfigError, validation="0.1") == (
        f"{folder} already has a validation split: validation.csv.",
        "Leave --validation out.",
    )
    write("d/train.tsv", ROWS)
    assert refusal(opened, folder) == (
        f"{folder} has two files of the train split: train.csv and train.tsv.",
        "Keep one of them.",
    )


def test_parquet_texts_must_be_texts_in_utf8(opened, tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [1, 2], "label": [0, 1]}), path)
    assert refusal(opened, path) == ("'text' of a.parquet contains int64, not texts.", NUMBERS_AS_TEXTS)
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"a", b"\xff"]).buffers())
    pq.write_table(pa.table({"text": broken, "label": [0, 1]}), path)
    assert refusal(opened, path) == (
        "'text' of a.parquet contains bytes that are not UTF-8.",
        "Write the file as UTF-8.",
    )
    pq.write_table(pa.table({"text": ["a", None], "label": [0, 1]}), path)
    assert refusal(opened, path) == ("Row 2 of a.parquet has no 'text'.", "Fill the row or delete it.")


def test_an_unknown_spec_lists_the_short_names(opened):
    assert refusal(opened, "glue/sst") == (
        "Unknown task 'glue/sst', and no file or folder glue/sst exists.",
        "Pass a path, sample, squad, xsum, cnn_dailymail, or glue/cola, sst2, mrpc, qqp, stsb, mnli, qnli, rte, wnli.",
    )


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("text", "a"),
        ("pair", "a"),
        ("label", "a"),
        ("target", "a"),
        ("label_type", "class"),
        ("validation", "0.1"),
        ("forbid_drop", "judges grammar"),
    ],
)
@pytest.mark.parametrize("spec", ["sample", "glue/rte"])
def test_shared_tasks_refuse_the_options_of_files(opened, spec, option, value):
    assert refusal(opened, spec, ConfigError, **{option: value}) == (
        f"--{option.replace('_', '-')} only applies to your own files; {spec} has its columns and splits.",
        "Leave the option out.",
    )


IN_MIRROR = [name for name in HUB_TASKS if name not in ("xsum", "cnn_dailymail")]


@pytest.mark.real_data
@pytest.mark.parametrize("name", IN_MIRROR)
def test_every_task_is_read_from_a_mirror(opened, mirror_data, name):
    task, splits = read_source(opened(name, mirror=mirror_data))
    assert task == HUB_TASKS[name].task
    assert next(iter(splits)) == "train"
    assert task.scored_split in splits
    for split, table in splits.items():
        on_disk = pq.read_table(mirror_data / name / f"{split}.parquet")
        assert table.texts.to_pylist() == on_disk[task.columns.text].to_pylist()
        assert (table.pairs is None) == (task.columns.pair is None)
        assert table.targets.to_pylist() == on_disk[task.columns.label].to_pylist()


@pytest.mark.real_data
def test_a_task_that_a_mirror_lacks(opened, mirror_data):
    assert refusal(opened, "xsum", mirror=mirror_data) == (
        f"The mirror has no file {mirror_data}/xsum/train.parquet.",
        "Put it there, or pass --mirror (or set TDBS_MIRROR) with the folder that contains xsum.",
    )


def test_a_prefix_is_for_tasks_that_write(opened, write):
    assert refusal(opened, write("a.csv", ROWS), ConfigError, prefix="x: ") == (
        "--prefix only applies to sequence to sequence tasks.",
        "Leave it out, or name the targets with --target.",
    )
    assert opened(write("b.csv", ROWS), target="label", prefix="x: ").task.prefix == "x: "
    assert opened(write("b.csv", ROWS), target="label").task.prefix == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "EU\tB-ORG\nis\tO\n", "a.tsv has no column 'text'; it has: 'EU', 'B-ORG'."),
        ("a.tsv", "EU NNP B-ORG\nis VBZ O\n", "a.tsv has no column 'text'; it has: 'EU NNP B-ORG'."),
        ("a.csv", "EU\tB-ORG\nis\tO\n", "a.csv has no column 'text'; it has: 'EU', 'B-ORG'."),
        ("a.tsv", "-DOCSTART-\t-X-\t-X-\tO\n\nEU\tNNP\tI\tO\n", "a.tsv has two columns named '-X-'."),
    ],
)
def test_a_file_that_looks_like_conll_is_named_so(opened, write, name, content, message):
    assert refusal(opened, write(name, content)) == (message, "If it is a CoNLL file, name it .conll.")


def test_a_long_name_that_is_there_twice_is_cut(opened, write):
    name = "long" * 60
    assert refusal(opened, write("a.csv", f"text,label,{name},{name}\na,x,1,2\n"))[0] == (
        f"a.csv has two columns named '{name[:39]}…'."
    )
