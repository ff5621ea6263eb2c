"""What a user's splits are called in errors, what they may hold, and what of their reading is part of the digest."""

from collections.abc import Mapping
from dataclasses import asdict

import pyarrow as pa

from tdbs.data.columns import SHOWN_WHERE
from tdbs.data.content import is_text
from tdbs.data.formats.data_file import UTF8, DataFile
from tdbs.data.formats.dialect import USUAL_DIALECTS
from tdbs.data.labels.given import class_names
from tdbs.data.objects import ObjectSplit, object_name
from tdbs.data.row_values import DOCUMENT
from tdbs.data.stores import ClassFolders, Shards, Store, is_digestible, store_files, store_name, store_schema
from tdbs.data.tasks import Columns
from tdbs.errors import SourceError
from tdbs.shown import clipped, fitted


def split_where(split: str, store: Store) -> str:
    """Return what errors call a split."""
    match store:
        case DataFile():
            return store.name
        case Shards():
            return store_name(store, f"{store.files[0].name} (of {len(store.files)} files)")
        case ClassFolders():
            return store_name(store, f"{clipped(store.folder.name, SHOWN_WHERE)}/")
    return object_name(split)


def refuse_unreadable(split: ObjectSplit, columns: list[str], where: str) -> None:
    """Raise for a chosen column that Arrow could not hold, or of a type that is neither texts nor labels.

    A file's types are refused when its rows are read. A table's values are digested before that.
    """
    for column in columns:
        if column in split.unreadable:
            raise split.unreadable[column]
        kind = store_schema(split.store).field(column).type
        if not store_files(split.store) and not is_digestible(kind):
            raise SourceError(
                fitted(
                    "'{name}' of {where} contains {kind}, which is neither texts nor labels.",
                    name=column,
                    where=where,
                    kind=kind,
                ),
                next_step="Name another column.",
            )


def unusual_reading(stores: Mapping[str, Store]) -> dict[str, object]:
    """Return how files are read, as part of a content's digest, if another reading would be a usual one."""
    found: dict[str, object] = {}
    for split, store in stores.items():
        files = store_files(store)
        readings = [[file.encoding, None if file.dialect is None else asdict(file.dialect)] for file in files]
        if any(file.encoding != UTF8 or file.dialect not in (None, USUAL_DIALECTS.get(file.format)) for file in files):
            found[split] = readings[0] if len(readings) == 1 else readings
    return {"reading": found} if found else {}


def names_of_classes(
    splits: Mapping[str, ObjectSplit], labels: tuple[str, ...], where: Mapping[str, str]
) -> dict[str, object]:
    """Return the names that tables keep beside class ids, as part of the digest; those of a file are in its bytes.

    Raises SourceError if the files of a split have different ones.
    """
    found = {}
    for split, each in splits.items():
        files = store_files(each.store) if isinstance(each.store, Shards) else ()
        for label in labels:
            names = class_names(store_schema(each.store), label, where=where[split])
            for file in files[1:]:
                if class_names(store_schema(file), label, where=file.name) != names:
                    raise SourceError(
                        fitted(
                            "{first} and {file} have different names of the classes of '{label}'.",
                            first=files[0].name,
                            file=file.name,
                            label=label,
                        ),
                        next_step="Write both with the same class names.",
                    )
            if names and not store_files(each.store):
                found[f"{split} {label}"] = list(names)
    return {"class_names": found} if found else {}


def document_column(train: ObjectSplit, schema: pa.Schema, columns: Columns) -> str | None:
    """Return the column that names the document of each context, if there is one of texts that nothing else is in."""
    is_free = DOCUMENT in schema.names and DOCUMENT not in columns.every and DOCUMENT not in train.unreadable
    return DOCUMENT if is_free and is_text(schema.field(DOCUMENT).type) else None
