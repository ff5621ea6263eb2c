"""What it takes to compare samples, in memory or spilled: decided by counts alone, before a sample is read.

The bytes are those of measured peaks, rounded up (benchmarks/results/audit_memory_cpu_2026-11-30.md).
"""

from dataclasses import dataclass

from tdbs.pipeline.manifest import Manifest

_BASE = 320 << 20  # Python, the libraries, the tokenizer, a shard, and blocks on their way
_PER_ROW, _PER_TEXT, _PER_TOKEN = 200, 150, 18  # in memory
_SPILLED_PER_ROW, _SPILLED_PER_TEXT = 60, 60  # while all samples are sorted; tokens take none
_DROPPED_PER_ROW = 60  # more: which rows go, and what the allocator keeps of what was freed


@dataclass(frozen=True, kw_only=True, slots=True)
class Amount:
    """How much is compared."""

    rows: int
    texts: int  # two of a pair, more of a query with its texts
    tokens: int  # of the samples, and of targets that are texts

    @property
    def bytes_in_memory(self) -> int:
        """Most memory of the process if nothing is spilled."""
        return _BASE + _PER_ROW * self.rows + _PER_TEXT * self.texts + _PER_TOKEN * self.tokens

    @property
    def bytes_spilled(self) -> int:
        """Most memory of the process if all arrays that outlive a step are spilled."""
        return _BASE + _SPILLED_PER_ROW * self.rows + _SPILLED_PER_TEXT * self.texts

    @property
    def bytes_dropping(self) -> int:
        """Most memory of the process that chooses which rows `prepare` leaves out, if all is spilled."""
        return self.bytes_spilled + _DROPPED_PER_ROW * self.rows


def amount_of(manifest: Manifest) -> Amount:
    """Return how much a dataset has, of all its splits."""
    infos = manifest.splits.values()
    sequences = sum(int(info.sequences_L1.sum()) for info in infos)
    of_targets = sum(tokens * count for info in infos for tokens, count in enumerate(info.target_histogram))
    return Amount(
        rows=sum(info.rows for info in infos),
        texts=2 * sequences if manifest.task.is_pair else sequences,
        tokens=sum(info.tokens for info in infos) + of_targets,
    )
