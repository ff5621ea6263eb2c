"""A folder a class, as IMDB and 20 Newsgroups have them: each text is a row, and nothing is left out in silence."""

from pathlib import Path

import pytest

from tdbs.data.understood import fact_lines, source_facts
from tests.data.conftest import read_source
from tests.data.test_folders import refusal, texts_and_classes


def reviews(folder: Path) -> dict[str, str]:
    """Write texts as IMDB has them, and return them by their path."""
    found = {}
    for place, text in {
        "train/pos/0_9.txt": "a fine film\nwith two lines\n",
        "train/pos/10_7.txt": "good",
        "train/neg/1_1.txt": "a poor film",
        "test/neg/0_2.txt": "poor",
        "test/pos/0_10.txt": "fine",
        "train/neg/notes.md": "",
        "train/urls_pos.txt": "",
    }.items():
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(text, encoding="utf-8")
        found[place] = text
    return found


def test_a_folder_a_class_gives_its_texts_in_order_of_path(opened, tmp_path):
    """The independent reading: every .txt file two levels down, sorted."""
    reviews(tmp_path / "d")
    (tmp_path / "d/train/urls_pos.txt").unlink()
    source = opened(tmp_path / "d")
    for split in ("train", "test"):
        paths = sorted((tmp_path / "d" / split).glob("*/*.txt"))
        expected = [path.read_text(encoding="utf-8") for path in paths], [path.parent.name for path in paths]
        assert texts_and_classes(source, split) == expected
    assert fact_lines(source_facts(source, read_source(source)[0])) == [
        "train/neg/*.txt (1 texts), train/pos/*.txt (2 texts), test/neg/*.txt (1 texts), test/pos/*.txt (1 texts): txt",
        "classification: 'text' to 'label', 2 classes: neg, pos",
    ]


def test_what_imdb_has_beside_its_classes_is_named(opened, tmp_path):
    """urls_pos.txt is left out; the folder unsup is a class. Neither goes without a word."""
    reviews(tmp_path / "d")
    (tmp_path / "d/train/unsup").mkdir()
    (tmp_path / "d/train/unsup/0_0.txt").write_text("not labelled")
    source = opened(tmp_path / "d")
    assert read_source(source)[0].classes == ("neg", "pos", "unsup")
    assert source.notes == (
        "Files of train/ that are not read: urls_pos.txt.",
        "Files of train/ that are not read: neg/notes.md.",
        "Folders of train/ that test lacks: unsup. They are classes as the others are.",
    )


@pytest.mark.parametrize(
    ("lost", "note"),
    [
        ("tech/2020/1.txt", "Folders of train/ that are not read: tech/2020."),
        ("tech/2.text", "Files of train/ that are not read: tech/2.text."),
        ("tech/" + "long" * 30, f"Files of train/ that are not read: tech/{'long' * 13}lo… (1 in all)."),
    ],
)
def test_what_a_class_contains_beside_its_texts_is_named(opened, write, tmp_path, lost, note):
    for name in ("tech/1.txt", "art/1.txt", lost):
        write(f"d/train/{name}", "a text")
    assert opened(tmp_path / "d").notes == (note,)


def test_an_empty_folder_is_no_class_and_is_named(opened, write, tmp_path):
    for name in ("tech/1.txt", "art/1.txt"):
        write(f"d/train/{name}", "a text")
    (tmp_path / "d/train/old").mkdir()
    assert opened(tmp_path / "d").notes == ("Folders of train/ that are not read: old.",)


@pytest.mark.parametrize("others", [(), ("art/1.txt",)])
@pytest.mark.parametrize(
    ("lost", "message", "next_step"),
    [
        (
            "tech/2020/1.txt",
            "The class folder train/tech has no .txt files, but a folder 2020.",
            "Put its texts beside each other, without folders in it.",
        ),
        (
            "tech/1.text",
            "The files in train/tech do not end in .txt, such as 1.text.",
            "Rename those that are texts, so that they end in .txt.",
        ),
        (
            "alt.atheism/51060",
            "The files in train/alt.atheism do not end in .txt, such as 51060.",
            "Rename those that are texts, so that they end in .txt.",
        ),
    ],
)
def test_no_class_is_lost_as_a_whole(opened, write, tmp_path, others, lost, message, next_step):
    for name in (*others, lost):
        write(f"d/train/{name}", "a text")
    assert refusal(opened, tmp_path / "d") == (message, next_step)


@pytest.mark.parametrize("inner", ["", "/train"])
def test_folders_of_classes_belong_into_train(opened, write, tmp_path, inner, monkeypatch):
    """Without train/, or if train/ itself is passed."""
    monkeypatch.chdir(tmp_path)
    for name in ("neg/1.txt", "pos/1.txt"):
        write(f"d{inner}/{name}", "a text")
    assert refusal(opened, f"d{inner}") == (
        f"d{inner} has no train split, but folders of texts, such as neg.",
        "Put these folders into a folder train/, and pass the folder that contains it.",
    )


def test_files_without_an_extension_belong_into_train_as_texts(opened, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("d/alt.atheism/51060", "a text")
    assert refusal(opened, "d") == (
        "d has no train split; files such as alt.atheism/51060 do not end in .txt.",
        "If they are texts of classes, name them .txt, and put their folders into a folder train/.",
    )


def test_what_is_written_about_tables_is_left_out_with_a_note(opened, write, tmp_path):
    write("d/train/a.csv", "text,label\na,x\nb,y\n")
    write("d/train/README.txt", "About these files.")
    write("d/train/images/1.png", "")
    source = opened(tmp_path / "d")
    assert texts_and_classes(source) == (["a", "b"], ["x", "y"])
    assert source.notes == (
        "Files of train/ that are not read: README.txt.",
        "Folders of train/ that are not read: images.",
    )


def test_tables_beside_class_folders_are_refused(opened, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    reviews(tmp_path / "d")
    write("d/train/all.csv", "text,label\na,x\n")
    assert refusal(opened, "d") == (
        "d/train contains both files of rows (all.csv) and folders of texts (neg).",
        "Keep one of the two.",
    )


def test_texts_of_classes_have_an_encoding(opened, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("d/train/a/1.txt", "café".encode("latin-1"))
    write("d/train/b/1.txt", "thé".encode("latin-1"))
    assert texts_and_classes(opened(tmp_path / "d", encoding="latin-1")) == (["café", "thé"], ["a", "b"])
    assert refusal(opened, "d") == (
        "File train/a/1.txt is not UTF-8.",
        "Save the file as UTF-8, or pass its --encoding, such as cp1252 or utf-16.",
    )
    write("d/train/a/1.txt", "")
    assert refusal(opened, "d", encoding="latin-1")[0] == "File train/a/1.txt has no 'text'."
    assert refusal(opened, "d", delimiter=";")[0] == ("--delimiter does not apply to d/train, which contains texts.")


def test_the_digest_of_class_folders_is_of_classes_and_texts(opened, tmp_path):
    reviews(tmp_path / "d")
    (tmp_path / "d/train/urls_pos.txt").unlink()
    before = opened(tmp_path / "d").content_sha256
    (tmp_path / "d/train/pos/10_7.txt").rename(tmp_path / "d/train/pos/2.txt")
    assert opened(tmp_path / "d").content_sha256 == before  # the order is the same
    (tmp_path / "d/train/pos/2.txt").rename(tmp_path / "d/train/neg/2.txt")
    assert opened(tmp_path / "d").content_sha256 != before


def test_texts_without_a_class_beside_classes_are_named(opened, write, tmp_path):
    """They were taken for a table."""
    for name in ("train/a/1.txt", "train/b/1.txt", "test/1.txt"):
        write(f"d/{name}", "a fine film")
    assert refusal(opened, tmp_path / "d") == (
        "test/ contains texts in no folder of a class, such as 1.txt.",
        "Put them into folders as those of train/, or move the folder away.",
    )
