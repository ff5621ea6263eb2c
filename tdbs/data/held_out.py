"""Choose the rows of train that `--validation FRACTION` holds out; they depend on the contents and the fraction alone.

If rows have one class label, each class gives its share: shares are rounded by largest remainder. Questions are drawn
by their contexts, so that no context is on both sides; the number of questions comes as close to the fraction as
contexts allow. If a column names the document of each context, whole documents are drawn, unless that would miss the
fraction by half or more. Rows of one query are drawn together in the same way, and with them rows that have any of
their texts as query or positive. If too many rows share a text, rows of one query or of one positive are drawn
together; if that misses the fraction, too, rows of one query are. Other rows are drawn at random. Rows of a class that
has one or two stay in train, and so does the first row of a class that was drawn whole: a class that train lacks could
not be scored. Columns of 0 and 1 and the places of multi-hot lists are classes too: their rows are those with a 1.
Memory: an integer a label or a context.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tdbs.arrays import BoolArray, IntArray, offsets_of
from tdbs.data.columns import SourceColumn
from tdbs.data.labels.hot import hot_classes
from tdbs.data.row_values import DOCUMENT, RowValues
from tdbs.data.tasks import Task
from tdbs.errors import ConfigError
from tdbs.rng import RandomPurpose, stream
from tdbs.shown import NOTE, fitted

# Shapes: U rows that can be used, E pairs of a row and a class that it has, C classes, G contexts.

_FEW = 2  # rows of a class that stay in train
_SHOWN = 5
_ANOTHER = "Pass another fraction, or a file."


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """The rows that are held out, and messages for the user."""

    is_held_N: BoolArray  # of all rows of the file
    notes: tuple[str, ...]


def draw(
    values: RowValues, task: Task, labels: Sequence[SourceColumn], *, count: int, fraction: float, where: str
) -> Drawn:
    """Return which of a file's `count` rows are held out; `labels` are the distinct values of its label columns.

    Raises ConfigError if nothing would be left on one side.
    """
    rows_U = values.rows()
    rare: tuple[str, ...] = ()
    notes: list[str] = []
    if task.kind == "classification":
        ids_U, _ = values.classes(task.classes)
        drawn_U, rare_C = stratified_rows(ids_U, fraction, where=where)
        rare = tuple(task.classes[index] for index in rare_C)
    elif task.kind == "question_answering":
        unfit = f"contexts are held out, not whole documents: '{DOCUMENT}' has too few."
        ways = [(values.documents(), unfit)]
        drawn_U, untrue = _whole_groups(ways, values.codes()[0], fraction, where)
        notes += [f"--validation {fraction}: {each}" for each in untrue[-1:]]
    elif task.is_grouped and not task.columns.labels:
        ways = [
            (values.texts(), "a query may be a positive on the other side: too many rows share a text."),
            (values.documents(), "a positive may be on both sides: too many rows share a text."),
        ]
        one = "All rows of {where} have one query"
        drawn_U, untrue = _whole_groups(ways, values.codes()[0], fraction, where, one=one)
        notes += [f"--validation {fraction}: {each}" for each in untrue[-1:]]
    else:
        drawn_U = held_out_rows(len(rows_U), fraction)
        if task.kind in ("token_classification", "multi_label"):
            ids_E, rows_E = _held_classes(values, task, labels)
            drawn_U, rare_C, whole_C = _without_rare(drawn_U, ids_E, np.searchsorted(rows_U, rows_E), len(rows_U))
            with_rare = len(np.unique(rows_E[np.isin(ids_E, rare_C)]))
            _refuse_nothing_drawn(drawn_U, fraction, where, can_give=with_rare < len(rows_U))
            rare = tuple(task.classes[index] for index in rare_C)
            if len(whole_C):
                whole = [task.classes[index] for index in whole_C]
                notes.append(_note(fraction, "the first row stays in train of classes drawn whole", whole))
    if rare:
        notes.append(_note(fraction, "classes of one or two rows stay in train", rare))
    is_held_N = np.zeros(count, dtype=np.bool_)
    is_held_N[rows_U[drawn_U]] = True
    return Drawn(is_held_N=is_held_N, notes=tuple(notes))


def _whole_groups(
    ways: Sequence[tuple[IntArray | None, str]], contexts_U: IntArray, fraction: float, where: str, **named: str
) -> tuple[IntArray, list[str]]:
    """Return places of rows that are drawn with all others of their group, and what is not so of the ways before.

    Args:
        ways: Groups of rows, the best first, each with what to say if it misses the fraction by half or more; None:
            groups that are unknown.
        contexts_U: The groups that are drawn if all miss it.
        fraction: Share of the rows to draw.
        where: The file, for an error.
        named: What an error says of a single context.
    """
    by_context_U = rows_by_group(contexts_U, fraction, where=where, **named)
    missed: list[str] = []
    wanted = len(contexts_U) * fraction
    for groups_U, what in ways:
        if groups_U is None:
            continue
        if groups_U.any():
            drawn_U = rows_by_group(groups_U, fraction, where=where, **named)
            if abs(len(drawn_U) - wanted) < wanted / 2:
                return drawn_U, missed
        missed.append(what)
    return by_context_U, missed


def _held_classes(values: RowValues, task: Task, labels: Sequence[SourceColumn]) -> tuple[IntArray, IntArray]:
    """Return the class id of each class that a row has, and the row."""
    if task.kind == "multi_label" and len(labels) > 1:
        return values.codes()
    if task.kind == "multi_label" and hot_classes(labels[0]) is not None:
        return values.hot_places(len(task.classes))
    return values.classes(task.classes)


def held_out_rows(rows: int, fraction: float) -> IntArray:
    """Return places of rows that are drawn at random; they depend on the two numbers alone. Raises ConfigError."""
    held_out = round(rows * fraction)
    _refuse_one_side(rows, held_out, fraction)
    return _permutation(rows)[:held_out]


def stratified_rows(ids_U: IntArray, fraction: float, *, where: str) -> tuple[IntArray, IntArray]:
    """Return places of rows, each class's share of them, and the classes of one or two rows. Raises ConfigError."""
    counts_C = np.bincount(ids_U)
    can_give_C = counts_C > _FEW
    shares_C = np.where(can_give_C, counts_C * fraction, 0.0)
    taken_C = np.floor(shares_C).astype(np.int64)
    by_remainder = np.argsort(taken_C - shares_C, kind="stable")  # the first class first if two are equal
    by_remainder = by_remainder[(can_give_C & (taken_C < counts_C - 1))[by_remainder]]
    taken_C[by_remainder[: round(shares_C.sum()) - int(taken_C.sum())]] += 1
    _refuse_nothing_drawn(can_give_C, fraction, where, can_give=False)
    _refuse_one_side(len(ids_U), int(taken_C.sum()), fraction)
    mixed_U = _permutation(len(ids_U))
    by_class_U = mixed_U[np.argsort(ids_U[mixed_U], kind="stable")]
    rank_U = np.arange(len(ids_U)) - offsets_of(counts_C)[ids_U[by_class_U]]
    return by_class_U[rank_U < taken_C[ids_U[by_class_U]]], np.flatnonzero((counts_C > 0) & ~can_give_C)


def rows_by_group(
    groups_U: IntArray, fraction: float, *, where: str, one: str = "All questions of {where} have one context"
) -> IntArray:
    """Return places of rows of whole groups, about as many as the fraction says. Raises ConfigError."""
    sizes_G = np.bincount(groups_U)
    if len(sizes_G) < 2:
        raise ConfigError(
            fitted(
                one + ", which cannot be on both sides of --validation {fraction}.",
                where=where,
                fraction=fraction,
            ),
            next_step="Pass a file of validation rows.",
        )
    wanted = round(len(groups_U) * fraction)
    _refuse_one_side(len(groups_U), wanted, fraction)
    mixed_G = _permutation(len(sizes_G))
    through_G = np.cumsum(sizes_G[mixed_G])[:-1]  # one group at least stays
    taken = mixed_G[: int(np.argmin(np.abs(through_G - wanted))) + 1]
    return np.flatnonzero(np.isin(groups_U, taken))


def _without_rare(
    drawn_U: IntArray, ids_E: IntArray, places_E: IntArray, rows: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the drawn rows without those that stay in train, the rare classes, and others that were drawn whole."""
    pairs = np.unique(np.stack([ids_E, places_E]), axis=1)
    ids_E, places_E = pairs[0], pairs[1]
    is_drawn_U = np.zeros(rows, dtype=np.bool_)
    is_drawn_U[drawn_U] = True
    counts_C = np.bincount(ids_E)
    is_rare_C = (counts_C > 0) & (counts_C <= _FEW)
    is_drawn_U[places_E[is_rare_C[ids_E]]] = False
    left_C = np.bincount(ids_E, ~is_drawn_U[places_E], minlength=len(counts_C))
    whole_C = np.flatnonzero((counts_C > 0) & (left_C == 0))
    first_E = np.searchsorted(ids_E, whole_C)  # pairs are in order of class and row
    is_drawn_U[places_E[first_E]] = False
    return drawn_U[is_drawn_U[drawn_U]], np.flatnonzero(is_rare_C), whole_C


def _permutation(count: int) -> IntArray:
    return stream(RandomPurpose.VALIDATION_FRACTION, seed=0).permutation(count)


def _refuse_one_side(rows: int, held_out: int, fraction: float) -> None:
    if not 0 < held_out < rows:
        raise ConfigError(
            f"--validation {fraction} of {rows} rows leaves {rows - held_out} to train and {held_out} to validation.",
            next_step=_ANOTHER,
        )


def _refuse_nothing_drawn(found: BoolArray | IntArray, fraction: float, where: str, *, can_give: bool) -> None:
    """Raise if no row was found; a larger fraction helps only if any row can be given."""
    if not (found.any() if found.dtype == np.bool_ else found.size):
        raise ConfigError(
            fitted(
                "--validation {fraction} finds only rows of {where} whose classes have one or two rows.",
                fraction=fraction,
                where=where,
            ),
            next_step="Pass a larger fraction, or a file." if can_give else "Pass a file of validation rows.",
        )


def _note(fraction: float, what: str, classes: Sequence[str]) -> str:
    listed = ", ".join(classes[:_SHOWN]) + (", …" if len(classes) > _SHOWN else "")
    return fitted("--validation {fraction}: " + what + ": {classes}.", width=NOTE, fraction=fraction, classes=listed)
