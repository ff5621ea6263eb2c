"""A folder a class: its `.txt` files are its texts. What is left out is named, and no class may be lost as a whole."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tdbs.data.columns import SHOWN_WHERE
from tdbs.data.formats import ReadOptions, refuse_options
from tdbs.data.formats.data_file import checked_encoding
from tdbs.data.split_names import SPLIT_NAMES
from tdbs.data.stores import ClassFolders, Store
from tdbs.errors import SourceError
from tdbs.files import is_remote
from tdbs.shown import NOTE, clipped, fitted, is_utf8

_LISTED = 60  # characters of a note's list of names


@dataclass(frozen=True, kw_only=True, slots=True)
class _Class:
    """What the folder of a class contains, in order of name."""

    name: str
    texts: tuple[str, ...]
    files: tuple[str, ...]  # others
    folders: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Classes:
    """The folders of classes in a split's folder."""

    folder: Path
    found: tuple[_Class, ...]

    @property
    def texts(self) -> tuple[tuple[str, str], ...]:
        """Class and name of each text, in order."""
        return tuple((each.name, text) for each in self.found for text in each.texts)


def visible(folder: Path) -> list[Path]:
    """Return what a folder contains, in order of name, without what is hidden."""
    entries = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(entries, key=lambda path: path.name)


def find_classes(folder: Path, entries: Iterable[Path]) -> Classes:
    """Return what the folders among a split's entries contain."""
    return Classes(folder=folder, found=tuple(_class_of(path) for path in entries if path.is_dir()))


def class_store(classes: Classes, options: ReadOptions) -> tuple[ClassFolders, list[str]]:
    """Return the texts as a split, and notes on what is left out. Raises SourceError if a class has none of its own."""
    refuse_lost_class(classes)
    folder = classes.folder
    refuse_options(
        options, f"does not apply to {clipped(folder, SHOWN_WHERE)}, which contains texts", but=("encoding",)
    )
    if any(not is_utf8(each.name) for each in classes.found if each.texts):
        raise SourceError(
            fitted("A folder of a class in {folder} has a name that is not UTF-8.", folder=folder),
            next_step="Rename it: it is the label.",
        )
    store = ClassFolders(
        folder=folder if is_remote(folder) else folder.absolute(),
        files=classes.texts,
        encoding=checked_encoding(options.encoding),
    )
    files = [f"{each.name}/{name}" for each in classes.found for name in each.files]
    folders = [f"{each.name}/{name}" for each in classes.found for name in each.folders]
    empty = [each.name for each in classes.found if not each.texts]
    return store, [*not_read("Files", folder, files), *not_read("Folders", folder, [*folders, *empty])]


def refuse_lost_class(classes: Classes) -> None:
    """Raise for a folder of a class without texts of its own, unless it is empty."""
    for each in classes.found:
        named = PurePosixPath(classes.folder.name, each.name)
        if each.texts:
            continue
        if each.folders:
            raise SourceError(
                fitted(
                    "The class folder {named} has no .txt files, but a folder {other}.",
                    named=named,
                    other=each.folders[0],
                ),
                next_step="Put its texts beside each other, without folders in it.",
            )
        if each.files:
            raise SourceError(
                fitted("The files in {named} do not end in .txt, such as {name}.", named=named, name=each.files[0]),
                next_step="Rename those that are texts, so that they end in .txt.",
            )


def refuse_texts_without_class(folders: Iterable[Path]) -> None:
    """Raise for a split of texts that are in no folder of a class, beside a train split of classes."""
    for folder in folders:
        entries = visible(folder)
        texts = [path.name for path in entries if path.suffix.lower() == ".txt" and path.is_file()]
        if texts and not find_classes(folder, entries).texts:
            raise SourceError(
                fitted(
                    "{folder}/ contains texts in no folder of a class, such as {name}.",
                    folder=folder.name,
                    name=texts[0],
                ),
                next_step="Put them into folders as those of train/, or move the folder away.",
            )


def not_read(what: str, folder: Path, names: Sequence[str]) -> Iterator[str]:
    """Yield a note on files or folders that are left out, if there are any."""
    if names:
        listed = ", ".join(names)
        more = f" ({len(names):,} in all)" if len(listed) > _LISTED else ""
        yield fitted(
            what + " of {folder}/ that are not read: {listed}" + more + ".",
            width=NOTE,
            folder=folder.name,
            listed=clipped(listed, _LISTED),
        )


def classes_of_train_alone(splits: Mapping[str, Store]) -> list[str]:
    """Return notes on classes that only train has, such as IMDB's texts without a label."""
    classes = {
        split: {name for name, _ in store.files} for split, store in splits.items() if isinstance(store, ClassFolders)
    }
    return [
        fitted(
            "Folders of train/ that {split} lacks: {names}. They are classes as the others are.",
            width=NOTE,
            split=split,
            names=", ".join(sorted(lacking)),
        )
        for split, known in classes.items()
        if (lacking := classes.get("train", set()) - known)
    ]


def refuse_classes_without_split(folder: Path) -> None:
    """Raise if a folder has folders of classes, but no train/ above them: train/ itself may have been passed."""
    splits = {name for names in SPLIT_NAMES.values() for name in names}
    found = find_classes(folder, [path for path in visible(folder) if path.name not in splits]).found
    texts = next((each for each in found if each.texts), None)
    if texts is not None:
        raise SourceError(
            fitted(
                "{folder} has no train split, but folders of texts, such as {name}.", folder=folder, name=texts.name
            ),
            next_step="Put these folders into a folder train/, and pass the folder that contains it.",
        )
    plain = [(each, name) for each in found for name in each.files if not PurePosixPath(name).suffix]
    if plain:  # as 20 Newsgroups has them
        each, name = plain[0]
        raise SourceError(
            fitted(
                "{folder} has no train split; files such as {name} do not end in .txt.",
                folder=folder,
                name=PurePosixPath(each.name, name),
            ),
            next_step="If they are texts of classes, name them .txt, and put their folders into a folder train/.",
        )


def _class_of(folder: Path) -> _Class:
    texts, files, folders = list[str](), list[str](), list[str]()
    for path in visible(folder):
        if path.suffix.lower() == ".txt" and path.is_file():
            texts.append(path.name)
        elif path.is_dir():
            folders.append(path.name)
        else:
            files.append(path.name)
    return _Class(name=folder.name, texts=tuple(texts), files=tuple(files), folders=tuple(folders))
