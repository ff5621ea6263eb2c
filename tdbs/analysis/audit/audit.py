"""Audit a prepared dataset: every check over its shards, and the figures behind them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tdbs.analysis.audit.characters import character_findings, removes_control_characters
from tdbs.analysis.audit.classes import class_counts, class_findings
from tdbs.analysis.audit.conflicts import Conflicts, conflict_findings, find_conflicts
from tdbs.analysis.audit.contents import Contents, read_contents
from tdbs.analysis.audit.duplicates import duplicate_findings
from tdbs.analysis.audit.findings import Finding
from tdbs.analysis.audit.label_errors import label_error_findings
from tdbs.analysis.audit.label_skew import LabelSkew, label_skew, skew_findings
from tdbs.analysis.audit.leaks import leak_findings
from tdbs.analysis.audit.numbers import number_findings
from tdbs.analysis.audit.queries import query_findings
from tdbs.analysis.audit.repeats import Repeats, find_repeats
from tdbs.analysis.audit.sizes import size_findings
from tdbs.analysis.audit.truncation import Truncation, split_truncation, truncation_findings
from tdbs.analysis.audit.vocabulary import Fit, fit_of, vocabulary_findings
from tdbs.errors import ConfigError
from tdbs.given import Place, checked
from tdbs.pipeline.dataset import AnyDataset, PreparedDataset, opened, split_info
from tdbs.pipeline.duplicates.budget import amount_of
from tdbs.pipeline.duplicates.candidates import BANDS, ROWS_A_BAND
from tdbs.pipeline.duplicates.near import THRESHOLD
from tdbs.pipeline.engines import memory_bytes
from tdbs.pipeline.origin import unnoted
from tdbs.settings import DEFAULT_MEMORY
from tdbs.spilled import forget

_REPEAT_CHECKS: tuple[Callable[[Contents, Repeats, Conflicts], list[Finding]], ...] = (
    duplicate_findings,
    leak_findings,
    conflict_findings,
)
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
def audit(dataset: AnyDataset, *, scores: Place | None = None, memory: int | str = DEFAULT_MEMORY) -> Audit:
    """Return what is wrong with a prepared dataset.

    A dataset that does not fit in the memory is compared through temporary files; TMPDIR chooses their place. The
    result is the same (benchmarks/results/audit_memory_cpu_2026-11-30.md).

    Args:
        dataset: Folder that `prepare` wrote, its URL on an object store, or what `prepare` returned.
        scores: A run that `score` has scored: labels that are likely wrong are a finding, too.
        memory: Memory limit, in bytes or as a text: 2GiB, 768MiB.

    Returns:
        The findings, warnings first, and figures of splits, tokenizer and labels.

    Raises:
        ConfigError: The run has no scores of classes, or is of another source; or the memory is too little, or the
            folder for temporary files too small.
        DatasetError: The folder is not a prepared dataset, a shard is damaged, or there are no samples.
        TrainingError: The folder of the scores is not a run.
    """
    prepared = opened(dataset)
    contents = read_contents(prepared, spilled=_is_spilled(prepared, memory))
    repeats = find_repeats(contents)
    conflicts = find_conflicts(contents, repeats)
    forget(contents, repeats)
    found: list[Finding] = []
    for compare in _REPEAT_CHECKS:
        found += compare(contents, repeats, conflicts)
        forget(contents, repeats, conflicts)
    if scores is not None:
        found += label_error_findings(contents, prepared, Path(scores))
    for check in _CHECKS:
        found += check(contents)
        forget(contents)
    manifest = prepared.manifest
    return Audit(
        path=prepared.path,
        findings=tuple(sorted(found, key=lambda each: each.severity != "warning")),
        splits={
            name: SplitFigures(
                rows=contents.rows_of(split),
                classes=_classes(contents, split),
                truncation=split_truncation(manifest, name),
            )
            for split, name in enumerate(contents.names)
        },
        tokenizer=fit_of(contents),
        label_skew=label_skew(contents) if contents.has_train else None,
        near=NearRule(),
        control_characters_removed=removes_control_characters(contents),
        to_add=unnoted(manifest),
    )


def _is_spilled(dataset: PreparedDataset, memory: int | str) -> bool:
    """Return whether samples do not fit in the memory. Raises ConfigError if they do not even when they are spilled."""
    most = memory_bytes(memory)
    for name in dataset.manifest.splits:
        split_info(dataset, name)  # checks the counts
    amount = amount_of(dataset.manifest)
    if amount.bytes_spilled > most:
        raise ConfigError(
            f"--memory {memory} is too little memory for tdbs audit: {amount.rows:,} samples take "
            f"{amount.bytes_spilled:,} bytes.",
            next_step=f"Pass --memory {-(-amount.bytes_spilled >> 20)}MiB or more.",
        )
    return amount.bytes_in_memory > most


def _classes(contents: Contents, split: int) -> tuple[ClassCount, ...]:
    counts_C = class_counts(contents, split)
    if counts_C is None:
        return ()
    names = contents.manifest.task.classes
    return tuple(ClassCount(name=name, samples=samples) for name, samples in zip(names, counts_C.tolist(), strict=True))
