"""Find the user's files and the columns to read from them: one file is train, a folder holds splits."""

import re
from collections.abc import Mapping
from pathlib import Path

from tdbs.data.formats import FORMATS, column_names, format_of
from tdbs.data.tasks import Columns
from tdbs.errors import ConfigError, SourceError

BUILT_IN_SAMPLE = "sample"  # its dataset has defaults of its own
SPLITS = ("train", "validation", "test")
_TEXT_NAMES = ("text", "sentence")


def split_files(path: Path) -> dict[str, Path]:
    """Return the file of each split; in a folder they are <split>.<extension>, and other files are ignored."""
    if path.is_file():
        format_of(path)
        return {"train": path}
    files: dict[str, Path] = {}
    for split in SPLITS:
        found = [path / f"{split}{suffix}" for suffix in FORMATS if (path / f"{split}{suffix}").is_file()]
        if len(found) > 1:
            raise SourceError(
                f"{path} has two files of the {split} split: {found[0].name} and {found[1].name}.",
                next_step="Keep one of them.",
            )
        if found:
            files[split] = found[0]
    if "train" not in files:
        raise SourceError(
            f"{path} has no train file.", next_step=f"Name it train with one of the endings {', '.join(FORMATS)}."
        )
    return files


def source_name(path: Path) -> str:
    """Return the file's stem or the folder's name, as a folder name that is safe everywhere."""
    path = path.resolve()
    name = path.stem if path.is_file() else path.name
    safe = re.sub(r"[^\w .+-]", "_", name).strip(" .")  # no `=` either: readers take a=b in a path for a column
    if not safe:
        raise SourceError(f"{path} has no name to call the dataset by.", next_step="Rename it.")
    return f"{safe}_file" if safe == BUILT_IN_SAMPLE else safe


def choose_columns(
    files: Mapping[str, Path], *, text: str | None, pair: str | None, label: str | None
) -> tuple[Columns, set[str]]:
    """Return the columns to read and the splits that have labels; every split must have what is asked for."""
    names = {split: column_names(path) for split, path in files.items()}
    if text is None:
        text = next((name for name in _TEXT_NAMES if name in names["train"]), _TEXT_NAMES[0])
    columns = Columns(text=text, pair=pair, label="label" if label is None else label)
    asked = {"--text": columns.text, "--pair": columns.pair, "--label": columns.label}
    for option, column in asked.items():
        if column is not None and list(asked.values()).count(column) > 1:
            raise ConfigError(f"{option} names '{column}', as another option does.", next_step="Name another column.")
    for split, path in files.items():
        for option, column in asked.items():
            may_lack = column is None or (split == "test" and option == "--label")
            if column not in names[split] and not may_lack:
                raise SourceError(
                    f"{path.name} has no column '{column}'; it has: {', '.join(names[split])}.",
                    next_step=f"Name the column with {option}.",
                )
    return columns, {split for split in files if columns.label in names[split]}
