"""Find the splits of a folder: files, numbered shards, one folder a class, what `save_to_disk` wrote.

Looked for in this order, and nothing else in the folder is read:
- `dataset_dict.json` or `state.json`: a DatasetDict or a Dataset that the datasets library saved;
- `<split>.<ending>`, or `<split>-00000-of-00002.<ending>` and its others, here or in `data/`, as hub repositories are;
- `<split>/` with such files in order of name, or with one folder a class of `.txt` files.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tdbs.data.beir import refuse_beir
from tdbs.data.class_folders import (
    class_store,
    classes_of_train_alone,
    find_classes,
    not_read,
    refuse_classes_without_split,
    refuse_lost_class,
    refuse_texts_without_class,
    visible,
)
from tdbs.data.columns import SHOWN_WHERE
from tdbs.data.formats import SUFFIXES, ReadOptions, data_file, refuse_options
from tdbs.data.formats.data_file import COMPRESSIONS, inner_suffix
from tdbs.data.split_names import SPLIT_NAMES
from tdbs.data.stores import ClassFolders, Shards, Store, refuse_other_columns
from tdbs.errors import SourceError
from tdbs.fields import FileName
from tdbs.records import Form, read_record
from tdbs.shown import MESSAGE, NOTE, clipped, fitted

_Record = TypeVar("_Record")
_SHOWN_RECORD = 30  # characters of a note's path: what is wrong with it stands behind
_STATE, _DICT = "state.json", "dataset_dict.json"
_ABOUT = {"README", "LICENSE", "LICENCE", "CHANGELOG", "CITATION", "NOTICE"}  # texts that say something of other files
_SHARD = re.compile(r"(?P<name>.+)-(?P<number>\d{5,})-of-(?P<all>\d{5,})(?:-[0-9a-f]+)?(?P<ending>\..+)")
_FORM = Form(
    what="a saved Dataset",
    error=SourceError,
    next_step="Save it again with save_to_disk.",
    foreign=True,
    width=MESSAGE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Saved:
    """What `dataset_dict.json` holds."""

    splits: tuple[FileName, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _SavedFile:
    filename: FileName


@dataclass(frozen=True, kw_only=True, slots=True)
class _State:
    """What `state.json` holds. Old versions of the datasets library saved a list of chosen rows beside the rows."""

    _data_files: tuple[_SavedFile, ...]
    _indices_data_files: tuple[_SavedFile, ...] | None = None
    _indices_files: tuple[_SavedFile, ...] | None = None


def folder_splits(folder: Path, options: ReadOptions) -> tuple[dict[str, Store], tuple[str, ...]]:
    """Return what holds each split of a folder, in order, and notes on what is left out.

    Raises SourceError if there is no train split, if a split is there twice, if a shard is missing, and for a damaged
    note of `save_to_disk`.
    """
    if (folder / _DICT).is_file():
        names = _record(folder / _DICT, _Saved).splits
        chosen, notes = chosen_splits(names, where=folder)
        found = {split: _saved_split(folder / name) for split, name in chosen.items()}
        refuse_options(options, _saved_options(folder))
        return found, notes
    if (folder / _STATE).is_file():
        refuse_options(options, _saved_options(folder))
        return {"train": _saved_split(folder)}, ()
    for place in (folder, folder / "data"):
        found, left_out = _splits_in(place, options) if place.is_dir() else ({}, [])
        if "train" in found:
            return found, (*left_out, *classes_of_train_alone(found))
    refuse_classes_without_split(folder)
    refuse_beir(folder)
    endings = ", ".join(SUFFIXES)
    raise SourceError(
        fitted(
            "{folder} has no train split: no file train or train-00000-of-…, no folder train, no " + _STATE + ".",
            folder=folder,
        ),
        next_step=f"Name it train with {endings}.",
    )


def chosen_splits(names: Iterable[str], *, where: str | Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return which of some names is each split, in order, and a note on those that are none.

    Raises SourceError if there is no train, or if two are one split.
    """
    given = list(names)
    chosen: dict[str, str] = {}
    for split, known in SPLIT_NAMES.items():
        found = [name for name in given if name in known]
        if len(found) > 1:
            raise _two_of(where, split, *found[:2])
        if found:
            chosen[split] = found[0]
    if "train" not in chosen:
        raise SourceError(
            fitted("{where} has no train split; its splits: {names}.", where=where, names=", ".join(given) or "none"),
            next_step="Name one of them train.",
        )
    left_out = [name for name in given if name not in chosen.values()]
    sentence = "Splits that are not read: {names}. tdbs reads train, validation and test."
    note = fitted(sentence, width=NOTE, names=", ".join(left_out))
    return chosen, (note,) if left_out else ()


def _splits_in(folder: Path, options: ReadOptions) -> tuple[dict[str, Store], list[str]]:
    entries = visible(folder)
    files = [path for path in entries if path.is_file()]
    found: dict[str, Store] = {}
    notes: list[str] = []
    for split, names in SPLIT_NAMES.items():
        candidates = [*_files_named(names, files), *_shards_named(names, files)]
        folders = [path for path in entries if path.name in names and path.is_dir()]
        if isinstance(found.get("train"), ClassFolders):
            refuse_texts_without_class(folders)
        kept = [store for path in folders if (store := _split_folder(path, options, notes)) is not None]
        if len(candidates) + len(kept) > 1:
            named = [each[0].name for each in candidates] + [f"{path.name}/" for path in folders]
            raise _two_of(folder, split, *named[:2])
        if candidates:
            found[split] = _store_of(candidates[0], options)
        elif kept:
            found[split] = kept[0]
    return found, notes


def _files_named(names: tuple[str, ...], files: list[Path]) -> Iterator[list[Path]]:
    """Yield each file that is called by a split: its name, the ending of a format, and perhaps of a compression."""
    endings = [f"{suffix}{packed}" for suffix in SUFFIXES for packed in ("", *COMPRESSIONS)]
    known = {f"{name}{ending}": place for name in names for place, ending in enumerate([*endings, ".zip"])}
    yield from ([path] for path in sorted(files, key=lambda path: known.get(path.name, 0)) if path.name in known)


def _shards_named(names: tuple[str, ...], files: list[Path]) -> Iterator[list[Path]]:
    """Yield each set of numbered files that are called by a split. Raises SourceError if one of a set is missing."""
    sets: dict[tuple[str, str, str], dict[int, Path]] = {}
    for path in files:
        parts = _SHARD.fullmatch(path.name)
        if parts is None or parts["name"] not in names or not _has_rows(path):
            continue
        shards = sets.setdefault((parts["name"], parts["all"], parts["ending"]), {})
        if int(parts["number"]) in shards:
            raise SourceError(
                fitted("{one} and {other} are one shard.", one=shards[int(parts["number"])].name, other=path.name),
                next_step="Keep one of them.",
            )
        shards[int(parts["number"])] = path
    for (name, count, ending), shards in sets.items():
        missing = next((number for number in range(int(count)) if number not in shards), None)
        if missing is not None:
            raise SourceError(
                fitted("The shard {name} is missing.", name=f"{name}-{missing:05}-of-{count}{ending}"),
                next_step="Put it there; a split is read whole or not at all.",
            )
        if len(shards) > int(count):
            raise SourceError(
                fitted("{name} is not one of {count} shards.", name=shards[max(shards)].name, count=count),
                next_step="Remove it, or name it again.",
            )
        yield [shards[number] for number in sorted(shards)]


def _split_folder(folder: Path, options: ReadOptions, notes: list[str]) -> Store | None:
    """Return what a split's own folder holds: a saved Dataset, files, or one folder a class.

    Text files beside the folders of classes, as IMDB has them, and a README.txt beside tables are left out with a note.
    """
    if (folder / _STATE).is_file():
        refuse_options(options, _saved_options(folder))
        return _saved_split(folder)
    entries = visible(folder)
    files = [path for path in entries if path.is_file() and _has_rows(path)]
    classes = find_classes(folder, entries)
    texts = classes.texts
    is_text = [inner_suffix(path) == ".txt" for path in files]
    if texts and all(is_text):
        left_out, files = files, []
    elif all(is_text):
        left_out = []
    else:
        left_out = [path for path, text in zip(files, is_text, strict=True) if text and _is_about(path)]
        files = [path for path in files if path not in left_out]
    notes.extend(not_read("Files", folder, [path.name for path in left_out]))
    if files and texts:
        raise SourceError(
            fitted(
                "{folder} contains both files of rows ({file}) and folders of texts ({name}).",
                folder=folder,
                file=files[0].name,
                name=texts[0][0],
            ),
            next_step="Keep one of the two.",
        )
    if files:
        notes.extend(not_read("Folders", folder, [each.name for each in classes.found]))
        numbered = [parts for path in files if (parts := _SHARD.fullmatch(path.name)) is not None]
        if len(numbered) == len(files):
            sets = list(_shards_named(tuple({parts["name"] for parts in numbered}), files))
            files = sets[0] if len(sets) == 1 else files
        return _store_of(files, options)
    if not texts:
        refuse_lost_class(classes)
        return None
    store, lost = class_store(classes, options)
    notes.extend(lost)
    return store


def _is_about(path: Path) -> bool:
    """Return whether a text file says something of the others."""
    return path.stem.upper() in _ABOUT


def _record(path: Path, kind: type[_Record]) -> _Record:
    return read_record(path, kind, _FORM, named=clipped(path, _SHOWN_RECORD))


def _saved_split(folder: Path) -> Store:
    """Return the Arrow files of a Dataset that `save_to_disk` wrote, in their order."""
    state = _record(folder / _STATE, _State)
    if state._indices_data_files or state._indices_files:
        raise SourceError(
            fitted(
                "{folder} was saved with a list of its chosen rows (indices), which tdbs does not read.", folder=folder
            ),
            next_step="Save it again: load_from_disk(…).flatten_indices().save_to_disk(…).",
        )
    paths = [folder / file.filename for file in state._data_files]
    if not paths:
        raise SourceError(fitted("{file} names no files of rows.", file=folder / _STATE), next_step=_FORM.next_step)
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise SourceError(
            fitted("The file {file} is missing.", file=missing), next_step=f"Put it there. {_FORM.next_step}"
        )
    return _store_of(paths, ReadOptions())


def _store_of(paths: list[Path], options: ReadOptions) -> Store:
    """Return files as one split; they must have the same columns."""
    files = tuple(data_file(path, options) for path in paths)
    if len(files) == 1:
        return files[0]
    other = next((file for file in files if file.format != files[0].format), None)
    if other is not None:
        raise SourceError(
            fitted("{one} and {other} of one split have different formats.", one=files[0].name, other=other.name),
            next_step="Use one format.",
        )
    shards = Shards(files=files)
    refuse_other_columns(shards)
    return shards


def _saved_options(folder: Path) -> str:
    return f"does not apply to {clipped(folder, SHOWN_WHERE)}, which save_to_disk wrote"


def _has_rows(path: Path) -> bool:
    """Return whether a file has the ending of a format."""
    ending = path.name.lower()
    packed = path.suffix.lower()
    ending = ending.removesuffix(packed) if packed in COMPRESSIONS else ending
    return ending.endswith(tuple(SUFFIXES)) or packed == ".zip"


def _two_of(where: str | Path, split: str, one: str, other: str) -> SourceError:
    return SourceError(
        fitted(
            "{where} has two files of the {split} split: {one} and {other}.",
            where=where,
            split=split,
            one=one,
            other=other,
        ),
        next_step="Keep one of them.",
    )
