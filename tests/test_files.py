"""Files are written and removed in one place: with the rights of the umask, through no link, below no other root."""

import os
import re
import stat
import tempfile
from pathlib import Path

import pytest

from tdbs.errors import ConfigError
from tdbs.files import (
    append_to,
    copy_files,
    folders_named,
    make_folder,
    name_in_folder,
    new_file,
    new_folder,
    private_temporary_folder,
    write_text,
)
from tdbs.removal import remove_folder

PACKAGE = Path(__file__).parents[1] / "tdbs"
REMOVES = re.compile(r"\b(rmtree|unlink|rmdir|os\.remove|removedirs)\b")
# `path.write_text(…)` writes by itself; `write_text(path, …)` is our helper.
WRITES = re.compile(r"\w\.(write_text|write_bytes|touch)\(|\bopen\([^)]*[\"'][wax]b?\+?[\"']|copytree\(")
MAY_WRITE = {
    "files.py": "the place itself",
    "analysis/profile/caps.py": "a file of the kernel's",
    "inference/output.py": "the hidden file of new_file",
    "pipeline/publish.py": "a copy into a folder that was just made",
}


@pytest.fixture
def umask():
    """Return a function that sets the umask; it is what it was afterwards."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0o002, 0o022, 0o026, 0o027, 0o077])
def test_files_and_folders_have_the_rights_that_the_umask_gives(tmp_path, umask, mask):
    """Whatever the library that wrote them: safetensors makes files for their owner alone."""
    umask(mask)
    with new_file(tmp_path / "file") as hidden:
        hidden.unlink()
        hidden.touch(mode=0o600)
    with new_folder(tmp_path / "folder") as hidden:
        assert rights(hidden) == 0o700
        (hidden / "inner").mkdir(mode=0o700)
        (hidden / "inner/weights").touch(mode=0o600)
    write_text(tmp_path / "text", "x")
    found = {str(path.relative_to(tmp_path)): rights(path) for path in tmp_path.rglob("*")}
    file, folder = 0o666 & ~mask, 0o777 & ~mask
    assert found == {"file": file, "text": file, "folder": folder, "folder/inner": folder, "folder/inner/weights": file}


def test_a_file_is_never_written_through_a_link(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "place").symlink_to("mine")
    write_text(tmp_path / "place", "new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "place").read_text() == "new"
    (tmp_path / "log").symlink_to("mine")
    with pytest.raises(OSError, match="symbolic links"):
        append_to(tmp_path / "log")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "mine", "place"]


def test_a_folder_is_neither_made_nor_removed_through_a_link(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    place = tmp_path / "place"
    place.symlink_to("mine")
    remove_folder(place, faults=True)
    for write in (lambda: make_folder(place), lambda: copy_files(tmp_path / "mine", place, leave_out="")):
        with pytest.raises(ConfigError) as caught:
            write()
        assert caught.value.message == f"{place} is a link, and tdbs neither writes nor removes through links."
        assert caught.value.next_step == "Remove the link."
    with pytest.raises(ConfigError), new_folder(place):
        pytest.fail("it was made")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_what_a_killed_process_left_of_a_folder_is_removed_and_nothing_like_it(tmp_path):
    for name in (".model.0123abcd", ".model.mine", ".model2.0123abcd"):
        (tmp_path / name).mkdir()
    (tmp_path / ".model.89abcdef").symlink_to(".model.mine")
    with new_folder(tmp_path / "model") as hidden:
        (hidden / "new").touch()
    left = [".model.89abcdef", ".model.mine", ".model2.0123abcd", "model"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("sample", "sample"),
        ("glue/sst2", "glue/sst2"),
        ("my reviews.v2", "my reviews.v2"),
        ("../..", "unnamed"),
        ("../../etc/x", "etc/x"),
        ("/etc/passwd", "etc/passwd"),
        ("..\\..\\x", "x"),
        ("a/./../b", "a/b"),
        ("", "unnamed"),
        ("a\x00b", "a_b"),
    ],
)
def test_a_name_from_a_file_never_leads_out_of_its_folder(name, folders):
    assert folders_named(name) == Path(folders)
    assert name_in_folder(name) == folders.replace("/", "-")


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """Return this user's folder in a temporary folder of the test's; it is not there yet."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"tdbs-{os.geteuid()}"


def test_the_temporary_folder_is_the_users_alone(temporary):
    assert private_temporary_folder() == private_temporary_folder() == temporary
    assert rights(temporary) == 0o700


@pytest.mark.parametrize("what", ["link", "dangling link", "file", "open to others", "of another user"])
def test_a_temporary_folder_that_others_laid_is_refused(temporary, tmp_path, monkeypatch, what):
    (tmp_path / "mine").mkdir(mode=0o700)
    if what in ("link", "dangling link"):
        temporary.symlink_to("mine" if what == "link" else "nowhere")
    elif what == "file":
        temporary.touch(mode=0o600)
    else:
        temporary.mkdir(mode=0o700)
        temporary.chmod(0o770 if what == "open to others" else 0o700)
    if what == "of another user":
        user = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: user)
        temporary.rename(temporary.with_name(f"tdbs-{user}"))
        temporary = temporary.with_name(f"tdbs-{user}")
    with pytest.raises(ConfigError) as caught:
        private_temporary_folder()
    assert caught.value.message == f"{temporary} is not a folder that you alone can write into."
    assert caught.value.next_step == "Remove it, or set TMPDIR to a folder of your own."
    assert list((tmp_path / "mine").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def strays(pattern: re.Pattern[str], allowed: set[str]) -> list[str]:
    """Return the lines of the package that a pattern finds outside the files that may have it."""
    return [
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).as_posix() not in allowed
        for line in path.read_text(encoding="utf-8").splitlines()
        if pattern.search(line)
    ]


def test_one_place_removes_files_and_folders():
    assert strays(REMOVES, {"removal.py"}) == []


def test_one_place_writes_files():
    assert strays(WRITES, set(MAY_WRITE)) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (REMOVES, "shutil.rmtree(folder)"),
        (REMOVES, "from shutil import rmtree"),
        (REMOVES, "path.unlink(missing_ok=True)"),
        (REMOVES, "os.remove(path)"),
        (WRITES, 'path.write_text("x")'),
        (WRITES, 'with path.open("wb") as file:'),
        (WRITES, "open(path, 'a', encoding='utf-8')"),
        (WRITES, "shutil.copytree(a, b)"),
    ],
)
def test_meta_the_search_can_fail(pattern, line):
    assert pattern.search(line)
    assert not pattern.search("write_text(path, text); remove_folder(path); remove_file(path); path.open('rb')")
