"""A dataset in one line, and as a table with a figure for notebooks; both say what its manifest says, all text escaped.

The figure is drawn by `tdbs.drawings.lengths`, if the room above has set it: the pipeline itself draws nothing.
"""

from html import escape
from pathlib import Path

import numpy as np

from tdbs import drawings
from tdbs.pipeline.lengths import expected_random_padding
from tdbs.pipeline.manifest import Manifest, SplitInfo
from tdbs.shown import shown

_MOST_CLASSES = 10  # named in the table
_BATCH = 64  # samples of the random batches whose padding is shown
_HEAD = ("split", "samples", "tokens", "mean length", "droppable", "padding of random batches")
_TRAIN = "train"


def dataset_line(folder: Path, manifest: Manifest) -> str:
    """Return a dataset as `repr` has it: source, kind of task, samples of each split, tokens, padding, folder."""
    return shown(f"<PreparedDataset {_facts(manifest)}; {folder}>")


def dataset_html(folder: Path, manifest: Manifest) -> str:
    """Return a dataset as HTML: what it is, a row of numbers for each split, and the lengths of the train split."""
    of_sequences = "" if manifest.max_sequence_length is None else f" in sequences of up to {manifest.longest_input}"
    facts = [_kind(manifest), f"up to {manifest.max_length} tokens of {manifest.tokenizer.name}{of_sequences}"]
    if manifest.task.classes:
        facts.append(f"classes: {_classes(manifest.task.classes)}")
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    rows = "".join(_row(name, info) for name, info in manifest.splits.items())
    return (
        f"<div><strong>{_text(manifest.source)}</strong>: {_text('; '.join(facts))}<br><code>{_text(folder)}</code>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{_figure(manifest)}</div>"
    )


def _facts(manifest: Manifest) -> str:
    splits = ", ".join(f"{info.rows:,} {name}" for name, info in manifest.splits.items())
    tokens = sum(info.tokens for info in manifest.splits.values())
    padding = _padding(manifest.splits[_TRAIN]) if _TRAIN in manifest.splits else None
    padded = "" if padding is None else f", {padding:.0%} padding in random batches"
    return f"{manifest.source}, {_kind(manifest)}: {splits or 'no splits'}; {tokens:,} tokens{padded}"


def _figure(manifest: Manifest) -> str:
    """Return the histogram of the train split's lengths, on a ground of its own: notebooks may be dark."""
    info = manifest.splits.get(_TRAIN)
    if info is None or drawings.lengths is None or not info.lengths_L1.any():
        return ""
    svg = drawings.lengths(info.lengths_L1, np.array(manifest.bucket_edges))
    return f'<div style="max-width: 720px; background: #fefefe">{svg}</div>'


def _padding(info: SplitInfo) -> float | None:
    """Return the share of padding in random batches; None for a split without samples."""
    if not info.sequences_L1.any():
        return None
    return expected_random_padding(info.sequences_L1, _BATCH * info.sequences_a_sample)


def _kind(manifest: Manifest) -> str:
    return manifest.task.kind.replace("_", " ")


def _classes(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_CLASSES
    return ", ".join(names[:_MOST_CLASSES]) + (f" and {more:,} more" if more > 0 else "")


def _row(name: str, info: SplitInfo) -> str:
    """Return a row of the table; a split without samples has no means."""
    padding = _padding(info)
    cells = [name, f"{info.rows:,}", f"{info.tokens:,}"]
    cells.append(f"{info.tokens / info.rows:.1f}" if info.rows else "–")
    cells.append(f"{info.droppable_tokens / info.tokens:.1%}" if info.tokens else "–")
    cells.append("–" if padding is None else f"{padding:.0%}")
    return f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"


def _text(value: object) -> str:
    return escape(shown(value))
