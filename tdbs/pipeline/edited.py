"""A split of a prepared dataset once more, its raw texts edited: read from their source, then prepared as before.

Tokens cannot give a text back exactly, so the source has to be there still, with the contents that were prepared.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from tdbs.data.reading import RowBlock, Survey
from tdbs.data.sample import SAMPLE_TASK
from tdbs.data.sources import FileOptions, Source, open_source
from tdbs.data.tasks import HUB_TASKS
from tdbs.errors import ConfigError, DatasetError, TdbsError
from tdbs.files import is_remote, to_path, write_text
from tdbs.pipeline.blocks import BlockInfo, BlockJob, make_block
from tdbs.pipeline.dataset import TOKENIZER_NAME, PreparedDataset, split_info, tokenizer_text
from tdbs.pipeline.edits import TextEdit, edited
from tdbs.pipeline.engines import Engine, local_engine, split_blocks
from tdbs.pipeline.limits import Limits
from tdbs.pipeline.making import make_splits
from tdbs.pipeline.manifest import MANIFEST_NAME
from tdbs.pipeline.matches import compile_words
from tdbs.pipeline.tokenizer import LoadedTokenizer, load_tokenizer
from tdbs.pipeline.work import DATASET_FOLDER
from tdbs.records import Form, PlainText, record_of

_AGAIN = "Prepare the dataset again from the source that there is now."
_FORM = Form(what="the origin of a dataset", error=DatasetError, next_step=_AGAIN)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Origin:
    """What a manifest notes of a source, beside the options of its files."""

    source: PlainText
    mirror: PlainText | None = None
    prefix: str | None = None


def origin_of(
    source: str, mirror: str | Path | None, files: FileOptions, prefix: str | None
) -> Mapping[str, str | None]:
    """Return what a manifest notes of where its texts came from, so that they are found again from any folder."""
    named = source == SAMPLE_TASK.name or source in HUB_TASKS
    validation = files.validation
    if validation is not None and to_path(validation).is_file():
        validation = _absolute(validation)
    return {
        "source": source if named else _absolute(source),
        "mirror": None if mirror is None else _absolute(str(mirror)),
        **dataclasses.asdict(dataclasses.replace(files, validation=validation)),
        "prefix": prefix,
    }


def edited_split(
    dataset: PreparedDataset, split: str, edit: TextEdit, *, folder: Path, mirror: Path | None = None
) -> PreparedDataset:
    """Prepare one split with edited texts below `folder`: the same tokenizer, task and lengths, no droppable words.

    `mirror` stands in for the one of before. Raises a TdbsError where the source is gone or has other contents, and
    where labels belong to words.
    """
    manifest = dataset.manifest
    split_info(dataset, split)
    if manifest.task.kind == "token_classification":
        raise ConfigError(
            "Each word has a label here; an edit of the text would part them.",
            next_step="Leave --remove and --edits out.",
        )
    source = _source_again(dataset, mirror)
    write_text(folder / TOKENIZER_NAME, tokenizer_text(dataset))
    limits = Limits(
        max_length=manifest.max_length, stride=manifest.stride, max_target_length=manifest.max_target_length
    )
    made = make_splits(
        source,
        _tokenizer_again(folder, dataset),
        compile_words(()),
        limits,
        folder,
        engine=_editing_engine(split, edit),
        progress=lambda _stage, _done, _total: None,
    )
    if made.task != manifest.task:
        raise DatasetError(f"An older tdbs read the labels of {dataset.path} by other rules.", next_step=_AGAIN)
    target = folder / DATASET_FOLDER
    write_text(target / TOKENIZER_NAME, (folder / TOKENIZER_NAME).read_text(encoding="utf-8"))
    return PreparedDataset(path=target, manifest=dataclasses.replace(manifest, splits={split: made.splits[split]}))


def _editing_engine(split: str, edit: TextEdit) -> Engine:
    """Return an engine that makes the blocks of one split, their texts edited."""

    def make_blocks(job: BlockJob, source: Source, survey: Survey) -> Iterator[BlockInfo]:
        for block in split_blocks(source, survey, split):
            yield make_block(job, dataclasses.replace(block, rows=_edited_rows(block.rows, edit)))

    return Engine(make_blocks=make_blocks, write_parts=local_engine(1).write_parts)


def _edited_rows(rows: RowBlock, edit: TextEdit) -> RowBlock:
    pairs = None if rows.pairs is None else _edited_texts(rows.pairs, edit)
    return dataclasses.replace(rows, texts=_edited_texts(rows.texts, edit), pairs=pairs)


def _edited_texts(texts: pa.Array, edit: TextEdit) -> pa.Array:
    return pa.array([edited(text, edit) for text in texts.to_pylist()], texts.type)


def _tokenizer_again(folder: Path, dataset: PreparedDataset) -> LoadedTokenizer:
    """Return the tokenizer that a dataset carries, with what its manifest says of it."""
    info = dataset.manifest.tokenizer
    loaded = load_tokenizer(str(folder))
    return dataclasses.replace(loaded, name=info.name, source=info.source, pad_id=info.pad_id, end_id=info.end_id)


def _source_again(dataset: PreparedDataset, mirror: Path | None) -> Source:
    """Open the source of a dataset again. Raises DatasetError where it is not there, or is not what it was."""
    origin = dataset.manifest.origin
    if origin is None:
        raise DatasetError(
            f"{dataset.path} does not say where its texts came from: an older tdbs prepared it.",
            next_step="Prepare it again with --overwrite.",
        )
    named = f"origin of {dataset.path / MANIFEST_NAME}"
    options = record_of(origin, FileOptions, _FORM, named=named)
    known = record_of(origin, _Origin, _FORM, named=named)
    place = mirror or (None if known.mirror is None else to_path(known.mirror))
    try:
        source = open_source(known.source, mirror=place, files=options, prefix=known.prefix)
    except TdbsError as error:
        raise DatasetError(
            f"The texts of {dataset.path} cannot be read again: {error.message}",
            next_step="Put the source back where it was; for a mirror folder elsewhere pass --mirror.",
        ) from error
    if source.content_sha256 != dataset.manifest.key_parts.get("source"):
        raise DatasetError(f"The source of {dataset.path} has changed since it was prepared.", next_step=_AGAIN)
    return source


def _absolute(place: str) -> str:
    path = to_path(place)
    return place if is_remote(path) else str(path.expanduser().absolute())
