"""Files as tdbs finds them to be read, without any option."""

from pathlib import Path

from tdbs.data.formats import ReadOptions, data_file
from tdbs.data.formats.data_file import DataFile


def as_it_is(path: Path) -> DataFile:
    """Return a file with its format and dialect."""
    return data_file(path, ReadOptions())
