"""Check a prepared dataset file by file: hashes, counts, and what every sample must be.

A hash shows whether a file is what was written. The other checks show that what was written is valid, so they also
detect faults of tdbs itself, and files of another dataset under a forged manifest. One shard is in memory at a time.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tdbs.arrays import BoolArray, IntArray
from tdbs.data.columns import one_array
from tdbs.errors import DatasetError, reason_of
from tdbs.files import sha256_of
from tdbs.given import checked
from tdbs.pipeline import schema
from tdbs.pipeline.cache_key import key_of
from tdbs.pipeline.dataset import TOKENIZER_NAME, AnyDataset, PreparedDataset, opened, tokenizer_text
from tdbs.pipeline.lengths import bucket_edges, bucket_name, bucket_of
from tdbs.pipeline.manifest import FileInfo, Manifest, ShardInfo, SplitInfo
from tdbs.pipeline.manifest_file import MANIFEST_NAME, contradiction
from tdbs.pipeline.parquet import read_checked, rows_of
from tdbs.pipeline.references import TEXTS, unanswered_rows
from tdbs.pipeline.shard_checks import missing_values, sample_problems, schema_problem
from tdbs.pipeline.shards import special_tokens
from tdbs.pipeline.split_arrays import lists_of, sums_of

# Shapes: N samples, of a shard or of the split.


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """A file of a dataset and its problem."""

    file: str  # below the dataset's folder
    problem: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """Result of a check, and its problems: none if the dataset is intact."""

    path: Path
    files: int
    samples: int
    problems: tuple[Problem, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tally:
    """What the shards of a split hold together; filled shard by shard. Histograms are as in the manifest."""

    split: str
    info: SplitInfo
    seen_N: BoolArray  # samples found in the split's files
    lengths: Counter[int]
    droppable: Counter[int]
    targets: Counter[int]
    sequences: Counter[int]
    words: list[int]  # droppable words of each shard


@checked
def verify(dataset: AnyDataset, *, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Verification:
    """Check every file of a dataset: hashes, counts, and what every sample must be.

    Args:
        dataset: A prepared dataset, or its folder.
        progress: Called with the shards checked so far and their total.

    Returns:
        How many files and samples were checked, and each file with a problem; no problem: the dataset is whole.

    Raises:
        DatasetError: There is no manifest to check against. All other faults are returned as problems.
    """
    dataset = opened(dataset)
    manifest = dataset.manifest
    total = sum(len(info.shards) for info in manifest.splits.values())
    contradictions = [Problem(file=MANIFEST_NAME, problem=text) for text in _manifest_problems(manifest)]
    if contradictions:  # nothing can be checked against it
        return Verification(path=dataset.path, files=1, samples=0, problems=tuple(contradictions))
    problems = [] if _tokenizer_is_whole(dataset) else [Problem(file=TOKENIZER_NAME, problem="is not what was written")]
    problems += [problem for each in manifest.lists for problem in _list_problem(dataset.path, each)]
    done = 0
    for name, info in manifest.splits.items():
        tally = _Tally(
            split=name,
            info=info,
            seen_N=np.zeros(sum(_rows_there(dataset.path, shard) for shard in info.shards), dtype=np.bool_),
            lengths=Counter(),
            droppable=Counter(),
            targets=Counter(),
            sequences=Counter(),
            words=[],
        )
        found: list[Problem] = []
        for shard in info.shards:
            problem = _shard_problem(dataset.path, shard, tally, manifest)
            found += [] if problem is None else [Problem(file=shard.path, problem=problem)]
            done += 1
            progress(done, total)
        if not found:  # the sums of a split with a bad shard add nothing
            found += [Problem(file=MANIFEST_NAME, problem=text) for text in _split_problems(tally, manifest)]
        problems += [*found, *_references_problem(dataset.path, info)]
    problems += [Problem(file=file, problem="is not a file of this dataset") for file in _unknown_files(dataset)]
    return Verification(
        path=dataset.path,
        files=total + 2 + len(manifest.lists) + sum(info.references is not None for info in manifest.splits.values()),
        samples=sum(info.rows for info in manifest.splits.values()),
        problems=tuple(problems),
    )


def _shard_problem(folder: Path, shard: ShardInfo, tally: _Tally, manifest: Manifest) -> str | None:
    """Return the problems of a shard, and add its samples to the tally."""
    table = _read(folder, shard)
    if isinstance(table, str):
        return table
    problem = schema_problem(table, manifest, labelled=tally.info.labelled) or next(missing_values(table), None)
    if problem is not None:
        return problem
    lengths_N = table[schema.LENGTH].to_numpy()
    problems = [
        *_place_problems(table[schema.SAMPLE_ID].to_numpy(), lengths_N, shard, tally, manifest),
        *sample_problems(table, manifest, lengths_N),
    ]
    counts_N = special_tokens(table, manifest.tokenizer.special_ids)
    if shard.special_tokens is not None and (counts_N != shard.special_tokens).any():
        problems.append(f"has samples without {shard.special_tokens} special tokens, the number in its manifest")
    _count(table, lengths_N, tally)
    return problems[0] if problems else None


def _rows_there(folder: Path, shard: ShardInfo) -> int:
    """Return the most samples that a shard can have: no array is larger, whatever the manifest claims."""
    try:
        return min(rows_of(folder / shard.path), shard.rows)
    except DatasetError:
        return 0


def _count(table: pa.Table, lengths_N: IntArray, tally: _Tally) -> None:
    """Add the samples of a shard to the counts of its split."""
    tally.lengths.update(lengths_N.tolist())
    words = lists_of(table, schema.DROPPABLE, np.int64, field="length")
    tally.words.append(len(words.values_V))
    tally.droppable.update(sums_of(words).tolist())
    if schema.TARGET_IDS in table.schema.names:
        tally.targets.update(pc.list_value_length(one_array(table[schema.TARGET_IDS])).to_pylist())
    if schema.SEQUENCE_LENGTHS in table.schema.names:
        tally.sequences.update(lists_of(table, schema.SEQUENCE_LENGTHS, np.int64).values_V.tolist())


def _place_problems(
    sample_ids_N: IntArray, lengths_N: IntArray, shard: ShardInfo, tally: _Tally, manifest: Manifest
) -> Iterator[str]:
    """Yield the problems of a shard's set of samples and of their order."""
    if (len(lengths_N), int(lengths_N.sum())) != (shard.rows, shard.tokens):
        yield f"has {len(lengths_N)} samples and {lengths_N.sum()} tokens, not {shard.rows} and {shard.tokens}"
    if ((sample_ids_N < 0) | (sample_ids_N >= tally.info.rows)).any():
        yield f"has samples beyond the {tally.info.rows} of its split"
        return
    in_split_N = sample_ids_N[sample_ids_N < len(tally.seen_N)]  # all, unless a shard is not what the manifest says
    if tally.seen_N[in_split_N].any() or len(np.unique(sample_ids_N)) < len(sample_ids_N):
        yield "has samples that the split has already"
    tally.seen_N[in_split_N] = True
    if (np.lexsort((sample_ids_N, lengths_N)) != np.arange(len(lengths_N))).any():
        yield "is not sorted by length and sample"
    if ((lengths_N < 0) | (lengths_N > manifest.max_length)).any():
        yield f"has lengths beyond {manifest.max_length}"
        return
    edges = np.array(manifest.bucket_edges)
    buckets = {f"{tally.split}/bucket={bucket_name(edges, i)}" for i in np.unique(bucket_of(lengths_N, edges))}
    if buckets != {shard.path.rpartition("/")[0]}:
        yield "has samples of another bucket's lengths"


def _manifest_problems(manifest: Manifest) -> Iterator[str]:
    """Yield in what the manifest contradicts itself."""
    if manifest.key != key_of(manifest.key_parts):
        yield "has a key that is not that of its parts"
    if manifest.bucket_edges != tuple(bucket_edges(manifest.max_length).tolist()):
        yield "has bucket edges that are not those of its maximum length"
    for name, info in manifest.splits.items():
        missing = info.rows - sum(shard.rows for shard in info.shards)
        if missing > 0:
            yield f"names shards of {name} that lack {missing} of its {info.rows} samples"


def _split_problems(tally: _Tally, manifest: Manifest) -> Iterator[str]:
    """Yield what the manifest says of a split that its shards, each of them whole, do not, or that cannot be."""
    info, missing = tally.info, int((~tally.seen_N).sum())
    if missing:
        yield f"names shards of {tally.split} that lack {missing} of its {info.rows} samples"
        return
    droppable_tokens = sum(tokens * samples for tokens, samples in tally.droppable.items())
    if (
        (sum(tally.words), droppable_tokens) != (info.droppable_words, info.droppable_tokens)
        or tally.lengths != _counter(info.length_histogram)
        or tally.droppable != _counter(info.droppable_histogram)
        or tally.targets != _counter(info.target_histogram)
        or tally.sequences != _counter(info.sequence_histogram)
    ):
        yield f"has counts of {tally.split} that are not those of its samples"
        return
    contradicted = contradiction(manifest, tally.split)
    if contradicted is not None:
        yield f"has {contradicted}"


def _counter(histogram: Sequence[int]) -> Counter[int]:
    return Counter({value: count for value, count in enumerate(histogram) if count})


def _references_problem(folder: Path, info: SplitInfo) -> list[Problem]:
    if info.references is None:
        return []
    table = _read(folder, info.references)
    problem = table if isinstance(table, str) else None
    if not isinstance(table, str) and table.num_rows != info.source_rows:
        problem = f"has references of {table.num_rows} rows, not of {info.source_rows}"
    elif not isinstance(table, str) and TEXTS not in table.schema.names:
        problem = f"has no column {TEXTS}"
    elif not isinstance(table, str) and unanswered_rows(table) != info.unanswered:
        problem = f"has {unanswered_rows(table)} questions without an answer, not {info.unanswered}"
    return [] if problem is None else [Problem(file=info.references.path, problem=problem)]


def _list_problem(folder: Path, listing: FileInfo) -> list[Problem]:
    """Return the problem of a list of rows that were left out."""
    try:
        found = sha256_of((folder / listing.path).read_bytes())
    except OSError as error:
        return [Problem(file=listing.path, problem=f"cannot be read: {reason_of(error)}")]
    return [] if found == listing.sha256 else [Problem(file=listing.path, problem="is not what was written")]


def _read(folder: Path, file: ShardInfo | FileInfo) -> pa.Table | str:
    """Return a file's table, or the file's problem."""
    try:
        return read_checked(folder / file.path, file.sha256)
    except DatasetError as error:
        return error.message.removeprefix(f"The shard {folder / file.path} ").rstrip(".")


def _tokenizer_is_whole(dataset: PreparedDataset) -> bool:
    try:
        return sha256_of(tokenizer_text(dataset).encode("utf-8")) == dataset.manifest.tokenizer.sha256
    except DatasetError:
        return False


def _unknown_files(dataset: PreparedDataset) -> list[str]:
    """Return Parquet files that the manifest does not name: other readers would read them."""
    infos = dataset.manifest.splits.values()
    known = {shard.path for info in infos for shard in info.shards}
    known |= {info.references.path for info in infos if info.references is not None}
    files = (path.relative_to(dataset.path).as_posix() for path in dataset.path.rglob("*") if ".parquet" in path.name)
    return sorted(set(files) - known)
