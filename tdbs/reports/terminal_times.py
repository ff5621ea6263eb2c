"""Times as the command line prints them: profiles, estimates and comparisons."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.table import Table

from tdbs.analysis.speedup import StrategyEstimate
from tdbs.reports import number_format
from tdbs.reports.number_format import overhead_notes
from tdbs.reports.terminal import duration, plain_spaces, plain_table
from tdbs.shown import shown
from tdbs.train.planning.memory_bound import cut_note
from tdbs.train.planning.profile_file import Profile
from tdbs.train.planning.strategies import SAME_UPDATES

FAR_PACE = 0.1  # from the profile's: then predictions are off by the device itself


def profile_tables(profile: Mapping[str, Any]) -> list[Table | str]:
    """Return what `profile` shows: speeds by batch size and length, attention kernels, caps, overhead."""
    settings = profile["settings"]
    padded = [
        p
        for p in profile["points"]
        if p["execution"] == "padded" and p["calls"] == 1 and not p["dropout"] and not p["padding"]
    ]
    own = {(p["batch_size"], p["length"]): p for p in padded if p["attention"] == settings["attention"]}
    sizes = sorted({size for size, _ in own})
    speeds = plain_table("tokens/s at length", *(f"batch {size}" for size in sizes))
    for length in sorted({length for _, length in own}):
        cells = [own.get((size, length)) for size in sizes]
        speeds.add_row(
            str(length), *("" if cell is None else f"{cell['tokens'] / cell['seconds']:,.0f}" for cell in cells)
        )
    parts: list[Table | str] = [speeds, ""]
    if len(settings["kernels"]) > 1:
        shapes = _shared(padded, settings["kernels"])
        kernels = plain_table("attention, ms", *(f"{size} x {length}" for size, length in shapes))
        for kernel in settings["kernels"]:
            times = {(p["batch_size"], p["length"]): p["seconds"] for p in padded if p["attention"] == kernel}
            name = f"{kernel}, fastest" if kernel == settings["attention"] else kernel
            kernels.add_row(shown(name), *(f"{1000 * times[shape]:,.0f}" for shape in shapes))
        parts += [kernels, ""]
    kinds = [kind for kind in ("memory", "knee") if profile["caps"][kind]]
    caps = plain_table("largest batch by", *kinds)
    lengths = profile["caps"]["lengths"]
    for entry in sorted({0, len(lengths) // 8, len(lengths) // 4, len(lengths) // 2, len(lengths) - 1}):
        caps.add_row(f"up to {lengths[entry]} tokens", *(f"{profile['caps'][kind][entry]:,}" for kind in kinds))
    notes = overhead_notes(profile["overhead"], profile["device"]["kind"])
    return [*parts, caps, *([""] if notes else []), *(plain_spaces(note) for note in notes)]


def estimate_table(estimates: Sequence[StrategyEstimate], baseline: str, *, runs: int = 1) -> Table:
    """Return the table of `estimate-speedup`, with the baseline named in its head; in seconds if they are known."""
    columns: dict[str, Callable[[StrategyEstimate], str]] = {
        "steps": lambda found: f"{found.steps:,}",
        "tokens": lambda found: f"{found.tokens:,}",
        "padding": lambda found: f"{found.padding_fraction:.1%}",
    }
    timed = any(estimate.seconds is not None for estimate in estimates)
    if any(estimate.target_tokens for estimate in estimates):
        columns["of targets"] = lambda found: f"{found.target_padding_fraction or 0:.1%}"
    if timed:
        columns["a run"] = lambda found: duration(found.seconds)
    columns[f"speedup\nover {shown(baseline)}"] = lambda found: f"{found.speedup:.2f} x"
    columns["within" if timed else "in epochs"] = lambda found: f"{found.speedup_low:.2f} to {found.speedup_high:.2f}"
    if any(estimate.peak_memory_bytes is not None for estimate in estimates):
        columns["memory"] = lambda found: number_format.gibibytes(found.peak_memory_bytes)
    if timed and runs > 1:
        columns[f"{runs:,} runs"] = lambda found: duration(found.seconds_over_runs)
        columns["speedup\nin all"] = lambda found: f"{found.speedup_over_runs or 0.0:.2f} x"
    table = plain_table("strategy", *columns)
    for estimate in estimates:
        table.add_row(shown(estimate.strategy), *(cell(estimate) for cell in columns.values()))
    return table


def estimate_notes(
    estimates: Sequence[StrategyEstimate], profile: Profile | None, kernel: str, *, prepare: float, runs: int
) -> list[str]:
    """Return the notes below the table of `estimate-speedup`; `kernel` is the attention kernel."""
    if profile is None:
        by_tokens = (
            "Speedup in tokens processed, padding included. For seconds, run tdbs profile, then pass --profile FILE."
        )
        return [by_tokens, *_score_notes(estimates)]
    notes = [f"Seconds of {profile.model.get('name')} on {profile.device.get('name')}, {kernel} attention."]
    if runs > 1:
        notes.append(f"The last two columns cover preparing once, {duration(prepare)}, and training {runs:,} times.")
    else:
        notes.append(f"Preparing took {duration(prepare)}, once for all runs.")
    far = [estimate.strategy for estimate in estimates if estimate.extrapolated]
    if far:
        notes.append(
            f"Extrapolated far beyond the profile's timings, so unreliable: {', '.join(far)}. "
            "Run tdbs profile on this dataset to cover them."
        )
    return [*notes, *_score_notes(estimates)]


def memory_notes(estimates: Sequence[StrategyEstimate], memory: int | str | None) -> list[str]:
    """Return what `--memory` does to the strategies: those that it cuts, and those that it does not hold."""
    notes = [
        cut_note(str(memory), found.strategy, found.max_tokens) for found in estimates if found.max_tokens is not None
    ]
    refused = [found.strategy for found in estimates if found.is_refused]
    if refused:
        notes.append(f"--memory {memory} does not hold {', '.join(refused)}: tdbs train refuses it.")
    return notes


def target_notes(estimates: Sequence[StrategyEstimate]) -> list[str]:
    """Return what sorting by target length saves, a line for each strategy that sorts."""
    return [
        f"{estimate.strategy} sorts by target length: unsorted, {estimate.unsorted_target_padding_fraction:.1%} of the "
        "targets' tokens would be padding."
        for estimate in estimates
        if estimate.unsorted_target_padding_fraction != estimate.target_padding_fraction
    ]


def compare_table(result: Mapping[str, Any]) -> Table:
    """Return the table of `compare`, a row for each strategy."""
    rows = result["summary"]
    scored = any(row["score_mean"] is not None for row in rows)
    columns: dict[str, Callable[[Mapping[str, Any]], str]] = {}
    if not scored:
        columns["tokens"] = lambda row: f"{row['tokens']:,.0f}"
    columns["padding"] = lambda row: f"{row['padding_fraction']:.1%}"
    columns["a run"] = lambda row: duration(row["seconds"])
    columns[f"speedup\nover {shown(result['baseline'])}"] = lambda row: f"{row['speedup']:.2f} x"
    if any(row["predicted_seconds"] is not None for row in rows):
        columns["predicted"] = lambda row: duration(row["predicted_seconds"])
        columns["off by"] = lambda row: f"{row['predicted_seconds'] / row['seconds'] - 1:+.1%}"
    if scored:
        columns["score, %"] = _score_of
        if any(row.get("score_difference_low") is not None for row in rows):
            columns[f"to {shown(result['baseline'])},\nper seed"] = _difference_of
        columns["peak\nmemory"] = lambda row: number_format.gibibytes(row["peak_memory_bytes"])
        if any(row.get("predicted_peak_memory_bytes") is not None for row in rows):
            columns["predicted\nmemory"] = lambda row: number_format.gibibytes(row["predicted_peak_memory_bytes"])
    if result.get("energy") is not None:
        columns["energy"] = lambda row: plain_spaces(number_format.energy(row["energy_kwh"]))
        columns["CO2e"] = lambda row: plain_spaces(number_format.co2e(row["co2e_kg"]))
    table = plain_table("strategy", *columns)
    for row in rows:
        table.add_row(shown(row["strategy"]), *(cell(row) for cell in columns.values()))
    return table


def compare_notes(result: Mapping[str, Any]) -> list[str]:
    """Return the notes below the table of `compare`."""
    notes = []
    if result["part_steps"] is not None:
        notes.append(f"{result['part_steps']} steps of each strategy were timed; a run's time is projected from them.")
    if result["median_error"] is not None:
        notes.append(
            f"Predicted times are off by {result['median_error']:.1%} (median), {result['worst_error']:.1%} (worst)."
        )
    cut = [row for row in result["prediction"]["strategies"] if row.get("max_tokens") is not None]
    notes += [cut_note(str(result["memory"]), row["strategy"], row["max_tokens"]) for row in cut]
    if result.get("energy") is not None:
        notes.append(number_format.energy_note(result["energy"], (row["power"] for row in result["rows"])))
    pace = result["prediction"]["pace"]
    if pace is not None and abs(pace - 1) > FAR_PACE:
        notes.append(
            f"Just before the runs, a step took {pace:.2f} times as long as in the profile; predictions assume the "
            "speed of the profile."
        )
    return notes


def _shared(points: Sequence[Mapping[str, Any]], kernels: Sequence[str]) -> list[tuple[int, int]]:
    """Return the batch sizes and lengths that were timed with every kernel."""
    by_kernel = [{(p["batch_size"], p["length"]) for p in points if p["attention"] == kernel} for kernel in kernels]
    return sorted(set.intersection(*by_kernel))


def _score_notes(estimates: Sequence[StrategyEstimate]) -> list[str]:
    """Return what a speedup leaves out: which strategies make the updates of random batches, and which do not."""
    names = {estimate.strategy for estimate in estimates}
    notes = []
    if "unpadded" in names:
        notes.append("unpadded, the default, computes the same as random, without its padding.")
    elif "sorted" in names:
        notes.append("sorted computes the same as random, with little padding.")
    if not names <= set(SAME_UPDATES):
        notes.append(
            "Strategies that batch by length or drop make different updates, so scores may differ (see tdbs compare)."
        )
    return notes


def _score_of(row: Mapping[str, Any]) -> str:
    if row["score_mean"] is None:
        return ""
    return f"{100 * row['score_mean']:.1f}" + ("" if row["score_std"] is None else f" ± {100 * row['score_std']:.1f}")


def _difference_of(row: Mapping[str, Any]) -> str:
    low, high = row.get("score_difference_low"), row.get("score_difference_high")
    if low is None or high is None:
        return ""
    return f"{100 * row['score_difference']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
