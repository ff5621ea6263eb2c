"""Compressed files are read as the plain ones: found by their extension, unpacked as they are read, errors by name."""

import bz2
import gzip
import io
import zipfile
from contextlib import suppress

import pyarrow as pa
import pytest

from tdbs.data.formats import SUFFIXES, count_rows, read_schema, read_tables
from tdbs.errors import SourceError
from tests.data.conftest import read_source
from tests.data.files import as_it_is

TEXTS = {
    "csv": "text,label\nfine,1\n\"bad, really\",0\n",
    "tsv": "text\tlabel\nfine\t1\nbad, really\t0\n",
    "jsonl": '{"text": "fine", "label": 1}\n{"text": "bad, really", "label": 0}\n',
}  # fmt: skip


def zipped(data: bytes, *names: str) -> bytes:
    place = io.BytesIO()
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return place.getvalue()


def zstd(data: bytes) -> bytes:
    return pa.compress(data, "zstd", asbytes=True)


PACK = {"gz": gzip.compress, "bz2": bz2.compress, "zst": zstd, "zip": lambda data: zipped(data, "x/", "x/a.csv")}


@pytest.mark.parametrize("packed", PACK)
@pytest.mark.parametrize("suffix", TEXTS)
def test_a_compressed_file_is_read_as_the_plain_one(write, suffix, packed):
    data = TEXTS[suffix].encode()
    whole = zipped(data, f"a.{suffix}", "__MACOSX/._a") if packed == "zip" else PACK[packed](data)
    file = as_it_is(write(f"a.{suffix}.{packed}", whole))
    assert read_schema(file).names == ["text", "label"]
    assert count_rows(file, "text") == 2
    table = pa.concat_tables(read_tables(file, {"text": "text", "label": "label"}))
    assert table.to_pydict() == {"text": ["fine", "bad, really"], "label": ["1", "0"]}


def test_a_gzip_of_several_members_is_read_whole(write):
    """As `cat a.gz b.gz` makes it."""
    file = as_it_is(write("a.csv.gz", gzip.compress(b"text,label\na,1\n") + gzip.compress(b"b,2\n")))
    assert count_rows(file, "text") == 2


def test_zeros_behind_a_gzip_are_left_out(write):
    """As gzip reads files that were written in whole blocks."""
    file = as_it_is(write("a.csv.gz", gzip.compress(b"text,label\na,1\n") + b"\0" * 512))
    assert count_rows(file, "text") == 1


def test_a_zip_may_have_a_name_of_its_own_and_a_dataset_has_the_plain_name(write, opened):
    source = opened(write("reviews.zip", zipped(TEXTS["csv"].encode(), "train.csv")))
    assert source.name == "reviews"
    assert opened(write("films.csv.gz", gzip.compress(TEXTS["csv"].encode()))).name == "films"
    _, splits = read_source(source)
    assert splits["train"].texts.to_pylist() == ["fine", "bad, really"]


def test_a_folder_may_hold_compressed_splits(write, opened):
    write("d/train.csv.gz", gzip.compress(TEXTS["csv"].encode()))
    path = write("d/validation.csv", TEXTS["csv"])
    assert [split.name for split in opened(path.parent).splits] == ["train", "validation"]


@pytest.mark.parametrize("packed", PACK)
def test_a_damaged_file_is_named(write, packed):
    """Cut, or of other contents than its extension says: no row of it is used, or the error comes with the last one."""
    whole = PACK[packed](TEXTS["csv"].encode() * 3_000)
    for number, damaged in enumerate((whole[: len(whole) // 2], b"no such thing" * 9)):
        path = write(f"{number}.csv.{packed}", damaged)
        with pytest.raises(SourceError) as caught:
            list(read_tables(as_it_is(path), {"text": "text"}))
        kind = {"gz": "gzip", "zst": "zstd"}.get(packed, packed)
        assert caught.value.message.startswith(f"{number}.csv.{packed} is not a readable {kind} file: ")
        assert caught.value.next_step == "Copy or write the file again."


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_flipped_byte_of_a_zip_is_refused_or_changes_no_row(write, method):
    """The standard library has an error of its own for each place and kind of compression."""
    place = io.BytesIO()
    with zipfile.ZipFile(place, "w", method) as archive:
        archive.writestr("a.csv", TEXTS["csv"])
    whole = place.getvalue()
    for number in range(len(whole)):
        path = write("a.zip", whole[:number] + bytes([whole[number] ^ 0x88]) + whole[number + 1 :])
        with suppress(SourceError):
            found = pa.concat_tables(read_tables(as_it_is(path), {"text": "text"}))
            assert found["text"].to_pylist() == ["fine", "bad, really"]


@pytest.mark.parametrize(
    ("name", "data", "message", "next_step"),
    [
        ("a.zip", zipped(b"text,label\n", "a.csv", "b.csv"), "a.zip contains 2 files.",
         "Unpack it, and pass the file or the folder."),
        ("a.zip", zipped(b"", "x/"), "a.zip contains 0 files.", "Unpack it, and pass the file or the folder."),
        ("a.parquet.gz", gzip.compress(b"PAR1"), "a.parquet.gz is a compressed parquet file.", "Unpack it."),
        ("a.zip", zipped(b"", "a.csv.gz"), "a.zip contains a file that ends in .gz.", "Unpack it, and pass the file."),
        ("a.zip", zipped(b"", "data"), "a.zip contains a file without an extension.",
         f"Use one of {', '.join(SUFFIXES)}."),
        ("reviews.gz", gzip.compress(b"a"), "reviews.gz has no extension of a format before that of its compression.",
         "Name it such as reviews.csv.gz."),
    ],
    ids=["two files", "no file", "parquet", "compressed twice", "no extension in it", "no extension"],
)  # fmt: skip
def test_archives_that_are_refused(write, name, data, message, next_step):
    with pytest.raises(SourceError) as caught:
        as_it_is(write(name, data))
    assert (caught.value.message, caught.value.next_step) == (message, next_step)
