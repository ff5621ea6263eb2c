"""Whatever files and options contain, an error is two lines of 120 characters, and what helps is whole in them."""

from pathlib import Path

import pytest

from tdbs.cli.screen import print_error
from tdbs.data.bad_rows import with_other_rows
from tdbs.data.file_options import FileOptions
from tdbs.data.reading import read_blocks, survey_source
from tdbs.data.sources import open_source
from tdbs.data.streams import kept_streams
from tdbs.errors import RowError, TdbsError
from tdbs.shown import LINE
from tests.data.hostile import CLASS, FILE, HARD, NAME, OTHER, csv_of, file, jsonl, labels, table, tree
from tests.data.refused_files import FILES, ROWS
from tests.data.refused_labels import LABELS

LISTED = 10  # rows that an error lists, a line each


def read(source, *, mirror=None, prefix=None, **options):
    """Read a source as prepare does, with the errors that prepare raises."""
    with kept_streams(source, "train") as kept:
        place = None if mirror is None else Path(mirror)
        opened = open_source(kept, mirror=place, prefix=prefix, files=FileOptions(**options))
        try:
            survey = survey_source(opened)
            for split in survey.splits:
                list(read_blocks(opened, survey, split))
        except RowError as error:
            if opened.skips_bad_rows or opened.label_type is None:
                raise
            raise with_other_rows(opened, error) from error


def printed(error, capsys):
    """Return the lines in which the command prints an error."""
    capsys.readouterr()  # bars of the datasets library
    print_error(error.message, error.next_step, error.details)
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(("make", "options", "what", "helps"), [*FILES, *LABELS])
def test_an_error_is_two_lines_that_fit_and_keeps_what_helps(tmp_path, capsys, make, options, what, helps):
    made = make(tmp_path)
    source, more = made if isinstance(made, tuple) else (made, {})
    with pytest.raises(TdbsError) as caught:
        read(source, **options | more)
    error = caught.value
    lines = printed(error, capsys)
    assert max(map(len, lines)) <= LINE
    assert len(lines) == 2 + len(error.details)
    assert len(error.details) <= LISTED
    assert what in lines[0]
    assert helps in lines[-1]


@pytest.mark.parametrize(
    ("change", "what"), [(Path.unlink, "cannot be read"), (Path.touch, "changed while it was read")]
)
def test_so_is_that_of_a_file_that_changes(tmp_path, capsys, change, what):
    path = file(".csv", ROWS)(tmp_path)
    opened = open_source(str(path), mirror=None, files=FileOptions())
    change(path)
    with pytest.raises(TdbsError) as caught:
        survey_source(opened)
    lines = printed(caught.value, capsys)
    assert len(lines) == 2
    assert max(map(len, lines)) <= LINE
    assert what in lines[0]


NOTES = [
    (tree({f"train/{FILE}.csv": ROWS, "train/README.txt": "", f"train/{CLASS[:200]}/{FILE}": ""}), {},
     "Folders of train/"),
    (tree({"train/a/1.txt": "a", f"train/{CLASS[:200]}/1.txt": "a", "test/a/1.txt": "a"}), {}, "They are classes"),
    (tree({f"train/{name}/{FILE}.{ending}": "a" for name in "ab" for ending in ("txt", "md")}), {}, "Files of train/"),
    (table({"train": [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}], CLASS: []}), {}, "tdbs reads train"),
    (file(".jsonl", labels("['a', 'b']", "['b']")), {"label": NAME}, "are read as lists."),
    (file(".csv", csv_of((NAME, OTHER), *[("['a']", "['O', 'B-x']")] * 2)), {"text": NAME, "label": OTHER},
     "read as lists."),
    (file(".jsonl", labels(CLASS, HARD, *"xy" * 20)), {"label": NAME, "validation": 0.123456789012345},
     "stay in train"),
    (file(".jsonl", labels(*([name + CLASS] for name in "abc" * 3))), {"label": NAME, "validation": 0.9},
     "drawn whole"),
    (file(".jsonl", jsonl(*({"question": "q", "context": f"it {n}", "answers": {"text": "it", "answer_start": 0},
     "title": HARD} for n in range(9)))), {"validation": 0.123456789012345}, "not whole documents"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "options", "what"), NOTES)
def test_a_note_is_one_line_that_fits(tmp_path, make, options, what):
    opened = open_source(make(tmp_path), mirror=None, files=FileOptions(**options))
    notes = [*opened.notes, *survey_source(opened).notes]
    assert any(what in note for note in notes)
    assert max(len(f"Warning: {note}") for note in notes) <= LINE
