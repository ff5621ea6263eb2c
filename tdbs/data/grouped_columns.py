"""Choose the columns of samples of several sequences: a query, a text that answers it, texts that do not, a score."""

import csv
from collections.abc import Collection, Mapping, Sequence

import pyarrow as pa

from tdbs.data.columns import plain_name
from tdbs.data.content import is_list
from tdbs.data.file_options import FileOptions
from tdbs.data.header import no_column
from tdbs.data.tasks import GROUPED_KINDS, Columns, TaskKind
from tdbs.data.user_files import ChosenColumns
from tdbs.errors import ConfigError, SourceError, choose
from tdbs.shown import fitted

_OTHERS = ("text", "pair", "target", "label_names", "label_separator")
_OPTION = "--columns"
_LISTS = "Add it: a list, which is empty ([]) in a row without negatives; or leave this split out."
_TEXTS = "Add it, or leave this split out: each of its rows needs a query and a positive."
_SCORES = "Add the scores, or leave this split out."


def choose_grouped_columns(
    schemas: Mapping[str, pa.Schema], where: Mapping[str, str], tables: Collection[str], options: FileOptions
) -> ChosenColumns | None:
    """Return the columns that `--columns` names; None if it is not given.

    Of each split come its columns, and what errors call it; `tables` are the splits that are tables of text. Train has
    all of them. A split named test may lack the scores. To score embeddings no negatives are needed, so other splits
    may lack them. Raises ConfigError or SourceError.
    """
    kind = _kind(options)
    if options.columns is None or kind is None:
        return None
    names = schemas["train"].names
    query, positive, *negatives = listed_columns(options.columns, names, second="POSITIVE")
    labels = () if options.label is None else (plain_name(options.label),)
    if labels and kind == "ranking":
        raise ConfigError(
            "--task ranking takes no --label: the positive is right, and the negatives are wrong.",
            next_step="For scored pairs pass --text QUERY --pair TEXT --label SCORE, without --columns and --task.",
        )
    if labels and negatives:
        raise ConfigError(
            "--label gives a pair of texts a score, and negatives have none.",
            next_step="Leave --label out, or name two columns: --columns QUERY,TEXT.",
        )
    if kind == "ranking" and not negatives:
        raise ConfigError(
            "--task ranking needs a column of texts that do not answer the query.",
            next_step="Pass --columns QUERY,POSITIVE,NEGATIVE, or --text and --pair with --label for scored pairs.",
        )
    columns = Columns(text=query, pair=positive, negatives=tuple(negatives), labels=labels)
    asked = [*((_OPTION, name) for name in (query, positive, *negatives)), *(("--label", name) for name in labels)]
    refuse_repeated([name for _, name in asked])
    for split, schema in schemas.items():
        for option, column in asked:
            if column in schema.names or _may_lack(split, column, columns, kind):
                continue
            error = no_column(where[split], column, schema.names, option=option, is_table=split in tables)
            if split != "train" and column in names:
                raise SourceError(error.message, next_step=_step_of(column, columns)) from error
            raise error
        for column, role in ((query, "query"), (positive, "positive")):
            if is_list(schema.field(column).type):
                raise SourceError(
                    fitted("{where} has lists of texts in '{name}'.", name=column, where=where[split]),
                    next_step=f"Write one row for each {role}; lists go last: --columns QUERY,POSITIVE,NEGATIVES.",
                )
    return ChosenColumns(
        columns=columns,
        kind=kind,
        labelled=frozenset(split for split, schema in schemas.items() if set(labels) <= set(schema.names)),
    )


def _may_lack(split: str, column: str, columns: Columns, kind: TaskKind) -> bool:
    """Return whether a split may be without a column."""
    if column in columns.labels:
        return split == "test"
    return kind == "embedding" and split != "train" and column in columns.negatives


def _step_of(column: str, columns: Columns) -> str:
    """Return what to do about a split that lacks a column of train."""
    if column in columns.labels:
        return _SCORES
    return _LISTS if column in columns.negatives else _TEXTS


def _kind(options: FileOptions) -> TaskKind | None:
    """Return the kind of task, None without --columns. Raises ConfigError for options that do not go with it."""
    if options.columns is None:
        if options.task is not None:
            raise ConfigError(
                "--task only applies with --columns.", next_step="Pass --columns QUERY,POSITIVE,NEGATIVE with it."
            )
        return None
    given = next((name for name in _OTHERS if getattr(options, name) is not None), None)
    if given is not None:
        raise ConfigError(
            f"--columns and --{given.replace('_', '-')} exclude each other.", next_step="Leave one of them out."
        )
    if options.label_type not in ("auto", "regression"):
        raise ConfigError(
            f"--label-type {options.label_type} does not go with --columns: the label of a pair is a number.",
            next_step="Leave it out.",
        )
    asked = options.task or GROUPED_KINDS[0]
    choose("--task", asked, GROUPED_KINDS)
    return next(kind for kind in GROUPED_KINDS if kind == asked)


def listed_columns(given: str, names: Sequence[str], *, second: str) -> list[str]:
    """Return the names in a list separated by commas; one that has a comma is in quotes, or found among the columns.

    Raises ConfigError if it is one name; `second` is what the next is a name of.
    """
    plain, quoted = _found_names(given, names), _quoted_names(given)
    found = plain if quoted is None or set(plain) <= set(names) else quoted
    if len(found) < 2:
        raise ConfigError(
            fitted("--columns names one column, '{name}'.", name=given),
            next_step=f"Pass two or more: --columns QUERY,{second}.",
        )
    return found


def _found_names(given: str, names: Sequence[str]) -> list[str]:
    """Return the names in a list, each as many of its parts as make the name of a column."""
    parts = [part for part in given.split(",") if plain_name(part)]
    found: list[str] = []
    while parts:
        most = next((end for end in range(len(parts), 1, -1) if plain_name(",".join(parts[:end])) in names), 1)
        found.append(plain_name(",".join(parts[:most])))
        parts = parts[most:]
    return found


def _quoted_names(given: str) -> list[str] | None:
    """Return the names in a list as a CSV file has them; None without quotes, and if they do not close."""
    if '"' not in given:
        return None
    try:
        (row,) = csv.reader([given], skipinitialspace=True, strict=True)
    except csv.Error:
        return None
    return [plain_name(name) for name in row if plain_name(name)]


def refuse_repeated(names: Sequence[str]) -> None:
    """Raise ConfigError if a column is named twice."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(fitted("'{name}' is named twice.", name=twice), next_step="Name each column once.")
