"""Names of columns as a user means them: without the blanks and marks around them, which nobody can see."""

import re
from functools import lru_cache

import pyarrow as pa

_INVISIBLE = re.compile(r"^[\s\ufeff\u200b\u2060]+|[\s\ufeff\u200b\u2060]+$")  # blanks, and marks of no width


@lru_cache(maxsize=4096)  # keys of JSON come with every row
def plain_name(name: str) -> str:
    """Return a column's name without what cannot be seen around it."""
    return _INVISIBLE.sub("", name)


@lru_cache(maxsize=4096)  # keys of JSON come with every row
def plain_names(schema: pa.Schema) -> pa.Schema:
    """Return a schema with plain names, its metadata kept."""
    return pa.schema([field.with_name(plain_name(field.name)) for field in schema], metadata=schema.metadata)
