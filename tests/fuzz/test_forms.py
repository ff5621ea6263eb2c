"""The forms of data that people have: what is written is read as it was, or refused; damage never passes for a fault."""

import shutil
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import FileOptions, open_source
from tdbs.errors import TdbsError
from tests.fuzz.forms import ENCODINGS, Row, Written, class_folders, harmed, one_file, shards
from tests.fuzz.mutations import damaged
from tests.fuzz.test_readers import read_all


def rows_of(path: Path, options: dict[str, Any]) -> list[Row]:
    """Return the rows of a source with their labels, as prepare reads them."""
    source = open_source(str(path), mirror=None, files=FileOptions(**options))
    survey = survey_source(source)
    classes = survey.task.classes
    found: list[Row] = []
    for block in read_blocks(source, survey, "train"):
        pairs = [None] * len(block.texts) if block.pairs is None else block.pairs.to_pylist()
        for text, pair, target in zip(block.texts.to_pylist(), pairs, block.targets.to_pylist(), strict=True):
            match target:
                case int():
                    target = classes[target]
                case list():
                    target = [classes[value] for value in target]
            found.append((text, pair, target))
    return found


def test_what_is_written_is_read_or_refused(fuzz, place):
    def check(written: Written) -> None:
        path = written.write(place)
        try:
            assert rows_of(path, written.options) == written.rows
        except TdbsError as error:
            assert not written.is_certain, str(error)
            raise
        finally:
            empty(place)

    for target, inputs, of in (
        ("forms, file", 5_000, one_file()),
        ("forms, shards", 2_000, shards()),
        ("forms, class folders", 800, class_folders()),
    ):
        fuzz(target, inputs=inputs, of=of, check=check)


def empty(place: Path) -> None:
    """Remove what an input wrote."""
    for path in place.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


# What a user may say of files, true or not.
SAID = st.fixed_dictionaries(
    {},
    optional={
        "delimiter": st.sampled_from((",", ";", "tab", '"', "'", " ", "\0", "é", "\U0001f600", "\ud800", "", "ab")),
        "quote": st.sampled_from(('"', "'", "none", ",", " ", "\0", "é", "\ud800", "", "ab")),
        "no_header": st.booleans(),
        "encoding": st.sampled_from(
            (*ENCODINGS, "utf-8", "ascii", "utf-16-be", "utf-32-le", "iso2022_jp", "hz", "idna", "punycode", "cp037",
             "unicode_escape", "raw_unicode_escape", "rot13", "hex", "undefined", "mbcs", "\0", "nope", "")
        ),
        "text": st.sampled_from(("text", "label", "1", "tokens", "question", "é")),
        "label": st.sampled_from(("label", "2", "text,label", "ner_tags", "answers")),
        "pair": st.sampled_from(("id", "context", "3")),
        "label_type": st.sampled_from(("class", "regression")),
        "validation": st.sampled_from(("0.5", "0.1")),
        "skip_bad_rows": st.booleans(),
    },
)  # fmt: skip


def test_damage_and_other_options_never_pass_for_a_fault(fuzz, place):
    def check(example: tuple[Written, dict[str, Any]]) -> None:
        written, said = example
        try:
            read_all(written.write(place), written.options | said)
        finally:
            empty(place)

    of = st.tuples(harmed(damaged), st.just({}) | st.just({"skip_bad_rows": True}) | SAID)
    fuzz("forms, damaged", inputs=6_000, of=of, check=check)
