"""What a split's lengths tell before any training: the statistics of App. E.2 and the exact random padding."""

from dataclasses import dataclass

import numpy as np

from tdbs.pipeline.lengths import (
    average_length,
    expected_random_padding,
    padding_fraction_estimate,
    percentile_length,
)
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
    source_rows: int  # fewer than rows where a question has several windows
    target_tokens: int = 0  # seq2seq
    expected_target_padding: float | None = None  # exact, of the targets of random batches; None: no sequences


def split_statistics(info: SplitInfo, *, percent: float = 87.5, batch_size: int = 64) -> SplitStatistics:
    """Return the statistics of a split from its histograms alone."""
    targets_L1 = np.array(info.target_histogram, dtype=np.int64)
    return SplitStatistics(
        rows=info.rows,
        tokens=info.tokens,
        average_length=average_length(info.lengths_L1),
        percentile_length=percentile_length(info.lengths_L1, percent),
        padding_fraction_estimate=padding_fraction_estimate(info.lengths_L1, percent),
        expected_random_padding=expected_random_padding(info.lengths_L1, batch_size),
        droppable_fraction=info.droppable_tokens / info.tokens if info.tokens else 0.0,
        source_rows=info.source_rows,
        target_tokens=int(targets_L1 @ np.arange(len(targets_L1))),
        expected_target_padding=expected_random_padding(targets_L1, batch_size) if len(targets_L1) else None,
    )
