"""Choose the columns of samples of several sequences: a query, a text that answers it, texts that do not, a score."""

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


def choose_grouped_columns(
    schemas: Mapping[str, pa.Schema], where: Mapping[str, str], tables: Collection[str], options: FileOptions
) -> ChosenColumns | None:
    """Return the columns that `--columns` names; None if it is not given. Every split must have them.

    Of each split come its columns, and what errors call it; `tables` are the splits that are tables of text. A split
    named test may lack the scores. Raises ConfigError or SourceError.
    """
    kind = _kind(options)
    if options.columns is None or kind is None:
        return None
    names = schemas["train"].names
    query, positive, *negatives = _column_names(options.columns, names)
    labels = () if options.label is None else (plain_name(options.label),)
    if labels and (kind != "embedding" or negatives):
        raise ConfigError(
            "--label gives pairs of texts a score: it takes --task embedding and two columns.",
            next_step="Leave --label out, or pass --columns QUERY,POSITIVE with it.",
        )
    if kind == "ranking" and not negatives:
        raise ConfigError(
            "--task ranking needs a column of texts that do not answer the query.",
            next_step="Pass --columns QUERY,POSITIVE,NEGATIVE, or --text and --pair with --label for scored pairs.",
        )
    columns = Columns(text=query, pair=positive, negatives=tuple(negatives), labels=labels)
    asked = [*((_OPTION, name) for name in (query, positive, *negatives)), *(("--label", name) for name in labels)]
    _refuse_repeated([name for _, name in asked])
    for split, schema in schemas.items():
        for option, column in asked:
            may_lack = split == "test" and column in labels
            if column not in schema.names and not may_lack:
                raise no_column(where[split], column, schema.names, option=option, is_table=split in tables)
        for column in (query, positive):
            if is_list(schema.field(column).type):
                raise SourceError(
                    fitted("{where} has lists of texts in '{name}'.", name=column, where=where[split]),
                    next_step=f"Name it third or later in {_OPTION}: these columns may contain lists.",
                )
    return ChosenColumns(
        columns=columns,
        kind=kind,
        labelled=frozenset(split for split, schema in schemas.items() if set(labels) <= set(schema.names)),
    )


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


def _column_names(given: str, names: Sequence[str]) -> list[str]:
    """Return the names in a list separated by commas; one that has a comma itself is found among the columns."""
    parts = given.split(",")
    found: list[str] = []
    while parts:
        most = next((end for end in range(len(parts), 1, -1) if plain_name(",".join(parts[:end])) in names), 1)
        found.append(plain_name(",".join(parts[:most])))
        parts = parts[most:]
    if len(found) < 2:
        raise ConfigError(
            fitted("--columns names one column, '{name}'.", name=given),
            next_step="Pass two or more: --columns QUERY,POSITIVE.",
        )
    return found


def _refuse_repeated(names: Sequence[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(fitted("'{name}' is named twice.", name=twice), next_step="Name each column once.")
