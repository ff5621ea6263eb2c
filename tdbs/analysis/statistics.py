"""Statistics of a split's lengths before training (App. E.2), and the exact padding of random batches."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tdbs.pipeline.lengths import average_length, expected_random_padding, padding_fraction_estimate, percentile_length
from tdbs.pipeline.manifest import SplitInfo


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitStatistics:
    """Lengths in tokens, special ones included, after truncation."""

    rows: int
    tokens: int
    average_length: float  # L_avg
    percentile_length: int  # L_K
    padding_fraction_estimate: float  # (L_K - L_avg) / L_K: conservative
    expected_random_padding: float  # exact, of random batches of `batch_size`
    droppable_fraction: float  # droppable tokens / tokens
    source_rows: int  # fewer than rows if a question has several windows
    target_tokens: int = 0  # seq2seq
    expected_target_padding: float | None = None  # exact, of the targets of random batches; None: no sequences
    skipped: int = 0  # rows of the source that were left out
    sequences: int | None = None  # of all samples, if a sample has several: then lengths and padding are theirs

    def record(self) -> dict[str, Any]:
        """Return the fields as JSON values; sequences only if a sample has several."""
        found = asdict(self)
        if self.sequences is None:
            del found["sequences"]
        return found


def split_statistics(info: SplitInfo, *, percent: float = 87.5, batch_size: int = 64) -> SplitStatistics:
    """Return the statistics of a split from its histograms alone: those of what the model reads at once.

    The padding of random batches is exact if samples are one sequence. If they are several, it is that of batches with
    the mean number of sequences.
    """
    lengths_L1 = info.sequences_L1
    sequences = int(lengths_L1.sum())
    targets_L1 = np.array(info.target_histogram, dtype=np.int64)
    return SplitStatistics(
        rows=info.rows,
        tokens=info.tokens,
        average_length=average_length(lengths_L1),
        percentile_length=percentile_length(lengths_L1, percent),
        padding_fraction_estimate=padding_fraction_estimate(lengths_L1, percent),
        expected_random_padding=expected_random_padding(lengths_L1, batch_size * info.sequences_a_sample),
        droppable_fraction=info.droppable_tokens / info.tokens if info.tokens else 0.0,
        source_rows=info.source_rows,
        skipped=info.skipped,
        target_tokens=int(targets_L1 @ np.arange(len(targets_L1))),
        expected_target_padding=expected_random_padding(targets_L1, batch_size) if len(targets_L1) else None,
        sequences=sequences if info.sequence_histogram else None,
    )
