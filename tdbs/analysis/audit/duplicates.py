"""Samples that repeat others: in their split, of the train split in another one, and with another label.

Three kinds, each without those of the kinds before: exact (the same token ids), normalized (the same letters and digits
in lower case), near (a Jaccard index of three-word shingles of at least the threshold). So the rows of one sample are
counted once.
"""

from dataclasses import dataclass

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding, severity_of
from tdbs.arrays import BoolArray, IntArray
from tdbs.data.tasks import SAMPLE_KINDS
from tdbs.pipeline.duplicates.mixing import GOLDEN, HashArray, mixed
from tdbs.pipeline.duplicates.near import THRESHOLD, NearPairs, near_pairs
from tdbs.pipeline.duplicates.normal import same_texts
from tdbs.pipeline.duplicates.options import EXACT, NEAR
from tdbs.pipeline.duplicates.rows import first_with_same, same_rows
from tdbs.pipeline.duplicates.shingles import shingles_of
from tdbs.pipeline.origin import dropped_duplicates, kept_out

# Shapes: N samples of all splits, R some of them, C near pairs.

_SHOWN_PAIRS = 10  # of rows, in a fix
_MANY = 0.005  # share of a split's samples from which duplicates in it are worth a warning


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeats:
    """The first sample of all splits that each one repeats (N); pairs of near ones among the first ones."""

    exact_N: IntArray
    normal_N: IntArray
    near: NearPairs


def find_repeats(contents: Contents) -> Repeats:
    """Return which samples repeat which."""
    exact_N = same_rows(contents.ids_T, contents.token_offsets_N1)
    normal_N = same_texts(
        contents.ids_T,
        contents.text_offsets_P1,
        contents.pieces,
        contents.normal,
        texts_a_row=contents.texts_a_row,
    )
    normal_N = np.minimum(normal_N, exact_N)  # exact ones without a letter
    firsts = np.flatnonzero(normal_N == np.arange(len(normal_N)))
    shingles = shingles_of(contents.normal.word_hashes_W, contents.normal.word_offsets_P1)
    return Repeats(
        exact_N=exact_N,
        normal_N=normal_N,
        near=near_pairs(shingles, firsts, texts_a_row=contents.texts_a_row),
    )


def duplicate_findings(contents: Contents, repeats: Repeats) -> list[Finding]:
    """Return the duplicates of each split, and the samples of other splits that stand in train."""
    found = []
    for split in range(len(contents.names)):
        found += _in_split(contents, repeats, split)
        if contents.has_train and split > 0:
            found += _leaks(contents, repeats, split)
    return found


def conflict_findings(contents: Contents, repeats: Repeats) -> list[Finding]:
    """Return the samples whose text stands in the same split, or in train, with another label."""
    found = []
    splits_N = contents.splits_N()
    for split in range(len(contents.names)):
        if not contents.is_labelled[split]:
            continue
        rows = np.arange(*contents.slice_of(split).indices(len(splits_N))[:2])
        rows_R, others_R = _conflicts(repeats.normal_N, contents.label_digests_N, rows)
        if len(rows_R):
            found.append(_conflict(contents, "conflicts", split, rows_R, others_R, "in the split"))
        if split > 0 and contents.has_train and contents.is_labelled[0]:
            both = np.concatenate([np.arange(contents.rows_of(0)), rows])
            rows_R, others_R = _conflicts(repeats.normal_N, contents.label_digests_N, both, only_after=rows[0])
            if len(rows_R):
                found.append(_conflict(contents, "conflicts_with_train", split, rows_R, others_R, "in train"))
    return found


def _in_split(contents: Contents, repeats: Repeats, split: int) -> list[Finding]:
    """Return the duplicates of a split: all but the first of each group."""
    rows = np.arange(contents.split_offsets_S1[split], contents.split_offsets_S1[split + 1])
    exact_R = rows[first_with_same(repeats.exact_N[rows].astype(np.uint64))]
    normal_R = rows[first_with_same(repeats.normal_N[rows].astype(np.uint64))]
    is_exact_R = exact_R != rows
    is_normal_R = (normal_R != rows) & ~is_exact_R
    first_C, second_C = _pairs_of(contents, repeats.near, split, split)
    labels_N, name, found = contents.label_digests_N, contents.names[split], []
    for kind, rows_R, others_R, what, rule, have_twins in (
        (
            "exact_duplicates",
            rows[is_exact_R],
            exact_R[is_exact_R],
            "repeat an earlier one token by token",
            EXACT,
            _have_twins(repeats.exact_N, labels_N, rows, is_exact_R),
        ),
        (
            "normalized_duplicates",
            rows[is_normal_R],
            normal_R[is_normal_R],
            "repeat an earlier one but for case, spaces and punctuation",
            NEAR,
            _have_twins(repeats.normal_N, labels_N, rows, is_normal_R),
        ),
        (
            "near_duplicates",
            *_second_of(first_C, second_C),
            f"are nearly an earlier one (Jaccard index {THRESHOLD} or more)",
            NEAR,
            bool((labels_N[first_C] == labels_N[second_C]).any()),
        ),
    ):
        if len(rows_R):
            found.append(
                finding(
                    contents,
                    kind,
                    split,
                    rows_R,
                    others_R=others_R,
                    what=f"Samples of {name} that {what}: {len(rows_R):,}{_relabelled(contents, rows_R, others_R)}.",
                    fix=_drop_fix(contents, split, rule) if have_twins else _read_fix(contents, rows_R, others_R),
                    severity=severity_of(len(rows_R), len(rows), _MANY),
                )
            )
    return found


def _have_twins(group_N: IntArray, labels_N: HashArray, rows: IntArray, is_one_R: BoolArray) -> bool:
    """Return whether one of some samples of a split has the group and the label of an earlier one of the split.

    A split without labels has one label. If there is no such sample, --drop-duplicates keeps all of them.
    """
    if not is_one_R.any():
        return False
    keys_R = mixed(group_N[rows].astype(np.uint64) * GOLDEN + labels_N[rows])
    return bool((first_with_same(keys_R) != np.arange(len(rows)))[is_one_R].any())


def _drop_fix(contents: Contents, split: int, rule: str) -> str:
    """Return the command that removes duplicates, if the dataset is without it; it leaves other splits than train."""
    if contents.has_train and split == 0 and dropped_duplicates(contents.manifest) not in (rule, NEAR):
        return contents.prepare_command(drop_duplicates=rule)
    return f"Leave them out of the source, then run: {contents.prepare_command()}"


def _read_fix(contents: Contents, rows_R: IntArray, others_R: IntArray) -> str:
    """Return which rows to read, since no command knows which of two labels is right."""
    splits = contents.names
    both_R2 = np.stack([rows_R, others_R], axis=1)
    _, places = np.unique(np.sort(both_R2, axis=1), axis=0, return_index=True)  # two rows are often each other's
    pairs = []
    for row, other in both_R2[np.sort(places)[:_SHOWN_PAIRS]].tolist():
        own, of_other = contents.split_of(row), contents.split_of(other)
        named = "" if own == of_other else f"{splits[of_other]} "
        pairs.append(f"{contents.source_rows_N[row]} and {named}{contents.source_rows_N[other]}")
    more = f", and {len(places) - _SHOWN_PAIRS:,} more pairs" if len(places) > _SHOWN_PAIRS else ""
    return (
        f"Choose one label for {splits[contents.split_of(int(rows_R[0]))]} rows {', '.join(pairs)}{more}, "
        f"then run: {contents.prepare_command()}"
    )


def _leaks(contents: Contents, repeats: Repeats, split: int) -> list[Finding]:
    """Return the samples of a split that stand in train: a score on them says less about new texts."""
    rows = np.arange(contents.split_offsets_S1[split], contents.split_offsets_S1[split + 1])
    end = contents.split_offsets_S1[1]
    exact_R, normal_R = repeats.exact_N[rows], repeats.normal_N[rows]
    is_exact_R = exact_R < end
    is_normal_R = (normal_R < end) & ~is_exact_R
    near_R, train_R = _second_of(*_pairs_of(contents, repeats.near, 0, split))
    # A sample whose text comes again in its split leaks each time.
    place_R = np.searchsorted(near_R, normal_R)
    place_R[place_R == len(near_R)] = 0
    is_near_R = (near_R[place_R] == normal_R) if len(near_R) else np.zeros(len(rows), dtype=np.bool_)
    name, found = contents.names[split], []
    for kind, is_one_R, others_R, what in (
        ("leaks", is_exact_R, exact_R, "stand in train, token by token"),
        ("normalized_leaks", is_normal_R, normal_R, "stand in train but for case, spaces and punctuation"),
        (
            "near_leaks",
            is_near_R,
            train_R[place_R] if len(near_R) else normal_R,
            f"are nearly a sample of train (Jaccard index {THRESHOLD} or more)",
        ),
    ):
        count = int(is_one_R.sum())
        if count:
            relabelled = _relabelled(contents, rows[is_one_R], others_R[is_one_R])
            found.append(
                finding(
                    contents,
                    kind,
                    split,
                    rows[is_one_R],
                    others_R=others_R[is_one_R],
                    what=f"Samples of {name} that {what}: {count:,}{relabelled}.",
                    fix=_keep_out_fix(contents, name, is_exact=kind == "leaks"),
                )
            )
    return found


def _keep_out_fix(contents: Contents, name: str, *, is_exact: bool) -> str:
    """Return what removes the samples of train that leak into a split; --keep-out alone compares token ids."""
    out, rule = kept_out(contents.manifest), dropped_duplicates(contents.manifest)
    if name in out and (is_exact or rule == NEAR):
        return f"Leave them out of train in the source, then run: {contents.prepare_command()}"
    rules = {} if is_exact else {"drop_duplicates": NEAR}
    return contents.prepare_command(**rules, keep_out=",".join(dict.fromkeys((*out, name))))


def _relabelled(contents: Contents, rows_R: IntArray, others_R: IntArray) -> str:
    """Return how many samples have another label than the one they repeat, as the end of a sentence."""
    if not all(contents.is_labelled[contents.split_of(int(rows[0]))] for rows in (rows_R, others_R)):
        return ""
    count = int((contents.label_digests_N[rows_R] != contents.label_digests_N[others_R]).sum())
    return f", {count:,} of them with another label" if count else ""


def _pairs_of(contents: Contents, near: NearPairs, first: int, second: int) -> tuple[IntArray, IntArray]:
    """Return the near pairs of a sample of one split with one of another (C).

    Windows of one row overlap, so they do not count.
    """
    starts = contents.split_offsets_S1
    is_one_C: BoolArray = (
        (near.first_C >= starts[first])
        & (near.first_C < starts[first + 1])
        & (near.second_C >= starts[second])
        & (near.second_C < starts[second + 1])
    )
    if first == second:
        is_one_C &= contents.source_rows_N[near.first_C] != contents.source_rows_N[near.second_C]
    return near.first_C[is_one_C], near.second_C[is_one_C]


def _second_of(first_C: IntArray, second_C: IntArray) -> tuple[IntArray, IntArray]:
    """Return the second samples of pairs (R), ascending, and the first one that each is paired with (R)."""
    rows_R, places_R = np.unique(second_C, return_index=True)
    return rows_R, first_C[places_R]


def _conflicts(
    group_N: IntArray, labels_N: HashArray, rows: IntArray, *, only_after: int = 0
) -> tuple[IntArray, IntArray]:
    """Return the rows whose group has another label too (R), and a row of the group with another one (R).

    With `only_after`, only rows from there on, and others before it.
    """
    order = rows[np.argsort(group_N[rows], kind="stable")]
    group_R, label_R = group_N[order], labels_N[order]
    head_R = np.append(True, group_R[1:] != group_R[:-1])
    number_R = np.cumsum(head_R) - 1
    first_R = order[head_R][number_R]
    differs_R = label_R != labels_N[first_R]
    if only_after:
        mask_R = differs_R & (order >= only_after) & (first_R < only_after)
        return _by_row(order[mask_R], first_R[mask_R])
    mixed_R = np.bincount(number_R, weights=differs_R)[number_R] > 0
    differing_R = np.zeros(int(head_R.sum()), dtype=np.int64)
    differing_R[number_R[differs_R][::-1]] = order[differs_R][::-1]  # the first that differs from the group's first
    other_R = np.where(differs_R, first_R, differing_R[number_R])
    return _by_row(order[mixed_R], other_R[mixed_R])


def _by_row(rows_R: IntArray, others_R: IntArray) -> tuple[IntArray, IntArray]:
    order = np.argsort(rows_R, kind="stable")
    return rows_R[order], others_R[order]


def _conflict(contents: Contents, kind: str, split: int, rows_R: IntArray, others_R: IntArray, where: str) -> Finding:
    is_of_samples = contents.manifest.task.kind in (*SAMPLE_KINDS, "token_classification")
    return finding(
        contents,
        kind,
        split,
        rows_R,
        others_R=others_R,
        what=f"Samples of {contents.names[split]} whose text stands {where} with another label: {len(rows_R):,}.",
        fix=_read_fix(contents, rows_R, others_R),
        severity="warning" if is_of_samples else "note",  # a question may have several answers
    )
