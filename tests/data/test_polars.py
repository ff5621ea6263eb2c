"""What polars has and Arrow's own functions lack: categories in files, whole numbers of 128 bits, plans that fail."""

import os

import polars as pl
import pytest

from tdbs.data.file_options import FileOptions
from tdbs.data.sources import open_source
from tdbs.errors import SourceError
from tests.data.conftest import read_source

ROWS = {"text": ["a", "b", None, "b"], "label": ["x", "y", "x", None]}
LISTS = {"text": ["a", "b", "c"], "label": [["x"], ["y"], ["x", "y"]]}
WORDS = {"tokens": [["a", "b"], ["a"]], "ner_tags": [["O", "B-X"], ["O"]]}
FRAMES = {
    "texts": (pl.DataFrame(ROWS).drop_nulls(), ["text", "label"]),
    "lists": (pl.DataFrame(LISTS), ["label"]),
    "words": (pl.DataFrame(WORDS), ["tokens", "ner_tags"]),
}


def contents(source):
    task, splits = read_source(open_source(source, mirror=None, files=FileOptions()))
    return task.classes, splits["train"].texts.to_pylist(), splits["train"].targets.to_pylist()


@pytest.mark.parametrize("name", FRAMES)
@pytest.mark.parametrize("kind", [pl.Categorical, pl.Enum(["a", "b", "x", "y", "O", "B-X"])])
def test_categories_in_arrow_files_are_texts(tmp_path, name, kind):
    """Also in lists."""
    frame, columns = FRAMES[name]
    kinds = {column: pl.List(kind) if frame.schema[column] == pl.List else kind for column in columns}
    path = tmp_path / "a.arrow"
    frame.cast(kinds).write_ipc(path)
    assert contents(str(path)) == contents(frame)
    frame.cast(kinds).write_ipc_stream(path)
    assert contents(str(path)) == contents(frame)


def test_missing_categories_stay_missing(tmp_path):
    pl.DataFrame(ROWS | {"label": list("xyxy")}, schema_overrides={"text": pl.Categorical}).write_ipc(
        tmp_path / "a.arrow"
    )
    with pytest.raises(SourceError) as caught:
        contents(str(tmp_path / "a.arrow"))
    assert caught.value.message == "Row 3 of a.arrow has no 'text'."


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (pl.scan_csv("missing.csv"), "No such file or directory"),
        (pl.LazyFrame(ROWS).select("other"), 'unable to find column "other"'),
        (pl.LazyFrame(ROWS).cast({"text": pl.Int64}), "conversion from `str` to `i64` failed"),
    ],
)
def test_a_lazy_frame_that_fails_is_refused(frame, reason):
    with pytest.raises(SourceError) as caught:
        contents(frame)
    assert caught.value.message.startswith(f"The train table cannot be collected: {reason}")
    assert caught.value.next_step == "Call its collect() yourself, and fix what fails."


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(SourceError) as caught:
        contents(str(tmp_path / "a.csv"))
    assert caught.value.message.endswith("a.csv is neither a file nor a folder.")
    assert caught.value.next_step == "Write what comes out of it to a file, and pass that."
