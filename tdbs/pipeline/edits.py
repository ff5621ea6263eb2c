"""Edit raw texts: small errors that a model meets at inference (paper, section 3.1), and the user's own edits.

Articles and punctuation are removed as in the resilience test: 'a', 'an', 'the'; comma, full stop, apostrophe and so
on. A text that would become empty stays whole, as TokenDrop keeps one token. An edited split is read from its source
and prepared as before. Tokens cannot restore a text exactly, so the source must still exist with the contents that were
prepared.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from tdbs.data.reading import FirstPassResult
from tdbs.data.row_block import RowBlock
from tdbs.data.sources import Source, open_source
from tdbs.errors import ConfigError, DatasetError, TdbsError, choose, reason_of
from tdbs.files import to_path, write_text
from tdbs.pipeline.blocks import BlockInfo, BlockJob, make_block
from tdbs.pipeline.dataset import TOKENIZER_NAME, PreparedDataset, split_info, tokenizer_text
from tdbs.pipeline.drop_rows import listed_rows
from tdbs.pipeline.duplicates.options import TRAIN
from tdbs.pipeline.engines import Engine, local_engine, split_blocks
from tdbs.pipeline.lengths import Limits
from tdbs.pipeline.make_shards import make_splits
from tdbs.pipeline.manifest_file import MANIFEST_NAME
from tdbs.pipeline.origin import AGAIN, read_origin
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer, load_tokenizer
from tdbs.pipeline.words.matches import combining_marks, compile_words
from tdbs.pipeline.work import DATASET_FOLDER
from tdbs.records import Form, read_text

ARTICLES = ("a", "an", "the")
PUNCTUATION = ",.;:!?'’‘\"“”`…"  # no hyphens and brackets: they hold words together or apart
REMOVABLE = ("articles", "punctuation")
Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]

_FORM = Form(what="a file of edits", error=ConfigError, next_step="Pass a text file in UTF-8.")
_NEXT_STEP = "Write lines of a regular expression, a tab, and its replacement."


@dataclass(frozen=True, kw_only=True, slots=True)
class TextEdit:
    """A change of texts: its name, and the replacement of each pattern, in order."""

    name: str
    rules: tuple[Rule, ...]


def removal(kinds: Sequence[str]) -> TextEdit:
    """Return the edit that removes articles, punctuation or both from a text, at once.

    Raises ConfigError for any other kind.
    """
    for kind in kinds:
        choose("--remove", kind, REMOVABLE)
    chosen = tuple(kind for kind in REMOVABLE if kind in kinds)
    return TextEdit(name=f"without {', '.join(chosen)}", rules=((_removed(chosen), _space_that_stays),))


def read_edits(path: Path) -> TextEdit:
    """Read the user's edits: lines of a regular expression, a tab and what stands for its matches, done in order.

    Empty lines and those that begin with # say nothing. Raises ConfigError that names the line.
    """
    lines = read_text(path, _FORM, named=f"The edits {path}").splitlines()
    rules = [
        _rule(f"Line {number} of {path}", line)
        for number, line in enumerate(lines, start=1)
        if line.strip(" ") and not line.startswith("#")
    ]
    if not rules:
        raise ConfigError(f"{path} contains no edits.", next_step=_NEXT_STEP)
    return TextEdit(name=path.name, rules=tuple(rules))


def edited(text: str, edit: TextEdit) -> str:
    """Return a text after an edit; the text itself if nothing but white space would be left."""
    after = text
    for pattern, replacement in edit.rules:
        after = pattern.sub(replacement, after)
    return after if after.strip() else text


def edited_split(
    dataset: PreparedDataset, split: str, edit: TextEdit, *, folder: Path, mirror: Path | None = None
) -> PreparedDataset:
    """Prepare one split with edited texts below `folder`: the same tokenizer, task and lengths, no droppable words.

    `mirror` replaces the mirror of the dataset. Raises a TdbsError if the source is gone or has other contents, if
    labels belong to words, and if samples are several texts.
    """
    manifest = dataset.manifest
    split_info(dataset, split)
    if manifest.task.kind == "token_classification":
        raise ConfigError(
            "Each word of this task has a label; an edit of the text would separate them.",
            next_step="Leave --remove and --edits out.",
        )
    if manifest.task.is_grouped:
        raise ConfigError(
            "Samples of this task are several texts; --remove and --edits change one text or a pair.",
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
        engine=_editing_engine(split, edit, listed_rows(dataset.path, manifest.duplicates) if split == TRAIN else ()),
        progress=lambda _stage, _done, _total: None,
    )
    if made.task != manifest.task:
        raise DatasetError(f"An older tdbs read the labels of {dataset.path} by different rules.", next_step=AGAIN)
    target = folder / DATASET_FOLDER
    write_text(target / TOKENIZER_NAME, (folder / TOKENIZER_NAME).read_text(encoding="utf-8"))
    return PreparedDataset(path=target, manifest=dataclasses.replace(manifest, splits={split: made.splits[split]}))


@cache
def _removed(kinds: Sequence[str]) -> re.Pattern[str]:
    """Return what matches words and marks that go, several in a row at once, with the white space around them.

    An article is a word of its own: neither in "U.S.A." nor in "a-list" nor in "a's". A mark between digits is part of
    a number, and stays.
    """
    letter, joint = rf"[\w{combining_marks()}]", r"[.'’\-\u2010\u2011]"
    mark = f"[{re.escape(PUNCTUATION)}]"
    patterns = {
        "articles": rf"(?<!{letter})(?<!\w{joint})(?:{'|'.join(ARTICLES)})(?!{letter})(?!{joint}\w)",
        "punctuation": rf"(?<!\d){mark}|{mark}(?!\d)",
    }
    one = "|".join(patterns[kind] for kind in kinds)
    # From the first space of several on: else a page of spaces would be looked at again from each of them.
    return re.compile(rf"(?<!\s)\s*(?:(?:{one})\s*)+", re.IGNORECASE)


def _space_that_stays(found: re.Match[str]) -> str:
    """Return the first white space of a match, nothing at the ends of the text."""
    if found.start() == 0 or found.end() == len(found.string):
        return ""
    return next(filter(str.isspace, found[0]), "")


def _rule(where: str, line: str) -> Rule:
    find, tab, replacement = line.partition("\t")
    if not tab or not find:
        raise ConfigError(f"{where} has no tab after its pattern.", next_step=_NEXT_STEP)
    try:
        pattern = re.compile(find)
        pattern.sub(replacement, "")  # reads the replacement, whose groups must be there
    except (re.error, IndexError) as error:
        raise ConfigError(f"{where} is not a regular expression: {reason_of(error)}.", next_step=_NEXT_STEP) from error
    return pattern, replacement


def _editing_engine(split: str, edit: TextEdit, left_out: Sequence[int]) -> Engine:
    """Return an engine that makes the blocks of one split, their texts edited, without the rows that are left out."""

    def make_blocks(job: BlockJob, source: Source, survey: FirstPassResult) -> Iterator[BlockInfo]:
        number = 0
        for block in split_blocks(source, survey, split):
            rows = block.rows.only(~np.isin(block.rows.rows_N, left_out))
            if len(rows.rows_N):
                yield make_block(job, dataclasses.replace(block, number=number, rows=_edited_rows(rows, edit)))
                number += 1

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
    """Open the source of a dataset again. Raises DatasetError if it is not there, or is not what it was."""
    origin = dataset.manifest.origin
    if origin is None:
        raise DatasetError(
            f"{dataset.path} does not record the source of its texts: it is from the hub, or of an older tdbs.",
            next_step="Prepare its texts again, on this machine.",
        )
    named = f"origin of {dataset.path / MANIFEST_NAME}"
    known, options = read_origin(origin, named=named)
    if known.source is None:
        raise DatasetError(
            f"{dataset.path} was prepared from tables in memory, whose texts cannot be read again.",
            next_step="Write the rows to a file, and prepare that.",
        )
    place = mirror or (None if known.mirror is None else to_path(known.mirror))
    try:
        source = open_source(known.source, mirror=place, files=options, prefix=known.prefix)
    except TdbsError as error:
        raise DatasetError(
            f"The texts of {dataset.path} cannot be read again: {error.message}",
            next_step="Restore the source at its old path; if you moved a mirror folder, pass --mirror.",
        ) from error
    if source.content_sha256 != dataset.manifest.key_parts.get("source"):
        raise DatasetError(f"The source of {dataset.path} has changed since it was prepared.", next_step=AGAIN)
    return source
