"""A small part of the built-in sample, prepared short: the tiny model takes milliseconds for a step of it."""

import csv
from pathlib import Path

import pytest
import torch

from tdbs.analysis.conditions import times
from tdbs.analysis.profile import timing
from tdbs.analysis.profile.caps import peak_bytes, reset_peak
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.prepare import prepare
from tests.built_in import sample_tables


def tiny_dataset(folder: Path, *, max_length: int = 16, train_rows: int = 120, tokenizer: Path = TOKENIZER_FOLDER):
    """Prepare the first rows of the sample as a user's files."""
    (folder / "files").mkdir(parents=True)
    for split, rows in (("train", train_rows), ("validation", 40)):
        table = sample_tables()[split].slice(0, rows)
        with (folder / f"files/{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows(zip(table["text"].to_pylist(), table["label"].to_pylist(), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        options = {"tokenizer": str(tokenizer), "max_length": max_length, "out": folder / "prepared"}
        found: PreparedDataset = prepare(str(folder / "files"), **options).dataset
    return found


def time_steps_once(patch: pytest.MonkeyPatch) -> None:
    """Let a profile time each step once, not five to twelve times: for tests that do not read how exact it is."""
    patch.setattr(timing, "_MORE", 0)
    patch.setitem(timing.timed_points.__kwdefaults__, "rounds", 1)


def time_calls_once(patch: pytest.MonkeyPatch) -> None:
    """Let an evaluation time eight samples once, not 64 five times, and batches once."""
    patch.setattr(times, "SINGLE_SAMPLES", 8)
    patch.setattr(times, "_SINGLE_ROUNDS", 1)
    patch.setattr(times, "_BATCHED_ROUNDS", 1)


def memory_budget(extra_mib: int) -> int:
    """Return a budget of which so much more is usable than this process holds now."""
    device = torch.device("cpu")
    reset_peak(device)
    return int(((peak_bytes(device) or 0) + (extra_mib << 20)) / 0.9)
