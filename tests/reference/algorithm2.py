"""Algorithm 2, BucketSampler, line by line (paper 2.2). Slow oracle, never imported by tdbs.

The numbers in the comments are the paper's lines. The order of the batches is the algorithm's own: shuffling them
(App. E.1) comes afterwards and is not part of Algorithm 2. A sample is an id, looked up in `lengths`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

Bucket = tuple[int, int, int]  # (min_seq_len, max_seq_len, HWCap)
Shuffle = Callable[[list[int]], list[int]]  # returns the ids of one bucket in random order


def batch_cap(hw_cap: int, epoch: int, scaling_factor: int, base_batch_size: int) -> int:
    """Return bucket_batch_size, the largest batch of a bucket in this epoch."""
    # line 1: Function BatchCap(HWCap, epoch)
    epoch_cap: int = scaling_factor**epoch * base_batch_size  # 2
    bucket_batch_size = min(hw_cap, epoch_cap)  # 3
    return bucket_batch_size  # 4


def residual_batch_merging(
    batches: list[list[int]], residual_batches: Sequence[tuple[list[int], int]]
) -> list[list[int]]:
    """Append the residual batches, merged over neighbouring buckets, to the batches."""
    # line 5: Function Residual_Batch_Merging(batches, residual_batches)
    new_batch: list[int] = []  # 6
    for residual_batch, bucket_batch_size in residual_batches:  # 7
        if len(new_batch) >= bucket_batch_size:  # 8
            batches.append(new_batch)  # 9
            new_batch = []  # 10
        for sequence in residual_batch:  # 11
            new_batch.append(sequence)  # 12
            if len(new_batch) > 0 and len(new_batch) % bucket_batch_size == 0:  # 13
                batches.append(new_batch)  # 14
                new_batch = []  # 15
    if new_batch != []:  # 16
        batches.append(new_batch)  # 17
    return batches  # 18


def bucket_of(length: int, buckets: Sequence[Bucket]) -> int:
    """Return the number of the bucket that takes this length: half-open, the last one includes its maximum."""
    for number, (min_seq_len, max_seq_len, _) in enumerate(buckets):
        if min_seq_len <= length < max_seq_len:  # 22
            return number
    if buckets and length == buckets[-1][1]:
        return len(buckets) - 1
    raise ValueError(f"no bucket takes a sample of length {length}")


def bucket_sampler(
    samples: Iterable[int],
    lengths: Mapping[int, int] | Sequence[int],
    buckets: Sequence[Bucket],
    epoch: int,
    random_shuffle: Shuffle,
    *,
    scaling_factor: int = 2,
    base_batch_size: int = 64,
    merge_residuals: bool = True,
) -> list[list[int]]:
    """Return the batches of one epoch, as lists of sample ids.

    `random_shuffle` is called once a bucket, in the order of the buckets, empty ones included. Without
    `merge_residuals` (the paper's ablation) every residual batch that is not empty stays a batch of its own.
    """
    # line 19: buckets, a list of triplets
    filled: list[list[int]] = [[] for _ in buckets]
    for sample in samples:  # 20
        number = bucket_of(lengths[sample], buckets)  # 21, 22
        filled[number].append(sample)  # 23
    batches: list[list[int]] = []  # 24
    residual_batches: list[tuple[list[int], int]] = []  # 25
    for (_, _, hw_cap), unshuffled in zip(buckets, filled, strict=True):  # 26
        bucket = random_shuffle(list(unshuffled))  # 27
        bucket_batch_size = batch_cap(hw_cap, epoch, scaling_factor, base_batch_size)  # 28
        index = 0  # 29
        while index < (len(bucket) // bucket_batch_size) * bucket_batch_size:  # 30
            batches.append(bucket[index : index + bucket_batch_size])  # 31
            index = index + bucket_batch_size  # 32
        residual_batches.append((bucket[index:], bucket_batch_size))  # 33
    if merge_residuals:
        batches = residual_batch_merging(batches, residual_batches)  # 34
    else:
        for residual_batch, _ in residual_batches:
            if residual_batch != []:
                batches.append(residual_batch)
    return batches  # 35
