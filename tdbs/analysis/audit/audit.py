"""Audit a prepared dataset: every check over its shards, and the figures behind them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tdbs.analysis.audit.characters import character_findings, removes_control_characters
from tdbs.analysis.audit.classes import class_counts, class_findings
from tdbs.analysis.audit.conflicts import conflict_findings
from tdbs.analysis.audit.contents import Contents, read_contents
from tdbs.analysis.audit.duplicates import duplicate_findings
from tdbs.analysis.audit.findings import Finding
from tdbs.analysis.audit.label_errors import label_error_findings
from tdbs.analysis.audit.label_skew import LabelSkew, label_skew, skew_findings
from tdbs.analysis.audit.leaks import leak_findings
from tdbs.analysis.audit.numbers import number_findings
from tdbs.analysis.audit.queries import query_findings
from tdbs.analysis.audit.repeats import find_repeats
from tdbs.analysis.audit.sizes import size_findings
from tdbs.analysis.audit.truncation import Truncation, truncation_findings, truncation_of
from tdbs.analysis.audit.vocabulary import Fit, fit_of, vocabulary_findings
from tdbs.given import Place, checked
from tdbs.pipeline.dataset import AnyDataset, opened
from tdbs.pipeline.duplicates.near import BANDS, ROWS_A_BAND, THRESHOLD
from tdbs.pipeline.origin import unnoted

_CHECKS: tuple[Callable[[Contents], list[Finding]], ...] = (
    query_findings,
    size_findings,
    truncation_findings,
    class_findings,
    number_findings,
    skew_findings,
    vocabulary_findings,
    character_findings,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassCount:
    """The samples of one class; the fields are JSON keys of `tdbs audit`."""

    name: str
    samples: int


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitFigures:
    """Counts of one split; the fields are JSON keys of `tdbs audit`."""

    rows: int
    classes: tuple[ClassCount, ...]  # empty if samples have no class
    truncation: Truncation


@dataclass(frozen=True, kw_only=True, slots=True)
class NearRule:
    """How near duplicates are found; the fields are JSON keys of `tdbs audit`."""

    threshold: float = THRESHOLD  # Jaccard index of three-word shingles
    missed_at_threshold: float = (1 - THRESHOLD**ROWS_A_BAND) ** BANDS  # chance that the bands miss a pair


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What is wrong with a dataset, warnings first, and what was measured; the fields are JSON keys of `tdbs audit`."""

    path: Path
    findings: tuple[Finding, ...]
    splits: dict[str, SplitFigures]
    tokenizer: Fit
    label_skew: LabelSkew | None  # of train
    near: NearRule
    control_characters_removed: bool  # by the tokenizer, so none can be found
    to_add: str | None  # options that the commands lack, since the dataset does not note them; None: nothing

    @property
    def warnings(self) -> int:
        """Findings that are worth fixing before training."""
        return sum(found.severity == "warning" for found in self.findings)


@checked
def audit(dataset: AnyDataset, *, scores: Place | None = None) -> Audit:
    """Return what is wrong with a prepared dataset.

    All samples are in memory: a million of 13 tokens take 1 GiB (benchmarks/results/audit_cpu_2026-11-30.md).

    Args:
        dataset: Folder that `prepare` wrote, its URL on an object store, or what `prepare` returned.
        scores: A run that `score` has scored: labels that are likely wrong are a finding, too.

    Returns:
        The findings, warnings first, and figures of splits, tokenizer and labels.

    Raises:
        ConfigError: The run has no scores of classes, or is of another source.
        DatasetError: The folder is not a prepared dataset, a shard is damaged, or there are no samples.
        TrainingError: The folder of the scores is not a run.
    """
    prepared = opened(dataset)
    contents = read_contents(prepared)
    repeats = find_repeats(contents)
    found = [
        each for check in (duplicate_findings, leak_findings, conflict_findings) for each in check(contents, repeats)
    ]
    if scores is not None:
        found += label_error_findings(contents, prepared, Path(scores))
    for check in _CHECKS:
        found += check(contents)
    manifest = prepared.manifest
    return Audit(
        path=prepared.path,
        findings=tuple(sorted(found, key=lambda each: each.severity != "warning")),
        splits={
            name: SplitFigures(
                rows=contents.rows_of(split),
                classes=_classes(contents, split),
                truncation=truncation_of(manifest.splits[name], manifest.longest_input),
            )
            for split, name in enumerate(contents.names)
        },
        tokenizer=fit_of(contents),
        label_skew=label_skew(contents) if contents.has_train else None,
        near=NearRule(),
        control_characters_removed=removes_control_characters(contents),
        to_add=unnoted(manifest),
    )


def _classes(contents: Contents, split: int) -> tuple[ClassCount, ...]:
    counts_C = class_counts(contents, split)
    if counts_C is None:
        return ()
    names = contents.manifest.task.classes
    return tuple(ClassCount(name=name, samples=samples) for name, samples in zip(names, counts_C.tolist(), strict=True))
