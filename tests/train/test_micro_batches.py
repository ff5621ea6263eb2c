"""A device that runs out of memory makes a run slower, never another: same updates, caps halved and recorded."""

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification, BertForTokenClassification

from tdbs.errors import TrainingError
from tdbs.pipeline.lengths import bucket_edges, bucket_name
from tdbs.train.batches import Batch, epoch_batches
from tdbs.train.micro_batches import MemoryCaps, split_batch
from tdbs.train.planning.plan import plan_epoch
from tdbs.train.rows.models import use_sequences
from tdbs.train.rows.sequences import laid_out
from tdbs.train.step import forward
from tests.train.ragged import MAX_LENGTH, lengths_of, random_rows, split_of, strategy_of, words_of
from tests.train.rules import UNTYPED

CPU = torch.device("cpu")
SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def batch_of(name: str, *, base: int = 13) -> Batch:
    samples = random_rows(40, 2)
    strategy = strategy_of(name, base_batch_size=base)
    plan = plan_epoch(lengths_of(samples), words_of(samples), strategy, max_length=MAX_LENGTH, seed=0, epoch=0)
    split = split_of(samples)
    batch = next(epoch_batches(split, plan, None, pad_id=0))
    return Batch(**{**{n: getattr(batch, n) for n in batch.__slots__}, "input_ids_RW": batch.input_ids_RW % 50})


@pytest.mark.parametrize("cap", [1, 3, 5, 12])
@pytest.mark.parametrize("name", ["random", "packed", "unpadded"])
def test_parts_are_the_batch(name, cap):
    """Every sample once, in order, with its own logits; no part above the cap but a packed row, which is whole.

    The layout that was made ahead for the batch is not its parts' own.
    """
    batch = laid_out(batch_of(name))
    assert (batch.layout is None) == (name == "random")
    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(vocab_size=50, **SMALL)).eval()
    use_sequences(model, "eager")
    whole = forward(model, batch, "classification", UNTYPED, device=CPU)
    torch.testing.assert_close(
        whole, forward(model, batch_of(name), "classification", UNTYPED, device=CPU), rtol=0, atol=0
    )
    parts = split_batch(batch, cap, "classification")
    assert np.concatenate([part.sample_ids_B for part in parts]).tolist() == batch.sample_ids_B.tolist()
    if name != "packed":
        assert max(len(part.sample_ids_B) for part in parts) <= cap
    elif cap == 1:
        assert all(len(part.input_ids_RW) == 1 for part in parts)
    found = torch.cat([forward(model, part, "classification", UNTYPED, device=CPU) for part in parts])
    torch.testing.assert_close(found, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["random", "unpadded"])
def test_labels_of_tokens_are_cut_with_their_samples(name):
    batch = batch_of(name)
    width = batch.lengths_B.max()
    labels = np.where(np.arange(width) < batch.lengths_B[:, None], np.arange(width), -100)
    batch = Batch(**{**{n: getattr(batch, n) for n in batch.__slots__}, "labels": labels})
    torch.manual_seed(0)
    model = BertForTokenClassification(BertConfig(vocab_size=50, num_labels=64, **SMALL)).eval()
    use_sequences(model, "eager")
    for part in split_batch(batch, 4, "token_classification"):
        logits = forward(model, part, "token_classification", UNTYPED, device=CPU)
        assert logits.shape[:2] == part.labels.shape
        for row, length in zip(part.labels, part.lengths_B, strict=True):
            assert row[:length].tolist() == list(range(length))


def caps_of() -> MemoryCaps:
    return MemoryCaps(edges_E=bucket_edges(MAX_LENGTH, 5), kind="classification")


def test_a_cap_holds_for_longer_buckets_too():
    caps = caps_of()
    batch = batch_of("random")
    caps.halve([batch], step=7)
    longest = int(batch.lengths_B.max())
    assert [(h.bucket, h.cap, h.step) for h in caps.halved] == [(bucket_name(caps.edges_E, longest // 5), 6, 7)]
    assert [len(part.sample_ids_B) for part in caps.within([batch])] == [5, 4, 4]
    caps.halve([batch], step=8)
    assert caps.halved[-1].cap == 3 - 1  # half of the largest part, which has 5


def test_one_sample_that_does_not_fit_ends_the_run():
    caps = caps_of()
    batch = batch_of("random", base=1)
    with pytest.raises(TrainingError) as ended:
        caps.halve([batch], step=0)
    assert ended.value.message.startswith("One sample of bucket ")
    assert ended.value.message.endswith(" does not fit the device's memory.")
    assert ended.value.next_step == "Pass a smaller --model, or prepare with a smaller --max-length."
