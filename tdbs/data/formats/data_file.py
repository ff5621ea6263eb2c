"""A file of rows, and how it is read: its format, compression, encoding and, for tables of text, its dialect.

Streams of compressed files are opened by pyarrow (bzip2, Zstandard) and the standard library (gzip, zip), so a file is
never unpacked as a whole, nor is a copy written.
"""

import codecs
import errno
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, cast

import pyarrow as pa

from tdbs.data.columns import SHOWN_WHERE
from tdbs.errors import ConfigError, RowError, SourceError, reason_of
from tdbs.shown import clipped, fitted

UTF8 = "utf-8"
_HALF_PAIRS = ("utf-7", "unicode-escape", "raw-unicode-escape")  # codecs that yield what is not UTF-8
COMPRESSIONS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".zip": "zip"}
# What the standard library raises of damage, and of forms of compression that it lacks.
_UNPACKING = (EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, NotImplementedError, RuntimeError)
_UNPACK = "Unpack it, and pass the file or the folder."


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How a table of text is written."""

    delimiter: str
    quote: str | None  # None: a quote is a character like any other
    has_header: bool = True  # False: columns are called 1, 2, …


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFile:
    """A file of rows, and how it is read."""

    path: Path
    format: str  # a name in FORMATS (formats/__init__.py)
    compression: str | None = None
    encoding: str = UTF8
    dialect: Dialect | None = None  # of tables of text

    @property
    def name(self) -> str:
        """The file's name, as errors have it: whatever they add, it fits."""
        return clipped(self.path.name, SHOWN_WHERE)


def compression_of(path: Path) -> str | None:
    """Return the compression that a file's last extension names."""
    return COMPRESSIONS.get(path.suffix.lower())


def inner_suffix(path: Path) -> str:
    """Return the extension of a file's format, in small letters: that below its compression.

    A zip file has that of the file in it. Raises SourceError unless it holds one file.
    """
    compression = compression_of(path)
    if compression is None:
        return path.suffix.lower()
    if compression != "zip":
        return PurePosixPath(path.stem).suffix.lower()
    with damage_named(path, compression, _UNPACKING), path.open("rb") as packed, _only_member(path, packed) as member:
        return PurePosixPath(str(member.name)).suffix.lower()


def plain_stem(path: Path) -> str:
    """Return a file's name without the extensions of its format and compression."""
    return path.stem if compression_of(path) is None else PurePosixPath(path.stem).stem


@contextmanager
def open_bytes(file: DataFile) -> Iterator[BinaryIO]:
    """Yield the contents of a file, unpacked as they are read. Raises SourceError if its compression is damaged."""
    if file.compression is None:
        with file.path.open("rb") as plain:
            yield cast(BinaryIO, plain)
        return
    with damage_named(file.path, file.compression, _UNPACKING), file.path.open("rb") as packed:
        if file.compression == "zip":
            with _only_member(file.path, packed) as member:
                yield cast(BinaryIO, member)
        elif file.compression == "gzip":  # pyarrow refuses the zeros behind a file that came from blocks, as tar's
            with gzip.GzipFile(fileobj=packed) as unpacked:
                yield cast(BinaryIO, unpacked)
        else:
            stream = pa.CompressedInputStream(pa.PythonFile(packed, mode="r"), file.compression)
            yield cast(BinaryIO, io.BufferedReader(stream, buffer_size=1 << 20))


@contextmanager
def open_text(file: DataFile) -> Iterator[IO[str]]:
    """Yield the contents of a file as text, line ends as they are; a mark of byte order is left out.

    Raises SourceError where they are not of the encoding.
    """
    encoding = "utf-8-sig" if file.encoding == UTF8 else file.encoding
    with open_bytes(file) as stream:
        text = io.TextIOWrapper(stream, encoding=encoding, newline="")
        try:
            if _has_kept_mark(file):
                text.read(1)
            yield text
        except UnicodeError as error:  # of no subclass if UTF-16 has no mark of byte order
            raise _not_in_encoding(file) from error
        finally:
            text.detach()  # the stream is closed by whoever opened it


def _has_kept_mark(file: DataFile) -> bool:
    """Return whether a file begins with a mark of byte order that its codec takes for a character, as it has an order.

    The file is opened once more for it: a compressed one cannot be gone back in.
    """
    if not file.encoding.startswith(("utf-16-", "utf-32-")):
        return False
    mark = "\ufeff".encode(file.encoding)
    with open_bytes(file) as stream:
        return stream.read(len(mark)) == mark


@contextmanager
def damage_named(path: Path, kind: str, errors: tuple[type[Exception], ...] = (UnicodeDecodeError,)) -> Iterator[None]:
    """Turn what libraries say of damaged contents into our error.

    Arrow has errors of its own and raises the system's without a number; `errors` are others, of a column's name say.
    """
    try:
        yield
    except (OSError, pa.ArrowException, *errors) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # the file system's error, not the format's; EINVAL is of a place before the beginning
        raise SourceError(
            fitted("{file} is not a readable " + kind + " file: {reason}.", file=path.name, reason=reason_of(error)),
            next_step="Copy or write the file again.",
        ) from error


def checked_encoding(name: str) -> str:
    """Return an encoding's name as Python has it. Raises ConfigError if it has none."""
    try:
        found = codecs.lookup(name)
        "".encode(name)  # some codecs are not of text
        if found.name in _HALF_PAIRS:
            raise LookupError(name)
    except (LookupError, ValueError) as error:
        raise ConfigError(
            fitted("--encoding '{value}' is not an encoding of text.", value=name),
            next_step="Pass one such as utf-8, cp1252 or utf-16.",
        ) from error
    return UTF8 if found.name in ("utf-8", "utf-8-sig", "ascii") else found.name


def _not_in_encoding(file: DataFile) -> SourceError:
    """Return the error for a file that failed to decode; it is read again, because decoders report no line."""
    if file.encoding != UTF8:
        marked = file.encoding if file.encoding in ("utf-16", "utf-32") else None
        order = f": {marked}-le or {marked}-be if it has no mark of byte order" if marked else ""
        return SourceError(
            f"{file.name} is not {file.encoding}.", next_step=f"Pass the --encoding that it is written in{order}."
        )
    with open_bytes(file) as lines:
        for number, line in enumerate(lines, start=1):
            try:
                line.decode(UTF8)
            except UnicodeDecodeError as error:
                return undecodable_line(file.name, number, error)
    return SourceError(f"{file.name} is not UTF-8.", next_step=_OTHER_ENCODING)


def undecodable_line(where: str, number: int, error: UnicodeDecodeError) -> SourceError:
    """Return the error for one line that is not UTF-8; bytes of a line count from 1, as rows do."""
    byte = error.object[error.start]
    return RowError(
        f"Line {number} of {where} is not UTF-8: byte {error.start + 1} of the line is 0x{byte:02x}.",
        next_step=_OTHER_ENCODING,
        reasons={number - 1: "is not UTF-8"},
    )


_OTHER_ENCODING = "Save the file as UTF-8, or pass its --encoding, such as cp1252 or utf-16."


def _only_member(path: Path, packed: IO[bytes]) -> IO[bytes]:
    """Return the file in an archive, opened; folders and what macOS adds do not count."""
    try:
        archive = zipfile.ZipFile(packed)
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
        if len(names) == 1:
            return archive.open(names[0])
    except ValueError as error:  # names that are not UTF-8, and places before the beginning on object stores
        raise zipfile.BadZipFile(reason_of(error)) from error
    raise SourceError(fitted("{file} contains {count} files.", file=path.name, count=len(names)), next_step=_UNPACK)
