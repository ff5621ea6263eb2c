"""Digest contents: a file by its bytes, an Arrow table by its values, however it is cut into chunks."""

import hashlib
import json
from collections.abc import Mapping
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
    return parts_sha256(
        {name: _column_sha256(column) for name, column in zip(table.column_names, table.columns, strict=True)}
    )


def parts_sha256(parts: Mapping[str, object]) -> str:
    """Return the digest of named plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _column_sha256(column: pa.ChunkedArray) -> str:
    if pa.types.is_nested(column.type):
        return parts_sha256(_nested_parts(column))
    nulls, lengths, values = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    for chunk in column.chunks:
        nulls.update(pc.is_null(chunk).to_numpy(zero_copy_only=False).tobytes())
        if is_text:
            filled = pc.fill_null(chunk, "")
            lengths.update(pc.binary_length(filled).cast(pa.int64()).to_numpy().tobytes())
            values.update(_text_bytes(filled))
        else:
            values.update(pc.fill_null(chunk, 0).to_numpy(zero_copy_only=False).tobytes())
    kind = "text" if is_text else str(column.type)
    return parts_sha256(
        {"type": kind, "nulls": nulls.hexdigest(), "lengths": lengths.hexdigest(), "values": values.hexdigest()}
    )


def _nested_parts(column: pa.ChunkedArray) -> dict[str, object]:
    """Return the digests of what lists and structs are made of."""
    nulls = hashlib.sha256()
    for chunk in column.chunks:
        nulls.update(pc.is_null(chunk).to_numpy(zero_copy_only=False).tobytes())
    if pa.types.is_struct(column.type):
        fields = {field.name: pc.struct_field(column, [field.name]) for field in column.type}
        return {"nulls": nulls.hexdigest(), "fields": {name: _column_sha256(part) for name, part in fields.items()}}
    return {
        "nulls": nulls.hexdigest(),
        "lengths": _column_sha256(pc.list_value_length(column)),
        "values": _column_sha256(pc.list_flatten(column)),
    }


def _text_bytes(texts: pa.Array) -> memoryview:
    """Return the characters of all texts in a row; a slice of an array shares the buffer of the whole."""
    width = np.int64 if pa.types.is_large_string(texts.type) else np.int32
    _, offsets, data = texts.buffers()
    if data is None or len(texts) == 0:
        return memoryview(b"")
    ends = np.frombuffer(offsets, dtype=width)[[texts.offset, texts.offset + len(texts)]]
    return memoryview(data)[int(ends[0]) : int(ends[1])]
