"""Shards under a manifest that agrees with their bytes, their columns changed; and shards with damaged bytes."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from tdbs.files import sha256_of
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.manifest_file import MANIFEST_NAME
from tdbs.pipeline.verify import verify
from tests.analysis.tiny import tiny_dataset
from tests.fuzz.mutations import damaged

KINDS = (pa.int8(), pa.int32(), pa.int64(), pa.uint64(), pa.float64(), pa.string(), pa.bool_(), pa.list_(pa.int64()),
         pa.list_(pa.float32()), pa.large_list(pa.int32()), pa.null(), pa.struct([("a", pa.int32())]))  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Return a small prepared dataset."""
    return tiny_dataset(tmp_path_factory.mktemp("tiny"), train_rows=40)


@st.composite
def changed_tables(draw: st.DrawFn, table: pa.Table) -> pa.Table:
    """Return a table with columns dropped, renamed, cast, filled with other values, or with other rows."""
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.integers(0, table.num_columns - 1))
        name, column = table.column_names[place], table.column(place)
        match draw(st.sampled_from(("drop", "rename", "cast", "null", "value", "value", "rows", "twice"))):
            case "drop" if table.num_columns > 1:
                table = table.remove_column(place)
            case "rename":
                table = table.rename_columns([*table.column_names[:place], "x", *table.column_names[place + 1 :]])
            case "cast":
                kind = draw(st.sampled_from(KINDS))
                try:
                    table = table.set_column(place, name, column.cast(kind))
                except pa.ArrowException:
                    table = table.set_column(place, name, pa.nulls(table.num_rows, kind))
            case "null":
                gaps = draw(st.lists(st.booleans(), min_size=table.num_rows, max_size=table.num_rows))
                values = [None if gap else value for gap, value in zip(gaps, column.to_pylist(), strict=True)]
                table = table.set_column(place, name, pa.array(values, column.type))
            case "value" if table.num_rows:
                values = column.to_pylist()
                row = draw(st.integers(0, table.num_rows - 1))
                values[row] = _other(values[row], draw(st.sampled_from((-1, 1, -1000, 2**31 - 1, 7))))
                try:
                    table = table.set_column(place, name, pa.array(values, column.type))
                except (pa.ArrowException, OverflowError):
                    table = table.slice(0, table.num_rows - 1)
            case "rows":
                table = table.slice(draw(st.integers(0, table.num_rows)))
            case _:
                table = pa.concat_tables([table, table])
    return table


def _other(value: object, by: int) -> object:
    """Return a value of the same type with other numbers in it."""
    if isinstance(value, list):
        return [*value[:-1], _other(value[-1], by)] if value else value
    if isinstance(value, dict):
        return {key: _other(part, by) for key, part in value.items()}
    return value + by if isinstance(value, int | float) else value


def test_a_shard_is_whole_or_refused(fuzz, dataset):
    """Verify names what is wrong; what it lets pass is read as it is."""
    manifest_path = dataset.path / MANIFEST_NAME
    valid = manifest_path.read_text()
    shard = json.loads(valid)["splits"]["train"]["shards"][0]
    path = dataset.path / shard["path"]
    whole = path.read_bytes()

    def check(example: tuple[object, bool]) -> None:
        contents, forged = example
        data = contents
        if isinstance(contents, pa.Table):
            buffer = io.BytesIO()
            pq.write_table(contents, buffer)
            data = buffer.getvalue()
        fields = json.loads(valid)
        if forged:
            fields["splits"]["train"]["shards"][0]["sha256"] = sha256_of(data)
        path.write_bytes(data)
        manifest_path.write_text(json.dumps(fields))
        problems = verify(dataset.path).problems
        split = None
        try:
            split = read_split(load(dataset.path), "train")
        finally:
            assert problems or split is not None
        assert problems or split.lengths_N.sum() == fields["splits"]["train"]["tokens"]

    table = pq.ParquetFile(io.BytesIO(whole)).read()
    contents = st.one_of(changed_tables(table), changed_tables(table), damaged(whole))
    try:
        fuzz("shards", inputs=500, of=st.tuples(contents, st.sampled_from((True, True, False))), check=check)
    finally:
        path.write_bytes(whole)
        manifest_path.write_text(valid)
