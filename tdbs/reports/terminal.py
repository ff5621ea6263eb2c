"""Tables and histograms for the terminal (rich), that of `tdbs evaluate` included; `analysis` provides all numbers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table
from rich.text import Text

from tdbs.analysis.bucket_edges import PredictedEdges
from tdbs.analysis.label_length import ERROR_RATE, LabelLength
from tdbs.analysis.statistics import SplitStatistics
from tdbs.arrays import IntArray
from tdbs.pipeline.lengths import bucket_name, bucket_of
from tdbs.reports import number_format
from tdbs.reports.samples import ShownDrop, ShownSample
from tdbs.shown import clipped, seen, shown
from tdbs.train.planning.epoch_plan import EpochPlan, run_target_padding
from tdbs.train.planning.strategies import BUCKETED, Strategy

if TYPE_CHECKING:  # their modules load torch
    from tdbs.analysis.conditions.asked import ConditionRow
    from tdbs.analysis.conditions.evaluate import Evaluation
    from tdbs.analysis.conditions.flips import WordFlips
    from tdbs.analysis.samples.score import LabelError

_BAR_WIDTH = 44
_NAME_WIDTH, _TEXT_WIDTH = 20, 80  # characters


def split_table(statistics: Mapping[str, SplitStatistics]) -> Table:
    """Return the table of `prepare` and `inspect`: rows, lengths, expected padding of each split."""
    heads = ("split", "rows", "tokens", "L_avg", "L_87.5", "est. pad", "random pad", "droppable")
    has_skipped = any(found.skipped for found in statistics.values())
    has_several = any(found.sequences is not None for found in statistics.values())
    table = plain_table(*heads, *(["sequences"] if has_several else []), *(["skipped"] if has_skipped else []))
    for name, found in statistics.items():
        table.add_row(
            shown(name),
            f"{found.rows:,}",
            f"{found.tokens:,}",
            f"{found.average_length:.2f}",
            str(found.percentile_length),
            f"{found.padding_fraction_estimate:.1%}",
            f"{found.expected_random_padding:.1%}",
            f"{found.droppable_fraction:.1%}",
            *([f"{found.sequences or 0:,}"] if has_several else []),
            *([f"{found.skipped:,}"] if has_skipped else []),
        )
    return table


def target_lines(statistics: Mapping[str, SplitStatistics]) -> list[str]:
    """Return a line about the targets of each split if they are sequences."""
    return [
        f"targets of {name}: {found.target_tokens:,} tokens, "
        f"{found.expected_target_padding:.1%} padding in random batches"
        for name, found in statistics.items()
        if found.expected_target_padding is not None
    ]


def label_lines(labels: LabelLength, strategy: Strategy) -> list[str]:
    """Return a line on labels and lengths, and one on what that means for the updates of the strategy."""
    measured = []
    if labels.correlation is not None:
        measured.append(f"correlation of length and label {labels.correlation:.2f}")
    if labels.stray is not None:
        measured.append(f"label means of {strategy.name}'s updates deviate {labels.stray:.2f} times as far as chance")
    lines = ["; ".join(measured)] if measured else []
    if labels.at_random:
        lines.append(
            f"{strategy.name} draws its batches at random: updates see a random label mix, even if labels depend on "
            "length. To examine batches of similar length, pass --strategy bucket."
        )
    elif labels.is_risky:
        mixed = ", or mix lengths with --micro-batches 4" if strategy.batches in BUCKETED else ""
        lines.append(
            f"Labels depend on lengths here (tested at an error rate of {ERROR_RATE:.0%}): {strategy.name}'s updates "
            f"see a skewed label mix. Compare its scores with the default strategy's{mixed}."
        )
    elif labels.p_value is not None:
        found = "more skewed than by chance, but too little to matter" if labels.is_certain else "as by chance"
        lines.append(
            f"{strategy.name}'s updates see a label mix {found} (tested at an error rate of {ERROR_RATE:.0%})."
        )
    return lines


def length_histogram(counts_L1: IntArray, edges: IntArray) -> Table:
    """Return the histogram of lengths, a row for each bucket; empty ones side by side share a row."""
    table = plain_table("bucket", "samples", "share", "")
    in_bucket = np.bincount(
        bucket_of(np.arange(len(counts_L1)), edges), weights=counts_L1, minlength=len(edges) - 1
    ).astype(np.int64)
    before = 0
    for bucket in np.flatnonzero(in_bucket).tolist():
        if before < bucket:
            table.add_row(bucket_name(edges, before, buckets=bucket - before), "0", "0.0%", "")
        bar = "█" * round(_BAR_WIDTH * in_bucket[bucket] / in_bucket.max())
        share = in_bucket[bucket] / in_bucket.sum()
        table.add_row(bucket_name(edges, bucket), f"{in_bucket[bucket]:,}", f"{share:.1%}", Text(bar, justify="left"))
        before = bucket + 1
    table.columns[-1].justify = "left"
    return table


def edges_lines(edges_E: IntArray, predicted: PredictedEdges, *, epoch: int) -> list[str]:
    """Return the edges of `--bucket-width auto`, and what they cost beside the best of one width."""
    return [
        f"Edges: {', '.join(_runs(edges_E.tolist()))}",
        f"Epoch {epoch} in {predicted.buckets} buckets: {predicted.cost:,.0f} tokens, with what calls and shapes cost. "
        f"The best fixed width, {predicted.best_fixed_width}, takes {predicted.best_fixed_cost:,.0f}.",
    ]


def sample_lines(samples: Sequence[ShownSample]) -> list[Text]:
    """Return one line per sample, with droppable words struck through and in brackets, so that it can be copied too."""
    return [_marked(sample, f"{sample.sample_id} ({_described(sample)}): ") for sample in samples]


def drop_lines(drops: Sequence[ShownDrop]) -> list[Text]:
    """Return two lines per sample: before TokenDrop with dropped words in brackets, and after it."""
    lines = []
    for drop in drops:
        lines.append(_marked(drop.before, f"{drop.before.sample_id} before ({_described(drop.before)}): "))
        lines.append(_marked(drop.after, f"{drop.after.sample_id} after  ({_described(drop.after)}): "))
    return lines


def plan_rows(plans: Sequence[EpochPlan], peaks: Sequence[int | None]) -> list[dict[str, Any]]:
    """Return the JSON rows of `plan`, one an epoch, from the plans and their peak memory in bytes."""
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
            "peak_memory_bytes": peak,
        }
        for plan, peak in zip(plans, peaks, strict=True)
    ]


def plan_summary(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return the table of `plan`."""
    targets = any(row["target_tokens"] for row in rows)
    sized = any(row["peak_memory_bytes"] is not None for row in rows)
    heads = ("epoch", "steps", "batches", "samples", "tokens", "padding", *(["of targets"] if targets else []))
    table = plain_table(*heads, "largest batch", *(["memory"] if sized else []))
    for row in rows:
        counts = (f"{row[name]:,}" for name in ("epoch", "steps", "batches", "samples", "tokens"))
        of_targets = (f"{row['target_padding_fraction'] or 0:.2%}",) if targets else ()
        memory = (number_format.gibibytes(row["peak_memory_bytes"]),) if sized else ()
        table.add_row(*counts, f"{row['padding_fraction']:.2%}", *of_targets, f"{row['largest_batch']:,}", *memory)
    return table


def metrics_line(metrics: Mapping[str, float | None]) -> str:
    """Return metrics as "accuracy 0.9123, f1 0.9001"; a correlation may not be defined."""
    return ", ".join(f"{name} undefined" if value is None else f"{name} {value:.4f}" for name, value in metrics.items())


def flips_table(words: "Sequence[WordFlips]", count: int = 10) -> Table:
    """Return the dropped words that go with most flips."""
    table = plain_table("dropped word", "samples", "flips", "share")
    for found in words[:count]:
        table.add_row(shown(found.word), f"{found.samples:,}", f"{found.flips:,}", f"{found.flips / found.samples:.1%}")
    return table


def duration(seconds: float | None) -> str:
    """Return seconds as the page says them, in plain spaces."""
    return plain_spaces(number_format.duration(seconds))


def plain_spaces(text: str) -> str:
    """Return text of the page for a terminal, so that users can search and copy it."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def energy_line(used: Mapping[str, Any]) -> str:
    """Return a run's energy, the source of its power figure, and the electricity."""
    amounts = f"{number_format.energy(used['kwh'])}, {number_format.co2e(used['co2e_kg'])} CO2e"
    return plain_spaces(f"{amounts}. {number_format.energy_note(used['country'], [used['power']])}")


def key_value_table(values: Mapping[str, Any]) -> Table:
    """Return a table of two columns, without a head."""
    table = Table(box=None, show_header=False)
    for name, value in values.items():
        table.add_row(shown(name), shown(value))
    return table


def plain_table(*names: str) -> Table:
    """Return an empty table with a head, its first column to the left."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        table.add_column(name, justify="left" if name == names[0] else "right", no_wrap=True)
    return table


def label_error_table(found: Sequence["LabelError"]) -> Table:
    """Return the likeliest label errors, a row for each: row of the source from 1, score, classes and text."""
    table = plain_table("row", "score", "label", "predicted", "text")
    for column in table.columns[2:]:
        column.justify = "left"
    for error in found:
        text = error.text if error.pair is None else f"{error.text} | {error.pair}"
        names = (clipped(error.label, _NAME_WIDTH), clipped(error.predicted, _NAME_WIDTH))
        table.add_row(str(error.source_row + 1), f"{error.score:.2f}", *names, seen(clipped(text, _TEXT_WIDTH)))
    return table


def conditions_table(found: "Evaluation") -> Table:
    """Return runs under conditions: scores, differences to the first, tokens kept; padding and speed if known."""
    is_timed = any(row.seconds is not None for row in found.rows)
    has_batches = any(row.padding_fraction is not None for row in found.rows)
    table = plain_table(
        *("run", "trained with", "condition", "score", "difference", "kept"),
        *(("padding",) if has_batches else ()),
        *(("time", "speedup") if is_timed else ()),
    )
    for column in table.columns[1:3]:
        column.justify = "left"
    last = None
    for row in found.rows:
        names = ("", "") if row.run == last else (row.run, row.strategy)
        table.add_row(
            *map(shown, (*names, row.condition)),
            _score(row),
            "" if row.difference is None else f"{100 * row.difference:+.2f}",
            f"{row.kept:.1%}",
            *((f"{row.padding_fraction or 0:.1%}",) if has_batches else ()),
            *(_times(row) if is_timed else ()),
        )
        last = row.run
    return table


def _runs(numbers: Sequence[int]) -> Iterator[str]:
    """Yield rising numbers as texts; three or more that are equally far apart as one: 5 to 8 by 1."""
    first = 0
    while first < len(numbers):
        last = first
        while last + 1 < len(numbers) and numbers[last + 1] - numbers[last] == numbers[first + 1] - numbers[first]:
            last += 1
        if last - first < 2:
            yield str(numbers[first])
            first += 1
        else:
            yield f"{numbers[first]} to {numbers[last]} by {numbers[first + 1] - numbers[first]}"
            first = last + 1


def _described(sample: ShownSample) -> str:
    return f"{sample.length} tokens{', ' + sample.label if sample.label else ''}"


def _marked(sample: ShownSample, head: str) -> Text:
    line = Text(shown(head))  # Text takes some control characters out
    for piece, marked in sample.pieces:
        space = len(piece) - len(piece.lstrip())
        line.append(shown(piece[:space]))
        words = shown(piece[space:])
        line.append(f"[{words}]" if marked else words, style="strike dim" if marked else "")
    return line


def _score(row: "ConditionRow") -> str:
    """Return a score in percent, with its deviation over draws."""
    if row.score is None:
        return "undefined"
    return f"{100 * row.score:.2f}" + ("" if row.score_std is None else f" ± {100 * row.score_std:.2f}")


def _times(row: "ConditionRow") -> tuple[str, str]:
    if row.seconds is None or row.speedup is None:
        return "", ""
    return duration(row.seconds), f"{row.speedup:.2f}x"
