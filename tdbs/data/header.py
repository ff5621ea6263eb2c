"""Names of columns as a user means them: without the blanks and marks around them, which nobody can see."""

from functools import lru_cache

import pyarrow as pa

_LAST_BLANK = 0x3000
UNSEEN = "".join(filter(str.isspace, map(chr, range(_LAST_BLANK + 1)))) + "\ufeff\u200b\u2060"  # and marks of no width


@lru_cache(maxsize=4096)  # keys of JSON come with every row
def plain_name(name: str) -> str:
    """Return a column's name without what cannot be seen around it."""
    return name.strip(UNSEEN)


@lru_cache(maxsize=4096)  # keys of JSON come with every row
def plain_names(schema: pa.Schema) -> pa.Schema:
    """Return a schema with plain names, its metadata kept."""
    return pa.schema([field.with_name(plain_name(field.name)) for field in schema], metadata=schema.metadata)
