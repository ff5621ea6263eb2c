"""Predictions on disk: one part for each block of the input, joined into the output at the end.

A part is complete or absent, and its record is written after it, so the number of records says where a killed run
resumes. A part depends on its block alone, so the joined file has the same bytes however often a run was stopped. A
failure before the first part leaves no folder, because there is nothing to resume.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tdbs.errors import ConfigError, reason_of
from tdbs.fields import Count, Digits
from tdbs.files import new_file, stamp_of, write_bytes, write_json
from tdbs.inference.blocks import Input
from tdbs.inference.checkpoints import Checkpoint
from tdbs.inference.decode import PREDICTION
from tdbs.inference.rankings import EMBEDDING, SCORE, SCORES
from tdbs.pipeline.schema import SOURCE_ROW
from tdbs.records import MOST_BYTES_OF_A_LINE, Form, json_of, opened, read_bytes, read_json, read_record
from tdbs.removal import is_own_folder, is_there, refuse_link, refuse_taken, remove_folder
from tdbs.shown import json_line
from tdbs.train.planning.recorded import recorded_parts
from tdbs.train.planning.strategies import Strategy

OUTPUT_SUFFIXES = (".jsonl", ".parquet")
_SETTINGS = "predict.json"
_FORM = Form(
    what="a record of predictions", error=ConfigError, next_step="Pass --overwrite to start again, or another --out."
)
_PART_NAMES = re.compile(r"predict\.json|part-\d{5}\.(json|jsonl|parquet)|joined|\..+")  # with a dot: half a file
_DECIMALS = 6  # of numbers in JSON; a float32 has seven digits


@dataclass(frozen=True, kw_only=True, slots=True)
class PartRecord:
    """What a part holds, and what the model was given for it."""

    rows: Count
    samples: Count
    tokens: Count
    kept_tokens: Count
    skipped: Mapping[Digits, str]  # bad rows by number, from 0, and what is wrong with them


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """An output in the making: its folder, and the records of the parts that are done."""

    out: Path
    folder: Path
    records: Sequence[PartRecord]


def check_output(out: Path) -> None:
    """Refuse an output that is neither JSONL nor Parquet, or a link."""
    refuse_link(out)
    if out.suffix not in OUTPUT_SUFFIXES:
        raise ConfigError(f"--out {out.name} is neither JSONL nor Parquet.", next_step="Name it .jsonl or .parquet.")


def is_output(out: Path) -> bool:
    """Return whether a file has predictions as tdbs writes them, or none: its first columns are theirs."""
    try:
        if out.suffix == ".parquet":
            names = pq.read_schema(out).names
        else:
            with opened(out, _FORM) as file:
                names = list(json_of(file.readline(MOST_BYTES_OF_A_LINE), _FORM, named=str(out)))
    except (pa.ArrowException, ConfigError, TypeError):  # TypeError: a number is not a row
        return False
    return names[:1] == [SOURCE_ROW] and names[1:2] in ([PREDICTION], [EMBEDDING], [SCORE], [SCORES])


def output_settings(
    checkpoint: Checkpoint,
    opened: Input,
    strategy: Strategy,
    *,
    stopwords: str | None,
    seed: int,
    float16: bool = False,
) -> dict[str, Any]:
    """Return what must be the same where parts of one output are made by several calls."""
    weights = sorted(Path(checkpoint.name).rglob("*.safetensors"))
    return {
        "model": checkpoint.name,
        "weights": [list(stamp_of(place)) for place in weights if "checkpoints" not in place.parts],
        **opened.identity,
        "strategy": recorded_parts(strategy),
        "execution": dict(checkpoint.execution),
        "limits": asdict(checkpoint.limits),
        "prefix": checkpoint.task.prefix,
        "stopwords": stopwords or "",
        "seed": seed,
        # only then, so that older parts of other models still resume
        **({} if checkpoint.no_answer_threshold is None else {"no_answer_threshold": checkpoint.no_answer_threshold}),
        **({} if checkpoint.dimensions is None else {"dimensions": checkpoint.dimensions}),
        **({"float16": True} if float16 else {}),
    }


def begin_parts(out: Path, settings: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Parts:
    """Make the folder of the parts, or reuse the existing one.

    Raises ConfigError if the output exists, was started with other settings, or something else is in its place.
    """
    folder = _folder(out)
    refuse_link(folder)
    begun = _settings(folder)
    is_parts = is_own_folder(folder, _PART_NAMES) and (begun is not None or not any(folder.iterdir()))
    if is_there(folder) and not is_parts:
        raise ConfigError(f"{folder} contains other files.", next_step="Pass another --out.")
    refuse_taken(out, is_output, overwrite=overwrite or (resume and begun is not None), resume=resume)
    if begun is not None and resume and not overwrite:
        _check_same(out, begun, settings)
        return Parts(out=out, folder=folder, records=_records(folder))
    if begun is not None and not overwrite:
        raise ConfigError(
            f"{out} is unfinished.", next_step="Pass --resume to continue, or --overwrite to start again."
        )
    remove_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    write_json(folder / _SETTINGS, dict(settings))
    return Parts(out=out, folder=folder, records=())


@contextmanager
def kept_if_begun(parts: Parts) -> Iterator[None]:
    """Remove the folder of the parts if the body raises an error before the first part is done."""
    try:
        yield
    except BaseException:
        if not has_parts(parts.out):
            remove_folder(parts.folder)
        raise


def has_parts(out: Path) -> bool:
    """Return whether a part of an output is done, so that `resume` can continue."""
    return (_folder(out) / "part-00000.json").exists()


def write_part(parts: Parts, number: int, table: pa.Table, record: PartRecord) -> None:
    """Write a part, then its record."""
    place = _part(parts, number)
    if place.suffix == ".parquet":
        with new_file(place) as hidden:
            pq.write_table(table, hidden)
    else:
        write_bytes(place, json_lines(table).encode())
    write_json(place.with_suffix(".json"), asdict(record))


def join_parts(parts: Parts, count: int, schema: pa.Schema) -> None:
    """Put the parts together as the output, part by part, and remove their folder."""
    with new_file(parts.out) as joined:
        if parts.out.suffix == ".parquet":
            with pq.ParquetWriter(joined, schema) as writer:
                for number in range(count):
                    table = _part_table(_part(parts, number))
                    writer.write_table(table, row_group_size=max(table.num_rows, 1))
        else:
            with joined.open("wb") as file:
                for number in range(count):
                    with _part(parts, number).open("rb") as part:
                        shutil.copyfileobj(part, file)
    remove_folder(parts.folder)


def json_lines(table: pa.Table) -> str:
    """Return rows as JSON, one per line, with nothing in it that a terminal obeys."""
    return "".join(json_line(_rounded(row)) + "\n" for row in table.to_pylist())


def _part_table(path: Path) -> pa.Table:
    try:
        with pq.ParquetFile(pa.BufferReader(read_bytes(path, _FORM, most=None))) as part:
            return part.read()
    except pa.ArrowException as error:
        raise _FORM.unreadable(str(path), reason_of(error)) from error


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, _DECIMALS)
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    return [_rounded(entry) for entry in value] if isinstance(value, list) else value


def _folder(out: Path) -> Path:
    return out.with_name(f".{out.name}.parts")


def _part(parts: Parts, number: int) -> Path:
    return parts.folder / f"part-{number:05d}{parts.out.suffix}"


def _settings(folder: Path) -> dict[str, Any] | None:
    try:
        found = read_json(folder / _SETTINGS, _FORM)
    except ConfigError:
        return None
    return found if isinstance(found, dict) else None


def _records(folder: Path) -> tuple[PartRecord, ...]:
    """Return the records of the parts, from the first one up to the first missing one."""
    found: list[PartRecord] = []
    while (place := folder / f"part-{len(found):05d}.json").exists():
        found.append(read_record(place, PartRecord, _FORM))
    return tuple(found)


def _check_same(out: Path, begun: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    now = json.loads(json.dumps(dict(settings)))
    different = [name for name in dict.fromkeys([*begun, *now]) if begun.get(name) != now.get(name)]
    if different:
        changes = ", ".join(f"{name} was {begun.get(name)}, is now {now.get(name)}" for name in different)
        raise ConfigError(
            f"{out} was started with other settings: {changes}.",
            next_step="Repeat the command that started it with --resume, or pass --overwrite.",
        )
