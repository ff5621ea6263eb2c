"""Prepare a dataset once: read, tokenize, mark droppable words, write bucket shards.

Later commands pay for none of this again; training does no string work. Rows pass through in blocks (blocks.py), each
stored as a file until make_shards.py makes shards of them. So memory does not grow with the number of rows, and a
killed run resumes. The cost is about that of the tokenizer on all texts (benchmarks/).
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from tdbs.data.labels.single import LabelType
from tdbs.data.sources import FileOptions, open_source
from tdbs.data.tasks import Task
from tdbs.errors import ConfigError, DatasetError, choose, system_errors_as
from tdbs.files import folders_named, is_remote, name_in_folder, to_path, write_text
from tdbs.pipeline import cache_key, publish, schema
from tdbs.pipeline.dataset import TOKENIZER_NAME, PreparedDataset
from tdbs.pipeline.edits import origin_of
from tdbs.pipeline.engines import Engine, local_engine, workers_within
from tdbs.pipeline.lengths import bucket_edges, choose_limits
from tdbs.pipeline.make_shards import Progress, make_splits
from tdbs.pipeline.manifest import Manifest, TokenizerInfo, WordsInfo
from tdbs.pipeline.on_ray import ray_engine
from tdbs.pipeline.samples import OUTSIDE
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer, load_tokenizer
from tdbs.pipeline.words.matches import compile_words
from tdbs.pipeline.words.stopwords import WordList, choose_words, negations_in, words_sha256
from tdbs.pipeline.work import DATASET_FOLDER, claimed, discard_leftovers, work_folder
from tdbs.settings import DEFAULT_MEMORY

DEFAULT_TOKENIZER = "roberta-base"
DATA_FOLDER = Path("data")
_SHOWN_WORDS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareResult:
    """What `prepare` did: the dataset, whether it was there already, and what changed since a similar one."""

    dataset: PreparedDataset
    cached: bool
    changed: tuple[str, ...]
    warnings: tuple[str, ...]  # notes on rows, on risks for the labels, or on limits of TokenDrop


def prepare(
    source: str = "sample",
    *,
    mirror: str | Path | None = None,
    tokenizer: str | None = None,
    max_length: int | None = None,
    stride: int | None = None,
    max_target_length: int | None = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    label_type: str = "auto",
    target: str | None = None,
    prefix: str | None = None,
    validation: str | None = None,
    stopwords: str = "paper",
    keep: Sequence[str] = (),
    forbid_drop: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    memory: int | str = DEFAULT_MEMORY,
    engine: str = "local",
    ray_address: str | None = None,
    work: str | Path | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
    waiting: Callable[[Path], None] = lambda _place: None,
) -> PrepareResult:
    """Prepare a source for training; if the folder already holds a dataset with the same contents, return that one.

    Args:
        source: `sample`, a short name such as `glue/sst2`, or a CSV, TSV, JSONL or Parquet file, or a folder with a
            file for each split. Paths may be URLs of an object store.
        mirror: Folder with `<short name>/<split>.parquet`, read instead of the hub.
        tokenizer: Hub name or folder. None: `roberta-base` (summaries `t5-small`; the sample has its own).
        max_length: Most tokens of a sample, special ones included. None: 128 (question answering 384, sequence to
            sequence 512).
        stride: Question answering: tokens that two windows of a context share. None: a third of `max_length`.
        max_target_length: Sequence to sequence: most tokens of a target. None: 128.
        text: Column of the text, the words or the question. None: `text`, else `sentence`.
        pair: Column of the second text, or of the context.
        label: Column of the label or of the answers; several columns separated by commas. None: `label`.
        label_type: `auto`, `class` or `regression`.
        target: Column of the text to write (sequence to sequence).
        prefix: Text put before every source text (sequence to sequence).
        validation: A file, or the share of rows to hold out, such as `0.1`.
        stopwords: Words that may be dropped: `paper`, `nltk:<language>`, a file, or `none`.
        keep: Words that are never dropped; also the groups `pronouns` and `negation`.
        forbid_drop: Reason why TokenDrop must not run on this dataset. None: the task decides.
        out: Folder of the dataset. None: `data/<source>/<tokenizer>-<max length>-<key>`.
        overwrite: Whether to replace another dataset in that folder.
        memory: Memory that this call may take: bytes, or a text such as `2GiB`.
        engine: `local`, or `ray` for many machines.
        ray_address: Address of the Ray cluster. None: one is started on this machine.
        work: Folder for unfinished work, which all machines can see. None: beside the dataset.
        progress: Called with the stage, the rows or samples done, and how many there are (None: not known yet).
        waiting: Called once with the folder, if another process is preparing it.

    Returns:
        The dataset, whether it was there already, what changed since a similar one, and warnings.

    Raises:
        ConfigError: An option is out of range, or two options do not go together.
        SourceError: The source is missing, unreachable, or holds a row that cannot be prepared.
        TokenizerError: The tokenizer is missing or has no fast implementation.
        DatasetError: The folder holds something else, or cannot be written.
    """
    started = time.perf_counter()
    engines = _engine_of(engine, ray_address, workers=workers_within(memory))
    files = FileOptions(
        text=text,
        pair=pair,
        label=label,
        target=target,
        label_type=_checked_label_type(label_type),
        validation=validation,
        forbid_drop=forbid_drop,
    )
    found = open_source(source, mirror=None if mirror is None else to_path(mirror), files=files, prefix=prefix)
    loaded = load_tokenizer(tokenizer or found.default_tokenizer or DEFAULT_TOKENIZER)
    limits = choose_limits(
        found.task, loaded, max_length=max_length, stride=stride, max_target_length=max_target_length
    )
    words = choose_words(stopwords, keep=(*keep, "pronouns") if found.task.keep_pronouns else keep)
    parts = cache_key.key_parts(
        source_sha256=found.content_sha256,
        label_reading=found.label_reading,
        task=found.task,
        tokenizer_sha256=loaded.sha256,
        words_sha256=words_sha256(words.words),
        max_length=limits.max_length,
        stride=limits.stride,
        max_target_length=limits.max_target_length,
    )
    key = cache_key.key_of(parts)
    name = f"{name_in_folder(loaded.name)}-{limits.max_length}-{key[:8]}"
    default_place = DATA_FOLDER / folders_named(found.name) / name
    place = default_place if out is None else to_path(out)
    standing = _standing(place, parts, overwrite=overwrite)
    if standing is not None:
        discard_leftovers(place, work=work)
        return _cached(place, standing, words)
    with engines as started_engine, claimed(place, waiting=waiting):
        standing = _standing(place, parts, overwrite=overwrite)  # another process may have made it meanwhile
        if standing is not None:
            return _cached(place, standing, words)
        changed = cache_key.changed_parts(parts, cache_key.neighbouring_parts(place)) if out is None else ()
        with work_folder(place, key, work=work, fresh=overwrite) as folder:
            is_beside = work is None and not is_remote(place)
            with _disk_errors(place if is_beside else folder, "--out" if work is None else "--work"):
                write_text(folder / DATASET_FOLDER / TOKENIZER_NAME, loaded.backend_json)
                made = make_splits(
                    found, loaded, compile_words(words.words), limits, folder, engine=started_engine, progress=progress
                )
            manifest = Manifest(
                schema_version=schema.SCHEMA_VERSION,
                key=key,
                key_parts=parts,
                source=found.name,
                task=made.task,
                tokenizer=tokenizer_info(loaded, pair=made.task.is_pair),
                words=_words_info(words),
                max_length=limits.max_length,
                stride=limits.stride,
                max_target_length=limits.max_target_length,
                bucket_edges=tuple(int(edge) for edge in bucket_edges(limits.max_length)),
                splits=made.splits,
                origin=origin_of(source, mirror, files, prefix),
                notes=made.notes,
                seconds={**made.seconds, "total": time.perf_counter() - started},
            )
            with _disk_errors(place, "--out"):
                publish.publish(folder / DATASET_FOLDER, place, manifest)
    dataset = PreparedDataset(path=place, manifest=manifest)
    warnings = made.notes + _warnings(made.task, words)
    return PrepareResult(dataset=dataset, cached=False, changed=changed, warnings=warnings)


def tokenizer_info(tokenizer: LoadedTokenizer, *, pair: bool) -> TokenizerInfo:
    """Return what a manifest records of a tokenizer, for samples of one text or two."""
    return TokenizerInfo(
        name=tokenizer.name,
        source=tokenizer.source,
        sha256=tokenizer.sha256,
        vocabulary_sha256=tokenizer.vocabulary_sha256,
        vocabulary_size=tokenizer.vocabulary_size,
        pad_id=tokenizer.pad_id,
        end_id=tokenizer.end_id,
        special_ids=tokenizer.special_ids,
        special_tokens=tokenizer.backend.num_special_tokens_to_add(pair),
    )


def _engine_of(name: str, ray_address: str | None, *, workers: int) -> AbstractContextManager[Engine]:
    """Return the engine of a name, to be started."""
    if ray_address is not None and name != "ray":
        raise ConfigError("--ray-address only applies to --engine ray.", next_step="Pass --engine ray with it.")
    choose("--engine", name, ("local", "ray"))
    return nullcontext(local_engine(workers)) if name == "local" else ray_engine(ray_address)


def _standing(place: Path, parts: dict[str, str], *, overwrite: bool) -> Manifest | None:
    """Return the manifest of the dataset at a place if it has these key parts; refuse any other one."""
    standing = publish.check_place(place, overwrite=overwrite)
    if standing is not None and standing.key != cache_key.key_of(parts):
        changed = cache_key.changed_parts(parts, [standing.key_parts])
        raise DatasetError(
            f"{place} contains a dataset prepared with other settings ({', '.join(changed)} changed).",
            next_step="Pass another --out, or --overwrite.",
        )
    return standing


def _cached(place: Path, standing: Manifest, words: WordList) -> PrepareResult:
    dataset = PreparedDataset(path=place, manifest=standing)
    warnings = standing.notes + _warnings(standing.task, words)
    return PrepareResult(dataset=dataset, cached=True, changed=(), warnings=warnings)


def _disk_errors(folder: Path, option: str) -> AbstractContextManager[None]:
    """Turn a full disk, and whatever else the system says of writing, into an error with a next step."""
    next_step = f"Free some space there, or pass another {option}."
    return system_errors_as(DatasetError, f"{folder} cannot be written", next_step=next_step)


def _warnings(task: Task, words: WordList) -> tuple[str, ...]:
    """Return what the user should know before dropping words."""
    found = []
    negations = negations_in(words)
    if negations:
        more = ", …" if len(negations) > _SHOWN_WORDS else ""
        found.append(
            f"The droppable words of {words.source} contain negations ({', '.join(negations[:_SHOWN_WORDS])}{more}): "
            "dropping one can reverse a label. Protect them with --keep negation."
        )
    if task.kind == "token_classification" and task.classes and OUTSIDE not in task.classes:
        found.append(f"No class is named {OUTSIDE}, so every word has its own label and none is droppable.")
    return tuple(found)


def _checked_label_type(label_type: str) -> LabelType:
    choose("--label-type", label_type, get_args(LabelType))
    return cast(LabelType, label_type)


def _words_info(words: WordList) -> WordsInfo:
    return WordsInfo(source=words.source, kept=words.kept, count=len(words.words), sha256=words_sha256(words.words))
