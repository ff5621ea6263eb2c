"""Labels that go with lengths, and classes of which TokenDrop would drop more than of others, each with an interval."""

from dataclasses import dataclass

import numpy as np

from tdbs.analysis.audit.contents import Contents
from tdbs.analysis.audit.findings import Finding, finding
from tdbs.analysis.correlation import label_correlation
from tdbs.arrays import FloatArray, IntArray
from tdbs.data.tasks import SAMPLE_KINDS

# Shapes: N samples of a split, C classes.

_STRONG = 0.2  # least correlation, by the interval, worth a warning: 4 % of the variance
_UNEVEN = 0.05  # least difference of two classes' droppable shares, by the interval
_APART = 4.29  # standard errors by which the shares of the two extreme classes differ
_FEWEST = 30  # rows of a class whose share is compared


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassShare:
    """Droppable tokens of a class in all its tokens; the fields are JSON keys of `tdbs audit`."""

    name: str
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSkew:
    """What goes with the label in train; the fields are JSON keys of `tdbs audit`."""

    length_correlation: float | None  # 0 to 1, without chance; None: see `label_correlation`, or no labels of samples
    low: float | None  # of its interval
    high: float | None
    droppable: tuple[ClassShare, ...]  # of the classes with 30 rows or more


def label_skew(contents: Contents, split: int = 0) -> LabelSkew:
    """Return what goes with the labels of a split."""
    targets = contents.targets[split]
    lengths_N = contents.lengths_N[contents.slice_of(split)]
    found = None
    if targets is not None and targets.kind in SAMPLE_KINDS:
        found = label_correlation(lengths_N, targets)
    shares = droppable_shares(contents, split)
    return LabelSkew(
        length_correlation=None if found is None else found.value,
        low=None if found is None else found.low,
        high=None if found is None else found.high,
        droppable=() if shares is None else _class_shares(shares),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class DroppableShares:
    """Droppable tokens in all tokens of the classes with enough rows, with their standard errors."""

    classes: tuple[str, ...]
    numbers_C: IntArray
    share_C: FloatArray
    error_C: FloatArray


def droppable_shares(contents: Contents, split: int) -> DroppableShares | None:
    """Return the droppable share of each class with 30 rows or more; None if samples have no class of their own."""
    targets = contents.targets[split]
    if targets is None or targets.kind != "classification":
        return None
    part = contents.slice_of(split)
    names, labels_N = contents.manifest.task.classes, targets.values.astype(np.int64)
    tokens_N, droppable_N = contents.lengths_N[part], contents.droppable_N[part]
    rows_C = np.bincount(labels_N, minlength=len(names))
    total_C = np.bincount(labels_N, weights=tokens_N, minlength=len(names))
    share_C = np.bincount(labels_N, weights=droppable_N, minlength=len(names)) / np.maximum(total_C, 1)
    residual_N = droppable_N - share_C[labels_N] * tokens_N
    squares_C = np.bincount(labels_N, weights=residual_N**2, minlength=len(names))
    kept = np.flatnonzero(rows_C >= _FEWEST)
    return DroppableShares(
        classes=tuple(names[c] for c in kept.tolist()),
        numbers_C=kept,
        share_C=share_C[kept],
        error_C=np.sqrt(squares_C[kept]) / total_C[kept],  # of a ratio of sums
    )


def _class_shares(shares: DroppableShares) -> tuple[ClassShare, ...]:
    pairs = zip(shares.classes, shares.share_C.tolist(), strict=True)
    return tuple(ClassShare(name=name, share=share) for name, share in pairs)


def skew_findings(contents: Contents) -> list[Finding]:
    """Return whether labels go with lengths in train, and whether TokenDrop would touch a class more."""
    if not contents.has_train:
        return []
    skew, found = label_skew(contents), []
    if skew.low is not None and skew.low >= _STRONG:
        part = contents.slice_of(0)
        longest_R = np.argsort(-contents.lengths_N[part], kind="stable")
        found.append(
            finding(
                contents,
                "label_length",
                0,
                longest_R,
                what=f"Labels of train go with lengths: a correlation of {skew.length_correlation:.2f}, "
                f"{skew.low:.2f} to {skew.high:.2f}.",
                fix="Keep the default strategy, whose batches mix lengths; see tdbs inspect --strategy bucket.",
            )
        )
    shares = None if contents.manifest.task.drop_forbidden else droppable_shares(contents, 0)
    if shares is not None and len(shares.classes) > 1:
        most, least = int(np.argmax(shares.share_C)), int(np.argmin(shares.share_C))
        apart = float(shares.share_C[most] - shares.share_C[least])
        margin = _APART * float(np.hypot(shares.error_C[most], shares.error_C[least]))
        if apart - margin >= _UNEVEN:
            targets = contents.targets[0]
            of_class = np.zeros(0, dtype=np.int64)
            if targets is not None:
                of_class = np.flatnonzero(targets.values == shares.numbers_C[most])
            found.append(
                finding(
                    contents,
                    "droppable_skew",
                    0,
                    of_class,
                    what=f"{shares.share_C[most]:.1%} of the tokens of {shares.classes[most]} are droppable, "
                    f"{shares.share_C[least]:.1%} of {shares.classes[least]}: TokenDrop would touch one more.",
                    fix=contents.prepare_command(forbid_drop="REASON"),
                )
            )
    return found
