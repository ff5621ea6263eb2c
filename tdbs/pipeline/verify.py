"""Check a prepared dataset file by file: hashes, counts, and what every sample must be.

A hash tells that a file is not what was written; the other checks tell that what was written makes sense, so they hold
against faults of tdbs itself and against files of another dataset under a forged manifest. One shard is in memory at a
time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, IntArray
from tdbs.data.columns import one_array
from tdbs.errors import DatasetError
from tdbs.files import sha256_of
from tdbs.pipeline import schema
from tdbs.pipeline.buckets import bucket_name, bucket_of
from tdbs.pipeline.dataset import TOKENIZER_NAME, PreparedDataset, load
from tdbs.pipeline.manifest import MANIFEST_NAME, Manifest, ShardInfo, SplitInfo
from tdbs.pipeline.parquet import read_checked

# Shapes: N samples, of a shard or of the split, L1 = max_length + 1, W their droppable words, T their tokens.


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A file of a dataset and what is wrong with it."""

    file: str  # below the dataset's folder
    problem: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What was checked, and what is wrong: nothing, if the dataset is whole."""

    path: Path
    files: int
    samples: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tally:
    """What the shards of a split hold together; filled shard by shard."""

    split: str
    info: SplitInfo
    seen_N: BoolArray  # of all samples of the split
    lengths_L1: IntArray


def verify(
    dataset: str | Path | PreparedDataset, *, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Verification:
    """Check every file of a dataset. Raises DatasetError only where there is no manifest to check against."""
    opened = dataset if isinstance(dataset, PreparedDataset) else load(dataset)
    manifest = opened.manifest
    total = sum(len(info.shards) for info in manifest.splits.values())
    problems = [] if _tokenizer_is_whole(opened) else [Problem(file=TOKENIZER_NAME, problem="is not what was written")]
    done = 0
    for name, info in manifest.splits.items():
        tally = _Tally(
            split=name,
            info=info,
            seen_N=np.zeros(info.rows, dtype=np.bool_),
            lengths_L1=np.zeros(manifest.max_length + 1, dtype=np.int64),
        )
        found: list[Problem] = []
        for shard in info.shards:
            problem = _shard_problem(opened.path, shard, tally, manifest)
            found += [] if problem is None else [Problem(file=shard.path, problem=problem)]
            done += 1
            progress(done, total)
        if not found:  # the sums of a split with a bad shard tell nothing more
            found += [Problem(file=MANIFEST_NAME, problem=text) for text in _split_problems(tally)]
        problems += [*found, *_references_problem(opened.path, info)]
    problems += [Problem(file=file, problem="is no file of this dataset") for file in _strangers(opened)]
    return Verification(
        path=opened.path,
        files=total + 2 + sum(info.references is not None for info in manifest.splits.values()),
        samples=sum(info.rows for info in manifest.splits.values()),
        problems=tuple(problems),
    )


def _shard_problem(folder: Path, shard: ShardInfo, tally: _Tally, manifest: Manifest) -> str | None:
    """Return what is wrong with a shard; its samples are added to the tally."""
    try:
        table = read_checked(folder / shard.path, shard.sha256)
    except DatasetError as error:
        return error.message.removeprefix(f"The shard {folder / shard.path} ").rstrip(".")
    except pa.ArrowException:
        return "is not a readable Parquet file"
    expected = schema.arrow_schema(manifest.task, labelled=tally.info.labelled)
    if not table.schema.equals(expected):
        return f"has the columns {', '.join(table.schema.names)}, not those of this dataset"
    lengths_N = table[schema.LENGTH].to_numpy()
    problems = [
        *_place_problems(table[schema.SAMPLE_ID].to_numpy(), lengths_N, shard, tally, manifest),
        *_sample_problems(table, manifest, lengths_N),
    ]
    return problems[0] if problems else None


def _place_problems(
    sample_ids_N: IntArray, lengths_N: IntArray, shard: ShardInfo, tally: _Tally, manifest: Manifest
) -> Iterator[str]:
    """Yield what is wrong with which samples a shard has, and in what order."""
    if (len(lengths_N), int(lengths_N.sum())) != (shard.rows, shard.tokens):
        yield f"has {len(lengths_N)} samples and {lengths_N.sum()} tokens, not {shard.rows} and {shard.tokens}"
    if ((sample_ids_N < 0) | (sample_ids_N >= tally.info.rows)).any():
        yield f"has samples beyond the {tally.info.rows} of its split"
        return
    if tally.seen_N[sample_ids_N].any() or len(np.unique(sample_ids_N)) < len(sample_ids_N):
        yield "has samples that the split has already"
    tally.seen_N[sample_ids_N] = True
    if (np.lexsort((sample_ids_N, lengths_N)) != np.arange(len(lengths_N))).any():
        yield "is not sorted by length and sample"
    if ((lengths_N < 0) | (lengths_N > manifest.max_length)).any():
        yield f"has lengths beyond {manifest.max_length}"
        return
    tally.lengths_L1[:] += np.bincount(lengths_N, minlength=len(tally.lengths_L1))
    edges = np.array(manifest.bucket_edges)
    buckets = {f"{tally.split}/bucket={bucket_name(edges, i)}" for i in np.unique(bucket_of(lengths_N, edges))}
    if buckets != {shard.path.rpartition("/")[0]}:
        yield "has samples of another bucket's lengths"


def _sample_problems(table: pa.Table, manifest: Manifest, lengths_N: IntArray) -> Iterator[str]:
    """Yield what is wrong with the samples of a shard."""
    tokens = one_array(table[schema.INPUT_IDS])
    if (pc.list_value_length(tokens).to_numpy() != lengths_N).any():
        yield "has lengths that are not those of its tokens"
    ids_T = tokens.flatten().to_numpy()
    if len(ids_T) and not 0 <= ids_T.min() <= ids_T.max() < manifest.tokenizer.vocabulary_size:
        yield "has token ids beyond the vocabulary"
    words = one_array(table[schema.DROPPABLE])
    counts_N = pc.list_value_length(words).to_numpy()
    starts_W, sizes_W = (words.flatten().field(name).to_numpy() for name in ("start", "length"))
    sample_W = np.repeat(np.arange(len(counts_N)), counts_N)
    ends_W = starts_W + sizes_W
    follows_W = sample_W[1:] == sample_W[:-1]
    if (starts_W < 0).any() or (sizes_W < 1).any() or (ends_W > lengths_N[sample_W]).any():
        yield "has droppable words outside of their samples"
    elif (follows_W & (starts_W[1:] < ends_W[:-1])).any():
        yield "has droppable words that overlap or are not in order"
    for name in (schema.SEGMENT_START, schema.ANSWER_START, schema.ANSWER_END):
        if name in table.schema.names:
            places_N = table[name].to_numpy()
            if ((places_N < 0) | (places_N > lengths_N)).any():
                yield f"has a {name} outside of its sample"
    if manifest.task.classes and schema.LABEL in table.schema.names:
        labels = one_array(table[schema.LABEL])
        values = (labels.flatten() if pa.types.is_list(labels.type) else labels).to_numpy()
        if (((values < 0) | (values >= len(manifest.task.classes))) & (values != schema.IGNORED)).any():
            yield "has labels that are no classes of the task"


def _split_problems(tally: _Tally) -> Iterator[str]:
    """Yield what the manifest says of a split that its shards, each of them whole, do not."""
    missing, lengths_L1 = int((~tally.seen_N).sum()), tally.lengths_L1
    if missing:
        yield f"names shards of {tally.split} that lack {missing} of its {tally.info.rows} samples"
    elif (tuple(lengths_L1.tolist()), int(lengths_L1 @ np.arange(len(lengths_L1)))) != (
        tally.info.length_histogram,
        tally.info.tokens,
    ):
        yield f"has counts of {tally.split} that are not those of its samples"


def _references_problem(folder: Path, info: SplitInfo) -> list[Problem]:
    if info.references is None:
        return []
    try:
        table = read_checked(folder / info.references.path, info.references.sha256)
    except DatasetError as error:
        problem = error.message.removeprefix(f"The shard {folder / info.references.path} ").rstrip(".")
        return [Problem(file=info.references.path, problem=problem)]
    if table.num_rows != info.source_rows:
        problem = f"has references of {table.num_rows} rows, not of {info.source_rows}"
        return [Problem(file=info.references.path, problem=problem)]
    return []


def _tokenizer_is_whole(dataset: PreparedDataset) -> bool:
    try:
        return sha256_of((dataset.path / TOKENIZER_NAME).read_bytes()) == dataset.manifest.tokenizer.sha256
    except OSError:
        return False


def _strangers(dataset: PreparedDataset) -> list[str]:
    """Return Parquet files in the folders of shards that the manifest does not name: other readers would read them."""
    known = {shard.path for info in dataset.manifest.splits.values() for shard in info.shards}
    folders = sorted({path.rpartition("/")[0] for path in known})
    found = {f"{folder}/{file.name}" for folder in folders for file in (dataset.path / folder).glob("*.parquet")}
    return sorted(found - known)
