"""Digest contents: a file by its bytes, an Arrow table by its values, however it is cut into chunks."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def file_sha256(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def table_sha256(table: pa.Table) -> str:
    """Return the digest of a table, nested columns too: names, types, nulls and values, never chunks or offsets."""
    return tables_sha256(table.schema, [table])


def tables_sha256(schema: pa.Schema, tables: Iterable[pa.Table]) -> str:
    """Return the digest of a table that comes in pieces: that of the whole, however it is cut."""
    columns = {field.name: _ColumnDigest(field.type) for field in schema}
    for table in tables:
        for name, digest in columns.items():
            for chunk in table[name].chunks:
                digest.add(chunk)
    return parts_sha256({name: digest.sha256() for name, digest in columns.items()})


def parts_sha256(parts: Mapping[str, object]) -> str:
    """Return the digest of named plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class _ColumnDigest:
    """The digest of a column whose values are added piece by piece; lists and structs have those of their parts."""

    def __init__(self, kind: pa.DataType) -> None:
        self._kind = kind
        self._nulls, self._lengths, self._values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
        self._parts: dict[str, _ColumnDigest] = {}
        if pa.types.is_struct(kind):
            self._parts = {field.name: _ColumnDigest(field.type) for field in kind}
        elif pa.types.is_nested(kind):
            lengths = pa.int64() if pa.types.is_large_list(kind) else pa.int32()
            self._parts = {"lengths": _ColumnDigest(lengths), "values": _ColumnDigest(kind.value_type)}

    def add(self, values: pa.Array) -> None:
        """Add the next values; of decimals their digits, whatever precision a library gives them."""
        self._nulls.update(pc.is_null(values).to_numpy(zero_copy_only=False).tobytes())
        if pa.types.is_struct(self._kind):
            for name, part in self._parts.items():
                part.add(pc.struct_field(values, [name]))
        elif pa.types.is_nested(self._kind):
            self._parts["lengths"].add(pc.list_value_length(values))
            self._parts["values"].add(pc.list_flatten(values))
        elif _is_text(self._kind) or pa.types.is_decimal(self._kind):
            filled = pc.fill_null(values.cast(pa.string()) if pa.types.is_decimal(self._kind) else values, "")
            self._lengths.update(pc.binary_length(filled).cast(pa.int64()).to_numpy().tobytes())
            self._values.update(_text_bytes(filled))
        elif not pa.types.is_null(self._kind):
            nothing = False if pa.types.is_boolean(self._kind) else 0
            self._values.update(pc.fill_null(values, nothing).to_numpy(zero_copy_only=False).tobytes())

    def sha256(self) -> str:
        """Return the digest of all values so far."""
        nulls = self._nulls.hexdigest()
        parts = {name: part.sha256() for name, part in self._parts.items()}
        if pa.types.is_struct(self._kind):
            return parts_sha256({"nulls": nulls, "fields": parts})
        if pa.types.is_nested(self._kind):
            return parts_sha256({"nulls": nulls, **parts})
        kind = "text" if _is_text(self._kind) else "decimal" if pa.types.is_decimal(self._kind) else str(self._kind)
        lengths, values = self._lengths.hexdigest(), self._values.hexdigest()
        return parts_sha256({"type": kind, "nulls": nulls, "lengths": lengths, "values": values})


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _text_bytes(texts: pa.Array) -> memoryview:
    """Return the characters of all texts in a row; a slice of an array shares the buffer of the whole."""
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets, data = texts.buffers()
    if data is None or len(texts) == 0:
        return memoryview(b"")
    ends = np.frombuffer(offsets, dtype=width)[[texts.offset, texts.offset + len(texts)]]
    return memoryview(data)[int(ends[0]) : int(ends[1])]
