"""Samples of a split that stand in train: a score on them says less about new texts.

Samples with negatives stand there if query and positive do.
"""

import numpy as np

from tdbs.analysis.audit.conflicts import Conflicts, are_among, differs, with_another_label
from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding, hold_out
from tdbs.analysis.audit.repeats import Repeats, SameSamples, pairs_with_train, second_of
from tdbs.pipeline.duplicates.near import THRESHOLD
from tdbs.pipeline.duplicates.options import NEAR
from tdbs.pipeline.origin import dropped_duplicates, kept_out

# Shapes: N samples of all splits, R samples of a split, C near pairs.


def leak_findings(contents: Contents, repeats: Repeats, conflicts: Conflicts) -> list[Finding]:
    """Return the samples of other splits that stand in train."""
    others = range(1, len(contents.names)) if contents.has_train else range(0)
    return [each for split in others for each in _leaks(contents, repeats, conflicts, split)]


def _leaks(contents: Contents, repeats: Repeats, conflicts: Conflicts, split: int) -> list[Finding]:
    """Return the samples of a split that stand in train."""
    rows, in_conflict_R = contents.samples_of(split), are_among(contents, split, conflicts.with_train[split][0])
    end = contents.split_offsets_S1[1]
    known = repeats.heads
    exact_R, normal_R = known.compared.exact_N[rows], known.compared.normal_N[rows]
    is_exact_R = exact_R < end
    is_normal_R = (normal_R < end) & ~is_exact_R
    near_R, train_R = second_of(*pairs_with_train(contents, known))
    # A sample whose text stands in a split before, or comes again in its own, leaks each time.
    place_R = np.searchsorted(near_R, normal_R)
    place_R[place_R == len(near_R)] = 0
    is_near_R = (near_R[place_R] == normal_R) if len(near_R) else np.zeros(len(rows), dtype=np.bool_)
    near_train_R = train_R[place_R] if len(near_R) else normal_R
    name, found = contents.names[split], []
    for kind, is_one_R, others_R, differs_R, what in (
        ("leaks", is_exact_R, exact_R, in_conflict_R, "stand in train, token by token"),
        (
            "normalized_leaks",
            is_normal_R,
            normal_R,
            in_conflict_R,
            "stand in train but for case, spaces and punctuation",
        ),
        (
            "near_leaks",
            is_near_R,
            near_train_R,
            differs(contents, rows, near_train_R),
            f"are nearly a sample of train (Jaccard index {THRESHOLD} or more)",
        ),
    ):
        count = int(is_one_R.sum())
        if count:
            other = with_another_label(differs_R[is_one_R])
            found.append(
                finding(
                    contents,
                    kind,
                    split,
                    rows[is_one_R],
                    others_R=others_R[is_one_R],
                    what=f"Samples of {name} that {what}: {count:,}{other}.",
                    fix=_keep_out_fix(contents, known, split, is_exact=kind == "leaks"),
                )
            )
    return found


def _keep_out_fix(contents: Contents, known: SameSamples, split: int, *, is_exact: bool) -> str:
    """Return what removes the samples of train that leak into a split; --keep-out alone compares token ids."""
    name, out, rule = contents.names[split], kept_out(contents.manifest), dropped_duplicates(contents.manifest)
    is_near = not is_exact or rule == NEAR
    if name in out and (is_exact or rule == NEAR):
        return f"Leave them out of train in the source, then run: {contents.prepare_command()}"
    if _is_all_train(known, contents.slice_of(split), contents.rows_of(0), is_near=is_near):
        return f"All samples of train stand in {name}, so --keep-out would leave none. {hold_out(contents)}"
    rules = {} if is_exact else {"drop_duplicates": NEAR}
    return contents.prepare_command(**rules, keep_out=",".join(dict.fromkeys((*out, name))))


def _is_all_train(known: SameSamples, part: slice, end: int, *, is_near: bool) -> bool:
    """Return whether --keep-out of a split leaves nothing of train, the samples before `end`."""
    compared, near = known.compared, known.near
    stands_N = np.zeros(len(compared.exact_N), dtype=np.bool_)  # by the first sample of each group
    if not is_near:
        stands_N[compared.exact_N[part]] = True
        return bool(stands_N[compared.exact_N[:end]].all())
    stands_N[compared.normal_N[part]] = True
    both_ways = (near.first_C, near.second_C), (near.second_C, near.first_C)
    nearly = [one_C[stands_N[other_C]] for one_C, other_C in both_ways]
    stands_N[np.concatenate(nearly)] = True
    return bool(stands_N[compared.normal_N[:end]].all())
