"""The source of a dataset's texts as its manifest notes it, and the command that prepares that source again."""

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from tdbs.data.file_options import FileOptions
from tdbs.data.objects import Objects
from tdbs.data.sample import SAMPLE_TASK, TOKENIZER_FOLDER
from tdbs.data.sources import HUB_TOKENIZER
from tdbs.data.tasks import HUB_TASKS
from tdbs.errors import DatasetError
from tdbs.fields import PlainText
from tdbs.files import is_remote, to_path
from tdbs.pipeline.duplicates.options import EXACT, NEAR, TRAIN
from tdbs.pipeline.lengths import DEFAULT_MAX_LENGTH, DEFAULT_MAX_TARGET_LENGTH, MAX_LENGTHS, STRIDE_SHARE
from tdbs.pipeline.manifest import Manifest
from tdbs.records import Form, record_of
from tdbs.settings import changed_fields

T = TypeVar("T")

AGAIN = "Prepare the dataset again from the current source."
UNKNOWN_SOURCE = "SOURCE"  # in a command, for tables in memory and datasets that do not note their source
_FORM = Form(what="the origin of a dataset", error=DatasetError, next_step=AGAIN)
# Keys of an origin that older versions of tdbs wrote for every source.
_ALWAYS_NOTED = ("text", "pair", "label", "target", "validation", "forbid_drop")
_KEEP_PRONOUNS = "pronouns"  # a task that keeps them adds this group itself


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What a manifest notes of a source, beside the options of its files."""

    source: PlainText | None  # None: tables in memory
    mirror: PlainText | None = None
    prefix: str | None = None
    tokenizer: PlainText | None = None  # full path of a folder that was named from another one; None: as the manifest


def origin_of(
    source: str | Path | Objects | None,
    mirror: str | Path | None,
    files: FileOptions,
    prefix: str | None,
    *,
    tokenizer: str,
) -> Mapping[str, str | float | bool | None]:
    """Return the source of a dataset's texts as its manifest notes it, so that any folder can find them again.

    Tables in memory cannot be found again: the source is None.
    """
    place = str(source) if isinstance(source, str | Path) else None
    if place is not None and place != SAMPLE_TASK.name and place not in HUB_TASKS:
        place = _absolute(place)
    validation = files.validation
    if isinstance(validation, str) and to_path(validation).is_file():
        validation = _absolute(validation)
    names = None if files.label_names is None else _absolute(files.label_names)
    is_near = Path(tokenizer).is_dir() and not Path(tokenizer).is_absolute()
    return {
        "source": place,
        "mirror": None if mirror is None else _absolute(str(mirror)),
        **dict.fromkeys(_ALWAYS_NOTED),
        "label_type": files.label_type,
        **changed_fields(dataclasses.replace(files, validation=validation, label_names=names), FileOptions),
        "prefix": prefix,
        **({"tokenizer": _absolute(tokenizer)} if is_near else {}),
    }


def read_origin(origin: Mapping[str, Any], *, named: str) -> tuple[Origin, FileOptions]:
    """Return a source and the options of its files. Raises DatasetError if a value does not fit."""
    return record_of(origin, Origin, _FORM, named=named), record_of(origin, FileOptions, _FORM, named=named)


def prepare_command(
    manifest: Manifest, changes: Mapping[str, object] = MappingProxyType({}), *, source: str | None = None
) -> str:
    """Return the command that prepares a dataset's source again, as a shell takes it.

    Args:
        manifest: The dataset's. What it does not note is not in the command (`unnoted`).
        changes: Other values of options, by the names of the arguments of `prepare`. None: without the option.
        source: Another source. None: the dataset's own.

    Returns:
        `tdbs prepare` with the options that do not have their default, the changed ones last.
    """
    known, files = _noted(manifest)
    tokenizer = known.tokenizer or _unless(manifest.tokenizer.source, _default_tokenizer(known, manifest))
    of_source = {"mirror": known.mirror, **changed_fields(files, FileOptions), "prefix": known.prefix}
    own = {**of_source, "tokenizer": tokenizer, **_others(manifest)}
    words = ["tdbs", "prepare", source or known.source or UNKNOWN_SOURCE]
    for name, value in {**{name: own[name] for name in own if name not in changes}, **changes}.items():
        if value is not None:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(words)


def unnoted(manifest: Manifest) -> str | None:
    """Return what `prepare_command` lacks since the manifest does not note it; None: nothing."""
    if manifest.origin is None:
        return "the options that this dataset was prepared with"
    if manifest.origin.get("source") is None:
        return f"a file of the rows as {UNKNOWN_SOURCE}"
    words = manifest.words.source
    return f"--stopwords with the path of {words}" if _is_file_of_words(words) else None


def dropped_duplicates(manifest: Manifest) -> str | None:
    """Return the value of --drop-duplicates that a dataset was prepared with."""
    kinds = {} if manifest.duplicates is None else manifest.duplicates.left_out.get(TRAIN, {})
    return None if not kinds else NEAR if NEAR in kinds else EXACT


def kept_out(manifest: Manifest) -> tuple[str, ...]:
    """Return the splits of --keep-out that a dataset was prepared with."""
    left_out = {} if manifest.duplicates is None else manifest.duplicates.left_out
    return tuple(name for name in left_out if name != TRAIN)


def _noted(manifest: Manifest) -> tuple[Origin, FileOptions]:
    if manifest.origin is None:
        return Origin(source=None), FileOptions()
    return read_origin(manifest.origin, named=f"origin of {manifest.source}")


def _others(manifest: Manifest) -> dict[str, object]:
    """Return what the other options of `prepare` were; None for one that has its default."""
    kind, words = manifest.task.kind, manifest.words.source
    length = manifest.longest_input
    kept = [word for word in manifest.words.kept if not (manifest.task.keep_pronouns and word == _KEEP_PRONOUNS)]
    return {
        "max_length": _unless(length, MAX_LENGTHS.get(kind, DEFAULT_MAX_LENGTH)),
        "max_target_length": _unless(manifest.max_target_length, DEFAULT_MAX_TARGET_LENGTH),
        "stride": _unless(manifest.stride, length // STRIDE_SHARE),
        "stopwords": None if words == "paper" or _is_file_of_words(words) else words,
        "keep": ",".join(kept) or None,
        "drop_duplicates": dropped_duplicates(manifest),
        "keep_out": ",".join(kept_out(manifest)) or None,
    }


def _default_tokenizer(known: Origin, manifest: Manifest) -> str | None:
    """Return the tokenizer that a source has without --tokenizer; None: it depends on the source."""
    if known.source == SAMPLE_TASK.name:
        return str(TOKENIZER_FOLDER)
    return None if manifest.task.kind == "seq2seq" else HUB_TOKENIZER


def _unless(value: T, default: T) -> T | None:
    return None if value == default else value


def _is_file_of_words(source: str) -> bool:
    """Return whether a list of words came from a file, of which a manifest has the name alone."""
    return source not in ("paper", "none") and not source.startswith("nltk:")


def _absolute(place: str) -> str:
    path = to_path(place)
    return place if is_remote(path) else str(path.expanduser().absolute())
