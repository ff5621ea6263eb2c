"""The digests of a block's rows as a file beside the block: repeats are found without reading a token again.

32 bytes a row, 48 with negatives. The file is mapped column by column, so that who looks at one reads no other.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa

from tdbs.files import new_file
from tdbs.pipeline.duplicates.block_rows import RowDigests
from tdbs.pipeline.duplicates.mixing import HashArray

SOURCE_ROW, LABEL = "source_row", "label"
TEXTS, HEADS = ("text_0", "text_1"), ("head_0", "head_1")  # two halves each; heads only of rows with negatives


def digests_path(folder: Path, split: str, number: int) -> Path:
    """Return the path of the digests of a block."""
    return folder / "blocks" / f"{split}-{number:06d}.digests"


def keep_digests(digests: RowDigests, folder: Path, split: str, number: int) -> None:
    """Write the digests of a block's rows, in order, atomically: an existing file is complete."""
    columns = {SOURCE_ROW: digests.source_rows_N, LABEL: digests.labels_N}
    for names, halves_N2 in ((TEXTS, digests.texts_N2), (HEADS, digests.heads_N2)):
        if halves_N2 is not None:
            columns |= dict(zip(names, halves_N2.T, strict=True))
    table = pa.table({name: pa.array(np.ascontiguousarray(values_N)) for name, values_N in columns.items()})
    path = digests_path(folder, split, number)
    with new_file(path) as hidden, pa.ipc.new_file(hidden, table.schema) as writer:
        writer.write_table(table)


def read_columns(folder: Path, split: str, number: int) -> pa.Table:
    """Return the digests of a block as they are stored, mapped from the disk."""
    with pa.memory_map(str(digests_path(folder, split, number))) as file:
        return pa.ipc.open_file(file).read_all()


def read_digests(folder: Path, split: str, number: int) -> RowDigests:
    """Return the digests of a block's rows, in order."""
    table = read_columns(folder, split, number)
    return RowDigests(
        source_rows_N=table[SOURCE_ROW].to_numpy(),
        texts_N2=_halves(table, TEXTS),
        heads_N2=_halves(table, HEADS) if HEADS[0] in table.schema.names else None,
        labels_N=table[LABEL].to_numpy(),
    )


def _halves(table: pa.Table, names: tuple[str, str]) -> HashArray:
    return np.stack([table[name].to_numpy() for name in names], axis=1)
