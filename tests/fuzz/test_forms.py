"""The forms of data that people have: what is written is read as it was, or refused; damage never passes for a fault."""

import shutil
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import FileOptions, open_source
from tdbs.errors import TdbsError
from tests.fuzz.forms import Row, Written, class_folders, harmed, one_file, shards
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
