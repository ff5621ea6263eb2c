"""The forms of data that people have: what is written is read as it was, and damage is read or refused."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from tdbs.data.file_options import FileOptions
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import open_source
from tdbs.errors import TdbsError
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.verify import verify
from tests.fuzz.forms import CHECKED, ENCODINGS, Row, Written, any_form, class_folders, harmed, one_file, shards
from tests.fuzz.test_readers import read_all
from tests.pipeline.test_tokenizer import write_tokenizer


def rows_of(path: Path, options: dict[str, Any]) -> list[Row]:
    """Return the rows of a source with their labels, as prepare reads them."""
    source = open_source(str(path), mirror=None, files=FileOptions(**options))
    survey = survey_source(source)
    found: list[Row] = []
    for block in read_blocks(source, survey, "train"):
        pairs = [None] * len(block.texts) if block.pairs is None else block.pairs.to_pylist()
        targets = [label_of(target, survey.task.classes) for target in block.targets.to_pylist()]
        found += zip(block.texts.to_pylist(), pairs, targets, strict=True)
    return found


def label_of(target: Any, classes: tuple[str, ...]) -> Any:
    """Return the label that a target stands for."""
    match target:
        case int():
            return classes[target]
        case list():
            return [classes[value] for value in target]
    return target


@pytest.mark.parametrize(
    ("target", "inputs", "of"),
    [("file", 5_000, one_file()), ("shards", 2_000, shards()), ("class folders", 800, class_folders())],
)
def test_what_is_written_is_read_or_refused(fuzz, place, target, inputs, of):
    """What a user said, or what is certain, must be read; all else may be refused, but is never read as other rows."""

    def check(written: Written) -> None:
        path = written.write(place)
        try:
            found = rows_of(path, written.options)
        except TdbsError as error:
            if written.is_certain:
                raise AssertionError(str(error)) from error
            raise
        else:
            assert found == written.rows
        finally:
            empty(place)

    fuzz(f"forms, {target}", inputs=inputs, of=of, check=check)


def empty(place: Path) -> None:
    """Remove what an input wrote."""
    for path in place.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


NAMES = (*ENCODINGS, "utf-16-be", "utf-32-le", "iso2022_jp", "idna", "punycode", "cp037", "utf-7", "unicode_escape",
         "raw_unicode_escape", "undefined", "hex", "\0", "")  # fmt: skip
MARKS = st.sampled_from((",", ";", "tab", '"', "'", "none", " ", "\0", "\r", "é", "\U0001f600", "\ud800", "", "ab"))
SAID = st.fixed_dictionaries(
    {},
    optional={
        "delimiter": MARKS,
        "quote": MARKS,
        "no_header": st.booleans(),
        "encoding": st.sampled_from(NAMES),
        "text": st.sampled_from(("text", "label", "1", "tokens", "question", "é")),
        "label": st.sampled_from(("label", "2", "text,label", "ner_tags", "answers")),
        "pair": st.sampled_from(("id", "context", "3")),
        "label_type": st.sampled_from(("class", "regression")),
        "validation": st.sampled_from(("0.5", "0.1")),
        "skip_bad_rows": st.booleans(),
    },
)
OF_TABLES = st.fixed_dictionaries({"delimiter": MARKS, "quote": MARKS}, optional={"no_header": st.booleans()})
OF_TEXTS = st.fixed_dictionaries({"encoding": st.sampled_from(NAMES)})


def test_damage_and_other_options_never_pass_for_a_fault(fuzz, place):
    def check(example: tuple[Written, dict[str, Any]]) -> None:
        written, said = example
        try:
            read_all(written.write(place), written.options | said)
        finally:
            empty(place)

    options = st.just({}) | st.just({"skip_bad_rows": True}) | OF_TABLES | OF_TEXTS | SAID
    fuzz("forms, damaged", inputs=6_000, of=st.tuples(harmed(any_form), options), check=check)


def test_damage_of_a_compressed_file_never_changes_a_row(fuzz, place):
    def check(written: Written) -> None:
        try:
            assert rows_of(written.write(place), written.options) == written.rows
        finally:
            empty(place)

    fuzz("forms, damaged archives", inputs=3_000, of=harmed(one_file(CHECKED)), check=check)


def test_of_damaged_files_a_whole_dataset_is_prepared_or_nothing(fuzz, place, tmp_path):
    tokenizer, out = write_tokenizer(tmp_path / "words"), tmp_path / "out"

    def check(written: Written) -> None:
        try:
            found = prepare(str(written.write(place)), tokenizer=str(tokenizer), out=out, **written.options)
            assert verify(found.dataset.path).problems == ()
        except TdbsError:
            assert not out.exists()
            raise
        finally:
            empty(place)
            shutil.rmtree(out, ignore_errors=True)
            assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "words"]

    fuzz("forms, prepare", inputs=800, of=any_form | harmed(any_form), check=check)
