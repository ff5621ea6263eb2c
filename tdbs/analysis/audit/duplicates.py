"""Samples that repeat an earlier one of their split: exactly, in the normal form, or nearly."""

import numpy as np

from tdbs.analysis.audit.conflicts import Conflicts, are_among, differs, read_fix, with_another_label
from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding, severity_of
from tdbs.analysis.audit.repeats import Repeats, pairs_within, second_of
from tdbs.arrays import BoolArray, IntArray
from tdbs.pipeline.duplicates.mixing import GOLDEN, HashArray, mixed
from tdbs.pipeline.duplicates.near import THRESHOLD
from tdbs.pipeline.duplicates.options import EXACT, NEAR
from tdbs.pipeline.duplicates.rows import first_with_same
from tdbs.pipeline.origin import dropped_duplicates

# Shapes: N samples of all splits, R some of them, C near pairs.

_MANY = 0.005  # share of a split's samples from which duplicates in it are worth a warning


def duplicate_findings(contents: Contents, repeats: Repeats, conflicts: Conflicts) -> list[Finding]:
    """Return the duplicates of each split: all but the first of each group."""
    return [each for split in range(len(contents.names)) for each in _in_split(contents, repeats, conflicts, split)]


def _in_split(contents: Contents, repeats: Repeats, conflicts: Conflicts, split: int) -> list[Finding]:
    """Return the duplicates of a split."""
    exact_N, normal_N = repeats.whole.compared.exact_N, repeats.whole.compared.normal_N
    rows, in_conflict_R = contents.samples_of(split), are_among(contents, split, conflicts.within[split][0])
    exact_R = rows[first_with_same(exact_N[rows].astype(np.uint64))]
    normal_R = rows[first_with_same(normal_N[rows].astype(np.uint64))]
    is_exact_R = exact_R != rows
    is_normal_R = (normal_R != rows) & ~is_exact_R
    first_C, second_C = pairs_within(contents, repeats.whole, split)
    near_R, near_others_R = second_of(first_C, second_C)
    labels_N, name, found = contents.label_digests_N, contents.names[split], []
    for kind, rows_R, others_R, differs_R, what, rule, have_twins in (
        (
            "exact_duplicates",
            rows[is_exact_R],
            exact_R[is_exact_R],
            in_conflict_R[is_exact_R],
            "repeat an earlier one token by token",
            EXACT,
            _have_twins(exact_N, labels_N, rows, is_exact_R),
        ),
        (
            "normalized_duplicates",
            rows[is_normal_R],
            normal_R[is_normal_R],
            in_conflict_R[is_normal_R],
            "repeat an earlier one but for case, spaces and punctuation",
            NEAR,
            _have_twins(normal_N, labels_N, rows, is_normal_R),
        ),
        (
            "near_duplicates",
            near_R,
            near_others_R,
            differs(contents, near_R, near_others_R),
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
                    what=f"Samples of {name} that {what}: {len(rows_R):,}{with_another_label(differs_R)}.",
                    fix=_drop_fix(contents, split, rule) if have_twins else read_fix(contents, rows_R, others_R),
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
