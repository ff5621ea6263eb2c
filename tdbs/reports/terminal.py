"""Tables and histograms for the terminal (rich); all numbers come ready from `analysis`."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from tdbs.analysis.padding import SplitStatistics
from tdbs.analysis.speedup import StrategyEstimate
from tdbs.arrays import IntArray
from tdbs.pipeline.buckets import bucket_name, bucket_of
from tdbs.reports.samples import ShownDrop, ShownSample
from tdbs.train.plan import EpochPlan, run_target_padding
from tdbs.train.profile_file import Profile

if TYPE_CHECKING:  # its module loads torch
    from tdbs.analysis.flips import WordFlips

_BAR_WIDTH = 44


def split_table(statistics: Mapping[str, SplitStatistics]) -> Table:
    """Return the table of `prepare` and `inspect`: rows, lengths, expected padding of each split."""
    table = _table("split", "rows", "tokens", "L_avg", "L_87.5", "est. pad", "random pad", "droppable")
    for name, found in statistics.items():
        table.add_row(
            name,
            f"{found.rows:,}",
            f"{found.tokens:,}",
            f"{found.average_length:.2f}",
            str(found.percentile_length),
            f"{found.padding_fraction_estimate:.1%}",
            f"{found.expected_random_padding:.1%}",
            f"{found.droppable_fraction:.1%}",
        )
    return table


def target_lines(statistics: Mapping[str, SplitStatistics]) -> list[str]:
    """Return a line about the targets of each split where they are sequences."""
    return [
        f"targets of {name}: {found.target_tokens:,} tokens, "
        f"{found.expected_target_padding:.1%} padding in random batches"
        for name, found in statistics.items()
        if found.expected_target_padding is not None
    ]


def length_histogram(counts_L1: IntArray, edges: IntArray) -> Table:
    """Return the histogram of lengths, a row for each bucket that holds samples."""
    table = _table("bucket", "samples", "share", "")
    in_bucket = np.bincount(
        bucket_of(np.arange(len(counts_L1)), edges), weights=counts_L1, minlength=len(edges) - 1
    ).astype(np.int64)
    last = int(np.flatnonzero(in_bucket)[-1])
    for bucket in range(last + 1):
        bar = "█" * round(_BAR_WIDTH * in_bucket[bucket] / in_bucket.max())
        share = in_bucket[bucket] / in_bucket.sum()
        table.add_row(bucket_name(edges, bucket), f"{in_bucket[bucket]:,}", f"{share:.1%}", Text(bar, justify="left"))
    table.columns[-1].justify = "left"
    return table


def sample_lines(samples: Sequence[ShownSample]) -> list[Text]:
    """Return one line a sample, droppable words struck through and in brackets, so that it can be copied too."""
    return [_marked(sample, f"{sample.sample_id} ({_described(sample)}): ") for sample in samples]


def drop_lines(drops: Sequence[ShownDrop]) -> list[Text]:
    """Return two lines a sample: before TokenDrop with what goes in brackets, and after it."""
    lines = []
    for drop in drops:
        lines.append(_marked(drop.before, f"{drop.before.sample_id} before ({_described(drop.before)}): "))
        lines.append(_marked(drop.after, f"{drop.after.sample_id} after  ({_described(drop.after)}): "))
    return lines


def _described(sample: ShownSample) -> str:
    return f"{sample.length} tokens{', ' + sample.label if sample.label else ''}"


def _marked(sample: ShownSample, head: str) -> Text:
    line = Text(head)
    for piece, marked in sample.pieces:
        space = piece[: len(piece) - len(piece.lstrip())]
        line.append(space)
        line.append(f"[{piece.lstrip()}]" if marked else piece.lstrip(), style="strike dim" if marked else "")
    return line


def profile_tables(profile: Mapping[str, Any]) -> list[Table | Text]:
    """Return what `profile` shows: speeds by batch size and length, attention kernels, caps."""
    settings = profile["settings"]
    padded = [
        p
        for p in profile["points"]
        if p["execution"] == "padded" and p["calls"] == 1 and not p["dropout"] and not p["padding"]
    ]
    own = {(p["batch_size"], p["length"]): p for p in padded if p["attention"] == settings["attention"]}
    sizes = sorted({size for size, _ in own})
    speeds = _table("tokens/s at length", *(f"batch {size}" for size in sizes))
    for length in sorted({length for _, length in own}):
        cells = [own.get((size, length)) for size in sizes]
        speeds.add_row(
            str(length), *("" if cell is None else f"{cell['tokens'] / cell['seconds']:,.0f}" for cell in cells)
        )
    parts: list[Table | Text] = [speeds, Text()]
    if len(settings["kernels"]) > 1:
        shapes = _shared(padded, settings["kernels"])
        kernels = _table("attention, ms", *(f"{size} x {length}" for size, length in shapes))
        for kernel in settings["kernels"]:
            times = {(p["batch_size"], p["length"]): p["seconds"] for p in padded if p["attention"] == kernel}
            name = f"{kernel}, fastest" if kernel == settings["attention"] else kernel
            kernels.add_row(name, *(f"{1000 * times[shape]:,.0f}" for shape in shapes))
        parts += [kernels, Text()]
    kinds = [kind for kind in ("memory", "knee") if profile["caps"][kind]]
    caps = _table("largest batch by", *kinds)
    lengths = profile["caps"]["lengths"]
    for entry in sorted({0, len(lengths) // 8, len(lengths) // 4, len(lengths) // 2, len(lengths) - 1}):
        caps.add_row(f"up to {lengths[entry]} tokens", *(f"{profile['caps'][kind][entry]:,}" for kind in kinds))
    return [*parts, caps]


def _shared(points: Sequence[Mapping[str, Any]], kernels: Sequence[str]) -> list[tuple[int, int]]:
    """Return the batch sizes and lengths that were timed with every kernel."""
    by_kernel = [{(p["batch_size"], p["length"]) for p in points if p["attention"] == kernel} for kernel in kernels]
    return sorted(set.intersection(*by_kernel))


def estimate_table(estimates: Sequence[StrategyEstimate], baseline: str, *, runs: int = 1) -> Table:
    """Return the table of `estimate-speedup`, with the baseline named in its head; in seconds where they are known."""
    shown: dict[str, Callable[[StrategyEstimate], str]] = {
        "steps": lambda found: f"{found.steps:,}",
        "tokens": lambda found: f"{found.tokens:,}",
        "padding": lambda found: f"{found.padding_fraction:.1%}",
    }
    timed = any(estimate.seconds is not None for estimate in estimates)
    if any(estimate.target_tokens for estimate in estimates):
        shown["of targets"] = lambda found: f"{found.target_padding_fraction or 0:.1%}"
    if timed:
        shown["a run"] = lambda found: duration(found.seconds or 0.0)
    shown[f"speedup\nover {baseline}"] = lambda found: f"{found.speedup:.2f} x"
    shown["within" if timed else "in epochs"] = lambda found: f"{found.speedup_low:.2f} to {found.speedup_high:.2f}"
    if timed and runs > 1:
        shown[f"{runs:,} runs"] = lambda found: duration(found.seconds_over_runs or 0.0)
        shown["speedup\nin all"] = lambda found: f"{found.speedup_over_runs or 0.0:.2f} x"
    table = _table("strategy", *shown)
    for estimate in estimates:
        table.add_row(estimate.strategy, *(cell(estimate) for cell in shown.values()))
    return table


def duration(seconds: float) -> str:
    """Return seconds as 31.4 s, 12 min 5 s, 3 h 2 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def estimate_notes(
    estimates: Sequence[StrategyEstimate], profile: Profile | None, kernel: str, *, prepare: float, runs: int
) -> list[str]:
    """Return what is to be said below the table of `estimate-speedup`; `kernel` is that of attention."""
    if profile is None:
        return ["By tokens, pad included: what the linear layers see. For seconds: tdbs profile, then --profile FILE."]
    notes = [f"Seconds of {profile.model.get('name')} on {profile.device.get('name')}, {kernel} attention."]
    if runs > 1:
        notes.append(f"The last two columns are of preparing once, {duration(prepare)}, and training {runs:,} times.")
    else:
        notes.append(f"Preparing took {duration(prepare)}, once for all runs.")
    far = [estimate.strategy for estimate in estimates if estimate.extrapolated]
    if far:
        notes.append(
            f"Extrapolated far beyond what the profile timed, so trust it little: {', '.join(far)}. "
            "Measure longer with tdbs profile on this dataset."
        )
    return notes


def target_notes(estimates: Sequence[StrategyEstimate]) -> list[str]:
    """Return what sorting by target length saves, a line for each strategy that sorts."""
    return [
        f"{estimate.strategy} sorts by target length: unsorted, {estimate.unsorted_target_padding_fraction:.1%} of the "
        "targets' tokens would be padding."
        for estimate in estimates
        if estimate.unsorted_target_padding_fraction != estimate.target_padding_fraction
    ]


def plan_rows(plans: Sequence[EpochPlan]) -> list[dict[str, Any]]:
    """Return the JSON rows of `plan`, one an epoch; one batch is one step."""
    return [
        {
            "epoch": plan.epoch,
            "steps": plan.steps,
            "batches": len(plan.padded_lengths_B),
            "samples": len(plan.sample_ids_N),
            "tokens": plan.tokens,
            "padding_fraction": plan.padding_fraction,
            "target_tokens": plan.target_tokens,
            "target_padding_fraction": run_target_padding([plan]),
            "largest_batch": int(plan.batch_sizes_B.max()),
            "windows": max(len(plan.windows), 1),
        }
        for plan in plans
    ]


def plan_summary(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of `plan`."""
    targets = any(row["target_tokens"] for row in rows)
    names = ("of targets",) if targets else ()
    table = _table("epoch", "steps", "batches", "samples", "tokens", "padding", *names, "largest batch")
    for row in rows:
        counts = (f"{row[name]:,}" for name in ("epoch", "steps", "batches", "samples", "tokens"))
        of_targets = (f"{row['target_padding_fraction'] or 0:.2%}",)
        shown = of_targets if targets else ()
        table.add_row(*counts, f"{row['padding_fraction']:.2%}", *shown, f"{row['largest_batch']:,}")
    return table


def metrics_line(metrics: Mapping[str, float | None]) -> str:
    """Return metrics as "accuracy 0.9123, f1 0.9001"; a correlation may not be defined."""
    return ", ".join(
        f"{name} not defined" if value is None else f"{name} {value:.4f}" for name, value in metrics.items()
    )


def flips_table(words: "Sequence[WordFlips]", shown: int = 10) -> Table:
    """Return the dropped words that go with most flips."""
    table = _table("dropped word", "samples", "flips", "share")
    for found in words[:shown]:
        table.add_row(Text(found.word), f"{found.samples:,}", f"{found.flips:,}", f"{found.flips / found.samples:.1%}")
    return table


def key_value_table(values: Mapping[str, Any]) -> Table:
    """Return a table of two columns, without a head."""
    table = Table(box=None, show_header=False)
    for name, value in values.items():
        table.add_row(name, str(value))
    return table


def _table(*names: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name, justify="left" if name == names[0] else "right", no_wrap=True)
    return table


def compare_table(result: Mapping[str, Any]) -> Table:
    """Return the table of `compare`, a row for each strategy."""
    rows = result["summary"]
    scored = any(row["score_mean"] is not None for row in rows)
    shown: dict[str, Callable[[Mapping[str, Any]], str]] = {}
    if not scored:
        shown["tokens"] = lambda row: f"{row['tokens']:,.0f}"
    shown["padding"] = lambda row: f"{row['padding_fraction']:.1%}"
    shown["a run"] = lambda row: duration(row["seconds"])
    shown[f"speedup\nover {result['baseline']}"] = lambda row: f"{row['speedup']:.2f} x"
    if any(row["predicted_seconds"] is not None for row in rows):
        shown["predicted"] = lambda row: duration(row["predicted_seconds"])
        shown["off by"] = lambda row: f"{row['predicted_seconds'] / row['seconds'] - 1:+.1%}"
    if scored:
        shown["score, %"] = _score_of
        shown["peak\nGiB"] = lambda row: (
            "" if row["peak_memory_bytes"] is None else f"{row['peak_memory_bytes'] / 2**30:.2f}"
        )
    table = _table("strategy", *shown)
    for row in rows:
        table.add_row(row["strategy"], *(cell(row) for cell in shown.values()))
    return table


def _score_of(row: Mapping[str, Any]) -> str:
    if row["score_mean"] is None:
        return ""
    return f"{100 * row['score_mean']:.1f}" + ("" if row["score_std"] is None else f" ± {100 * row['score_std']:.1f}")


def compare_notes(result: Mapping[str, Any]) -> list[str]:
    """Return what is to be said below the table of `compare`."""
    notes = []
    if result["part_steps"] is not None:
        notes.append(f"{result['part_steps']} steps of each strategy were timed; a run's time is projected from them.")
    if result["median_error"] is not None:
        notes.append(
            f"Predicted times are off by {result['median_error']:.1%} (median), {result['worst_error']:.1%} (worst)."
        )
    return notes
