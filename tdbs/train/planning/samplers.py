"""Orders and batches of other methods: packing by best fit, and the samplers of transformers' Trainer.

Packing is best fit over the histogram of lengths (Krell et al. 2021, "Efficient Sequence Packing"): samples are placed
from long to short, each into the row with the least room that still takes it. All samples of one length that go into
rows of equal room are placed at once, so the loop is over (length, room), never over samples.

The Trainer's samplers are called as they are: tdbs is compared with their own code. They alone need torch and
transformers in this folder, and import them if `length_grouped` or `batch_rebalance` is requested. Seeds come from
`tdbs/rng.py`.
"""

import numpy as np

from tdbs.arrays import IntArray
from tdbs.errors import ConfigError

# Shapes: N samples.

REBALANCED_PARTS = 4  # batches of similar work that `batch_rebalance` makes of each step


def pack_rows(lengths_N: IntArray, *, width: int) -> IntArray:
    """Return the row of each sample (N), rows counted from 0; no row holds more than `width` tokens.

    Which of the samples of one length comes first follows their order: shuffle them first.
    """
    rows_N = np.empty(len(lengths_N), dtype=np.int64)
    longest_first = np.argsort(-lengths_N, kind="stable")
    counts = np.bincount(lengths_N, minlength=width + 1)
    rows_of_room: list[list[int]] = [[] for _ in range(width + 1)]
    rows = placed = 0
    for length in range(width, -1, -1):
        waiting = int(counts[length])
        while waiting:
            room = next((room for room in range(length, width + 1) if rows_of_room[room]), None)
            if room is None:  # a new row
                room = width
                rows_of_room[room].append(rows)
                rows += 1
            # Once a sample is in a row, that row has the least room: it takes all it can before the next row does.
            each = room // length if length else waiting
            filled = rows_of_room[room][: max(waiting // each, 1)]
            del rows_of_room[room][: len(filled)]
            each = min(each, waiting)
            taken = len(filled) * each
            rows_N[longest_first[placed : placed + taken]] = np.repeat(filled, each)
            rows_of_room[room - each * length] += filled
            placed += taken
            waiting -= taken
    return rows_N


def length_grouped_order(lengths_N: IntArray, batch_size: int, *, seed: int) -> IntArray:
    """Return the order of `group_by_length` (LengthGroupedSampler); each `batch_size` of it share a batch (N)."""
    import torch
    from transformers.trainer_pt_utils import LengthGroupedSampler

    generator = torch.Generator().manual_seed(seed)
    return np.array(list(LengthGroupedSampler(batch_size, lengths=lengths_N.tolist(), generator=generator)))


def has_rebalancing() -> bool:
    """Return whether the installed transformers has the sampler of `batch_rebalance`; older versions lack it."""
    try:
        from transformers.trainer_pt_utils import BatchRebalanceSampler  # noqa: F401
    except ImportError:
        return False
    return True


def rebalanced_batches(
    lengths_N: IntArray, batch_size: int, *, parts: int, seed: int
) -> tuple[list[IntArray], list[int]]:
    """Return the batches of `batch_rebalance` (BatchRebalanceSampler), and how many of them each step has: `parts`.

    The sampler repeats samples if the last step has fewer than `parts`; here they are left out again.
    Raises ConfigError if the installed transformers has no such sampler.
    """
    try:
        from transformers.trainer_pt_utils import BatchRebalanceSampler
    except ImportError as error:
        raise ConfigError(
            "batch_rebalance is transformers' own sampler, and the installed version does not have it.",
            next_step="Install a newer transformers: pip install -U transformers.",
        ) from error
    sampler = BatchRebalanceSampler(
        lengths=lengths_N.tolist(),
        effective_batch_size=batch_size,
        dp_size=1,
        grad_accum=parts,
        seed=seed,
        drop_last=False,
    )
    batches = [np.array(batch, dtype=np.int64) for batch in sampler]
    repeated = len(lengths_N) % batch_size
    if 0 < repeated < parts:
        batches[-parts:] = _without_repeats(batches[-parts:], batches[:-parts])
    steps = -(-len(lengths_N) // batch_size)
    sizes = [parts] * (steps - 1)
    return batches, [*sizes, len(batches) - sum(sizes)]


def _without_repeats(batches: list[IntArray], before: list[IntArray]) -> list[IntArray]:
    """Return batches of one sample without those that came before, in earlier batches or among themselves."""
    seen = set(np.concatenate(before).tolist()) if before else set()
    kept = []
    for batch in batches:
        if (sample := int(batch[0])) not in seen:
            kept.append(batch)
            seen.add(sample)
    return kept
