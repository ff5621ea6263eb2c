"""Single columns and single texts of a prepared split, one shard in memory at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, decoders

from tdbs.arrays import IntArray, offsets_of
from tdbs.pipeline import schema
from tdbs.pipeline.dataset import PreparedDataset, read_tokenizer, split_info
from tdbs.pipeline.shard_checks import read_shard
from tdbs.pipeline.split_arrays import AnyArray, check_sample_ids

# Shapes: N samples of the split, S samples of one shard, C chosen samples.


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleText:
    """The text of a sample, as its tokens have it: truncated, without special tokens."""

    text: str
    pair: str | None  # second text


def read_decoder(dataset: PreparedDataset) -> Tokenizer:
    """Return a dataset's tokenizer to decode with: each token keeps its place in the text."""
    tokenizer = read_tokenizer(dataset)
    if isinstance(tokenizer.decoder, decoders.WordPiece):
        tokenizer.decoder = decoders.WordPiece(cleanup=False)  # else it moves punctuation to the word before
    return tokenizer


def read_columns(dataset: PreparedDataset, name: str, columns: Sequence[str]) -> dict[str, AnyArray]:
    """Return columns of numbers of a split, in sample_id order (N each). Raises DatasetError if a shard is damaged."""
    info = split_info(dataset, name)
    found: dict[str, AnyArray] = {}
    ids = [np.empty(0, dtype=np.int64)]
    for table in _tables(dataset, name, columns):
        ids_S = table[schema.SAMPLE_ID].to_numpy()
        check_sample_ids(np.sort(ids_S), named=f"The split {name} of {dataset.path}", rows=info.rows)
        ids.append(ids_S)
        for column in columns:
            values_S = table[column].to_numpy()
            found.setdefault(column, np.zeros(info.rows, dtype=values_S.dtype))[ids_S] = values_S
    check_sample_ids(np.sort(np.concatenate(ids)), named=f"The split {name} of {dataset.path}", rows=info.rows)
    return found


def read_texts(dataset: PreparedDataset, name: str, sample_ids_C: IntArray) -> dict[int, SampleText]:
    """Return the texts of some samples by their sample_id. Raises DatasetError if a shard is damaged."""
    tokenizer = read_decoder(dataset)
    is_pair = dataset.manifest.task.is_pair
    if dataset.manifest.task.is_grouped:
        return _grouped_texts(dataset, name, sample_ids_C, tokenizer)
    columns = [schema.INPUT_IDS, *([schema.SEGMENT_START] if is_pair else [])]
    found: dict[int, SampleText] = {}
    for table in _tables(dataset, name, columns):
        places = np.flatnonzero(np.isin(table[schema.SAMPLE_ID].to_numpy(), sample_ids_C))
        for row in table.take(places).to_pylist():  # the few chosen ones
            ids, first = row[schema.INPUT_IDS], row[schema.SEGMENT_START] if is_pair else None
            text, pair = ids[:first], None if first is None else tokenizer.decode(ids[first:]).strip()
            found[row[schema.SAMPLE_ID]] = SampleText(text=tokenizer.decode(text).strip(), pair=pair)
    return found


def _grouped_texts(
    dataset: PreparedDataset, name: str, sample_ids_C: IntArray, tokenizer: Tokenizer
) -> dict[int, SampleText]:
    """Return the first sequence of each sample, and the others joined by bars."""
    found: dict[int, SampleText] = {}
    for table in _tables(dataset, name, [schema.INPUT_IDS, schema.SEQUENCE_LENGTHS]):
        places = np.flatnonzero(np.isin(table[schema.SAMPLE_ID].to_numpy(), sample_ids_C))
        for row in table.take(places).to_pylist():  # the few chosen ones
            bounds = offsets_of(row[schema.SEQUENCE_LENGTHS]).tolist()
            ids = row[schema.INPUT_IDS]
            first, *others = (tokenizer.decode(ids[begin:end]).strip() for begin, end in pairwise(bounds))
            found[row[schema.SAMPLE_ID]] = SampleText(text=first, pair=" | ".join(others))
    return found


def _tables(dataset: PreparedDataset, name: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Yield some columns of each shard of a split, checked as for a plan."""
    info = split_info(dataset, name)
    wanted = {schema.SAMPLE_ID, schema.LENGTH, *columns}
    every = schema.columns(dataset.manifest.task, labelled=info.labelled)
    chosen = tuple(column.name for column in every if column.name in wanted)
    for shard in info.shards:
        yield read_shard(dataset.path, shard, dataset.manifest, labelled=info.labelled, columns=chosen)
