"""Tables of the accuracy study, from records alone: scores, paired differences, updates, and times measured apart."""

import statistics
from collections.abc import Mapping, Sequence

from benchmarks.accuracy_runs import RunRecord
from benchmarks.accuracy_studies import Study
from benchmarks.common import markdown_table
from tdbs.analysis.compare.record import PairedDifference, paired_difference

MARGIN = 0.5  # points that the mean over tasks may lose, at the lower end of its interval (issue of the study)

# Scores of a study: variant, task, seed.
Scores = Mapping[str, Mapping[str, Mapping[int, float]]]


def study_page(study: Study, found: Sequence[tuple[str, RunRecord]]) -> str:
    """Return the page of a study from its records, each with the name of its variant."""
    scores: dict[str, dict[str, dict[int, float]]] = {
        variant.name: {task: {} for task in study.tasks} for variant in study.variants
    }
    updates: dict[str, dict[str, int]] = {variant.name: {} for variant in study.variants}
    rates: dict[str, float] = {}
    for name, record in found:
        scores[name][record.key.task][record.key.seed] = record.score
        updates[name][record.key.task] = record.steps
        rates[record.key.task] = record.key.rate
    model, devices = found[0][1].key.model, sorted({record.device for _, record in found})
    told = ", ".join(f"{task} {rate:g}" for task, rate in rates.items())
    parts = [
        f"# {study.title}",
        f"{len(found)} runs: {model} (22 M parameters), {study.epochs} epoch{'s' * (study.epochs > 1)}, bf16, "
        f"base batch 64, dropout 0 where none is named, rates {told}; {', '.join(devices)}. Scores: Pearson (stsb), "
        "Matthews (cola), else accuracy, x 100; mean and deviation over seeds. Differences are seed by seed, with 95 % "
        "t intervals.",
        score_table(study, scores, updates),
    ]
    bases = [variant.name for variant in study.variants if variant.strategy == "unpadded" and not variant.parts]
    parts += [difference_table(study, scores, base) for base in bases]
    return "\n\n".join(parts)


def rate_page(study: Study, found: Mapping[str, Mapping[float, Sequence[float]]]) -> str:
    """Return the page of the study of rates: scores of each, the chosen one marked."""
    rates = sorted({rate for of_task in found.values() for rate in of_task})
    rows = []
    for task in study.tasks:
        best = max(found[task], key=lambda rate: statistics.mean(found[task][rate]))
        shown = {rate: _mean(dict(enumerate(found[task].get(rate, ()))), seeds=len(study.seeds)) for rate in rates}
        rows.append(
            {"task": task} | {f"{rate:g}": f"**{shown[rate]}**" if rate == best else shown[rate] for rate in rates}
        )
    return f"# {study.title}\n\nScores x 100; mean and deviation over seeds.\n\n{markdown_table(rows)}"


def score_table(study: Study, scores: Scores, updates: Mapping[str, Mapping[str, int]]) -> str:
    """Return mean and deviation of each variant and task, in points, with the seeds where some are missing."""
    rows = []
    for variant in study.variants:
        of_tasks = scores[variant.name]
        row = {"score x 100": variant.name}
        for task in study.tasks:
            row[task] = _mean(of_tasks.get(task, {}), seeds=len(study.seeds))
        row[f"updates, {study.tasks[0]}"] = str(updates[variant.name].get(study.tasks[0], ""))
        rows.append(row)
    return markdown_table(rows)


def difference_table(study: Study, scores: Scores, base: str) -> str:
    """Return differences to a variant, seed by seed: of each task, and of the mean over tasks."""
    rows = []
    for variant in study.variants:
        if variant.name == base:
            continue
        row = {f"difference to {base}": variant.name}
        for task in study.tasks:
            found = paired_difference(scores[variant.name].get(task, {}), scores[base].get(task, {}))
            row[task] = "" if found is None else f"{100 * found.mean:+.1f}"
        row["mean over tasks"] = shown_difference(difference_over_tasks(study, scores, variant.name, base))
        rows.append(row)
    return markdown_table(rows)


def difference_over_tasks(study: Study, scores: Scores, variant: str, base: str) -> PairedDifference | None:
    """Return the difference of two variants' means over all tasks of a study, seed by seed."""
    ours, theirs = (
        mean_over_tasks({task: scores[name].get(task, {}) for task in study.tasks}) for name in (variant, base)
    )
    return paired_difference(ours, theirs)


def mean_over_tasks(scores: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """Return the mean score over tasks of each seed that all of them have."""
    seeds = set.intersection(*(set(of_task) for of_task in scores.values())) if scores else set()
    return {seed: statistics.mean(of_task[seed] for of_task in scores.values()) for seed in sorted(seeds)}


def passes(study: Study, scores: Scores, variant: str, base: str) -> tuple[bool, list[str]]:
    """Tell whether a variant is as accurate as the base, by the rule of the study, and say each of its lines."""
    found = difference_over_tasks(study, scores, variant, base)
    if found is None or found.low is None:
        return False, ["Too few seeds."]
    told = [
        f"lower end of the mean over tasks {100 * found.low:+.2f} points over {found.seeds} seeds "
        f"(at least -{MARGIN:g}): {'holds' if 100 * found.low >= -MARGIN else 'fails'}"
    ]
    good = 100 * found.low >= -MARGIN
    for task in study.tasks:
        base_scores = list(scores[base][task].values())
        lost = statistics.mean(base_scores) - statistics.mean(scores[variant][task].values())
        allowed = statistics.stdev(base_scores)
        good = good and lost <= allowed
        told.append(
            f"{task} {-100 * lost:+.2f} points (at least -{100 * allowed:.2f}, a deviation of {base}): "
            f"{'holds' if lost <= allowed else 'fails'}"
        )
    return good, told


def shown_difference(found: PairedDifference | None) -> str:
    """Return a difference in points with its interval."""
    if found is None:
        return ""
    interval = (
        "" if found.low is None or found.high is None else f" ({100 * found.low:+.2f} to {100 * found.high:+.2f})"
    )
    return f"{100 * found.mean:+.2f}{interval}, n = {found.seeds}"


def _mean(of_seeds: Mapping[int, float], *, seeds: int) -> str:
    if not of_seeds:
        return ""
    points = [100 * score for score in of_seeds.values()]
    spread = f" ± {statistics.stdev(points):.1f}" if len(points) > 1 else ""
    missing = "" if len(points) == seeds else f" (n = {len(points)})"
    return f"{statistics.mean(points):.1f}{spread}{missing}"
