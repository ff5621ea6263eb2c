"""A dataset in one line, and as a small table for notebooks; both say what its manifest says, with all text escaped."""

from html import escape
from pathlib import Path

from tdbs.pipeline.manifest import Manifest, SplitInfo
from tdbs.shown import shown

_MOST_CLASSES = 10  # named in the table
_HEAD = ("split", "samples", "tokens", "mean length", "droppable")


def one_line(folder: Path, manifest: Manifest) -> str:
    """Return a dataset as `repr` has it: source, kind of task, and the samples of each split."""
    splits = ", ".join(f"{info.rows:,} {name}" for name, info in manifest.splits.items())
    return shown(f"<PreparedDataset {manifest.source}, {_kind(manifest)}: {splits or 'no splits'}; {folder}>")


def html_table(folder: Path, manifest: Manifest) -> str:
    """Return a dataset as a fragment of HTML: what it is, and a row of numbers for each split."""
    facts = [_kind(manifest), f"up to {manifest.max_length} tokens of {manifest.tokenizer.name}"]
    if manifest.task.classes:
        facts.append(f"classes: {_classes(manifest.task.classes)}")
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    rows = "".join(_row(name, info) for name, info in manifest.splits.items())
    return (
        f"<div><strong>{_text(manifest.source)}</strong>: {_text('; '.join(facts))}<br><code>{_text(folder)}</code>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _kind(manifest: Manifest) -> str:
    return manifest.task.kind.replace("_", " ")


def _classes(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_CLASSES
    return ", ".join(names[:_MOST_CLASSES]) + (f" and {more:,} more" if more > 0 else "")


def _row(name: str, info: SplitInfo) -> str:
    """Return a row of the table; a split without samples has no means."""
    cells = [name, f"{info.rows:,}", f"{info.tokens:,}"]
    cells.append(f"{info.tokens / info.rows:.1f}" if info.rows else "–")
    cells.append(f"{info.droppable_tokens / info.tokens:.1%}" if info.tokens else "–")
    return f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in cells)}</tr>"


def _text(value: object) -> str:
    return escape(shown(value))
