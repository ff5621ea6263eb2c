"""Name the line and the byte at which a text file stops being UTF-8."""

from pathlib import Path

from tdbs.errors import SourceError


def not_utf8(path: Path) -> SourceError:
    """Return the error for a file that failed to decode; it is read again, because decoders report no line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                return undecodable_line(path.name, number, error)
    return SourceError(f"{path.name} is not UTF-8.", next_step="Save it as UTF-8.")


def undecodable_line(where: str, number: int, error: UnicodeDecodeError) -> SourceError:
    """Return the error for one line; bytes of a line count from 1, as rows do."""
    byte = error.object[error.start]
    return SourceError(
        f"line {number} of {where} is not UTF-8: byte {error.start + 1} of the line is 0x{byte:02x}.",
        next_step="Save the file as UTF-8.",
    )
