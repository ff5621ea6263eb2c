"""Prepare a dataset once: read, tokenize, mark droppable words, write bucket shards.

Later commands pay for none of this again; training does no string work. Rows pass through in blocks (blocks.py), each
stored as a file until make_shards.py makes shards of them. So memory does not grow with the number of rows, and a
killed run resumes. The cost is about that of the tokenizer on all texts (benchmarks/).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, get_args

from tdbs.data.bad_rows import with_other_rows
from tdbs.data.file_options import VALIDATION_HELP, FileOptions
from tdbs.data.hub_repos import HubDataset, hub_dataset
from tdbs.data.labels.single import LabelType
from tdbs.data.objects import Objects, Rows
from tdbs.data.sources import Source, open_source
from tdbs.data.streams import kept_streams
from tdbs.data.tasks import Task
from tdbs.data.understood import source_facts
from tdbs.errors import ConfigError, DatasetError, RowError, choose, system_errors_as
from tdbs.files import folders_named, is_remote, to_path, write_text
from tdbs.given import several
from tdbs.notebook import HELP, shown_progress
from tdbs.option import Option
from tdbs.pipeline import cache_key, publish, schema
from tdbs.pipeline.dataset import TOKENIZER_NAME, PreparedDataset
from tdbs.pipeline.duplicates.options import DuplicateOptions, drop_rules
from tdbs.pipeline.engines import Engine, local_engine, workers_within
from tdbs.pipeline.fetch import fetch, fetched_facts, refuse_options
from tdbs.pipeline.lengths import bucket_edges, choose_limits
from tdbs.pipeline.make_shards import Progress, make_splits
from tdbs.pipeline.manifest import Manifest
from tdbs.pipeline.on_ray import ray_engine
from tdbs.pipeline.origin import origin_of
from tdbs.pipeline.prepared import PrepareResult
from tdbs.pipeline.recorded import tokenizer_info, words_info
from tdbs.pipeline.samples import OUTSIDE
from tdbs.pipeline.tokens.tokenizer import load_tokenizer
from tdbs.pipeline.words.matches import compile_words
from tdbs.pipeline.words.stopwords import WordList, choose_words, negations_in, words_sha256
from tdbs.pipeline.work import DATASET_FOLDER, claimed, discard_leftovers, work_folder
from tdbs.settings import DEFAULT_MEMORY, changed_fields, option_of, takes_only

DEFAULT_TOKENIZER = "roberta-base"
DATA_FOLDER = Path("data")
_SHOWN_WORDS = 5
Names = str | Sequence[str] | None
Validation = str | Path | float | Rows | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PrepareArguments(DuplicateOptions):
    """The arguments of `prepare`."""

    source: Annotated[
        str | Path | Objects,
        Option(
            "sample, glue/<task>, squad, xsum, cnn_dailymail, a file or URL of rows, a folder of splits, or "
            "hub:USER/NAME, which tdbs push made."
        ),
    ] = field(default="sample", kw_only=False)
    # A table too, which no record on disk has.
    validation: Annotated[Validation, Option(VALIDATION_HELP)] = None  # type: ignore[assignment]
    # Lists, too; they become one text before the record is made.
    label: Annotated[Names, option_of(FileOptions, "label")] = None  # type: ignore[assignment]
    columns: Annotated[Names, option_of(FileOptions, "columns")] = None  # type: ignore[assignment]
    keep_out: Annotated[Names, option_of(DuplicateOptions, "keep_out")] = None  # type: ignore[assignment]
    mirror: Annotated[str | Path | None, Option("Folder with <short name>/<split>.parquet, instead of the hub.")] = None
    tokenizer: Annotated[
        str | None,
        Option("Hub name or folder.", default=f"{DEFAULT_TOKENIZER}; summaries t5-small; the sample has its own"),
    ] = None
    max_length: Annotated[
        int | None,
        Option("Most tokens of a sample, special tokens included.", default="128; answers 384, texts 512"),
    ] = None
    max_target_length: Annotated[int | None, Option("Most tokens of a target.", default="128")] = None
    stride: Annotated[
        int | None, Option("Tokens shared by two windows of a context.", default="a third of the maximum")
    ] = None
    prefix: Annotated[str | None, Option("Text before every source (sequence to sequence): 'summarize: '.")] = None
    stopwords: Annotated[
        str,
        Option(
            "Words that may be dropped: paper, nltk:<language>, a file, or none; on the command line also learned:RUN."
        ),
    ] = "paper"
    keep: Annotated[
        Sequence[str] | str, Option("Words never to drop, or one; also the groups pronouns and negation.")
    ] = ()
    out: Annotated[
        str | Path | None, Option("Folder of the dataset.", default="data/<source>/<tokenizer>-<max length>-<key>")
    ] = None
    overwrite: Annotated[bool, Option("Replace another dataset in that folder.")] = False
    memory: Annotated[int | str, Option("Memory limit of prepare: 2GiB, 768MiB.")] = DEFAULT_MEMORY
    engine: Annotated[str, Option("Where the work runs; ray: on many machines.", choices=("local", "ray"))] = "local"
    ray_address: Annotated[str | None, Option("Ray cluster.", default="started on this machine")] = None
    work: Annotated[
        str | Path | None,
        Option("Folder for unfinished work that all machines can reach.", default="beside the dataset"),
    ] = None
    progress: Annotated[
        Progress | bool,
        Option(f"Called with the stage, the rows or samples done, and how many there are (None: unknown yet). {HELP}"),
    ] = True
    waiting: Annotated[
        Callable[[Path], None], Option("Called once with the folder if another process is preparing it.")
    ] = lambda _place: None


@takes_only(PrepareArguments)
def prepare(arguments: PrepareArguments) -> PrepareResult:
    """Prepare a source for training; if the folder already holds a dataset with the same contents, return that one.

    From Python the source may also be a table, or a dict of one for each split: a Dataset or IterableDataset of
    datasets, a DataFrame of pandas or polars, a pyarrow Table, a list of dicts. So may `validation`.

    Returns:
        The dataset, whether it was there already, what changed since a similar one, and warnings.

    Raises:
        ConfigError: An option is out of range, or two options do not go together.
        SourceError: The source is missing, unreachable, or holds a row that cannot be prepared.
        TokenizerError: The tokenizer is missing or has no fast implementation.
        DatasetError: The folder holds something else, or cannot be written.
    """
    on_hub = hub_dataset(arguments.source)
    if on_hub is not None:
        return _fetch(on_hub, arguments)
    with (
        kept_streams(arguments.source, "train") as source,
        kept_streams(arguments.validation, "validation") as validation,
    ):
        return _prepare(replace(arguments, source=source, validation=validation))


def _fetch(on_hub: HubDataset, arguments: PrepareArguments) -> PrepareResult:
    refuse_options(on_hub, changed_fields(replace(arguments, keep=tuple(several(arguments.keep))), PrepareArguments))
    dataset, cached = fetch(
        on_hub, data=DATA_FOLDER, out=arguments.out, overwrite=arguments.overwrite, waiting=arguments.waiting
    )
    facts = fetched_facts(dataset.manifest)
    return PrepareResult(dataset=dataset, cached=cached, changed=(), warnings=(), source=facts)


def _prepare(arguments: PrepareArguments) -> PrepareResult:
    started = time.perf_counter()
    choose("--label-type", arguments.label_type, get_args(LabelType))
    mirror = None if arguments.mirror is None else to_path(arguments.mirror)
    engines = _engine_of(arguments.engine, arguments.ray_address, workers=workers_within(arguments.memory))
    files, table = _file_options(arguments)
    found = open_source(arguments.source, mirror=mirror, files=files, prefix=arguments.prefix, validation=table)
    rules = drop_rules(arguments, found, memory=arguments.memory)
    loaded = load_tokenizer(arguments.tokenizer or found.default_tokenizer or DEFAULT_TOKENIZER)
    limits = choose_limits(
        found.task,
        loaded,
        max_length=arguments.max_length,
        stride=arguments.stride,
        max_target_length=arguments.max_target_length,
    )
    kept = (*several(arguments.keep), *(["pronouns"] if found.task.keep_pronouns else []))
    words = choose_words(arguments.stopwords, keep=kept)
    parts = cache_key.key_parts(
        source_sha256=found.content_sha256,
        readings=found.readings,
        task=found.task,
        tokenizer_sha256=loaded.sha256,
        words_sha256=words_sha256(words.words),
        max_length=limits.max_length,
        stride=limits.stride,
        max_target_length=limits.max_target_length,
        rules=rules,
    )
    key = cache_key.key_of(parts)
    name = cache_key.dataset_name(loaded.name, limits.max_length, key)
    default_place = DATA_FOLDER / folders_named(found.name) / name
    place = default_place if arguments.out is None else to_path(arguments.out)
    standing = _standing(place, parts, overwrite=arguments.overwrite)
    if standing is not None:
        discard_leftovers(place, work=arguments.work)
        return _cached(place, standing, words, found)
    with engines as engine, claimed(place, waiting=arguments.waiting):
        standing = _standing(place, parts, overwrite=arguments.overwrite)  # another process may have made it meanwhile
        if standing is not None:
            return _cached(place, standing, words, found)
        changed = cache_key.changed_parts(parts, cache_key.neighbouring_parts(place)) if arguments.out is None else ()
        with work_folder(place, key, work=arguments.work, fresh=arguments.overwrite) as folder:
            is_beside = arguments.work is None and not is_remote(place)
            with _disk_errors(place if is_beside else folder, "--out" if arguments.work is None else "--work"):
                write_text(folder / DATASET_FOLDER / TOKENIZER_NAME, loaded.backend_json)
                pattern = compile_words(words.words)
                with _bad_rows_listed(found), shown_progress(arguments.progress, lambda count: count) as shown:
                    made = make_splits(
                        found, loaded, pattern, limits, folder, engine=engine, progress=shown, rules=rules
                    )
            manifest = Manifest(
                schema_version=schema.SCHEMA_VERSION,
                key=key,
                key_parts=parts,
                source=found.name,
                task=made.task,
                tokenizer=tokenizer_info(loaded, pair=made.task.is_pair),
                words=words_info(words),
                max_length=made.max_length,
                max_sequence_length=limits.max_length if made.task.is_grouped else None,
                stride=limits.stride,
                max_target_length=limits.max_target_length,
                bucket_edges=tuple(int(edge) for edge in bucket_edges(made.max_length)),
                splits=made.splits,
                origin=origin_of(
                    arguments.source if table is None else None,
                    mirror,
                    files,
                    arguments.prefix,
                    tokenizer=loaded.source,
                ),
                notes=made.notes,
                skipped=made.skipped,
                duplicates=made.duplicates,
                seconds={**made.seconds, "total": time.perf_counter() - started},
            )
            with _disk_errors(place, "--out"):
                publish.publish(folder / DATASET_FOLDER, place, manifest)
    dataset = PreparedDataset(path=place, manifest=manifest)
    warnings = found.notes + made.notes + _warnings(made.task, words)
    facts = source_facts(found, made.task)
    return PrepareResult(dataset=dataset, cached=False, changed=changed, warnings=warnings, source=facts)


def _file_options(arguments: PrepareArguments) -> tuple[FileOptions, Rows | None]:
    """Return the options of files, and the table of validation rows, if it is one."""
    given = {each.name: getattr(arguments, each.name) for each in fields(FileOptions)}
    validation = str(arguments.validation) if isinstance(arguments.validation, Path) else arguments.validation
    if validation is None or isinstance(validation, str | float | int):
        return FileOptions(**given | {"validation": validation}), None
    return FileOptions(**given | {"validation": None}), validation


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


def _cached(place: Path, standing: Manifest, words: WordList, source: Source) -> PrepareResult:
    dataset = PreparedDataset(path=place, manifest=standing)
    warnings = source.notes + standing.notes + _warnings(standing.task, words)
    facts = source_facts(source, standing.task)
    return PrepareResult(dataset=dataset, cached=True, changed=(), warnings=warnings, source=facts)


@contextmanager
def _bad_rows_listed(source: Source) -> Iterator[None]:
    """Let an error about a row of the user's files name the other bad rows, and the way to leave them out."""
    try:
        yield
    except RowError as error:
        if source.skips_bad_rows or source.label_type is None:
            raise
        raise with_other_rows(source, error) from error


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
