"""Find the side on which a model can have padding: a probe of the loaded model decides.

Families differ in what they do with padding: most ignore it, XLNet reads the last token, Funnel pools over it. A few
short samples must give the same logits alone, and together with padding (docs/decisions.md, "Every model is probed").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from tdbs import rng
from tdbs.arrays import IntArray, offsets_of
from tdbs.data.tasks import TaskKind
from tdbs.errors import ModelError
from tdbs.pipeline.tokens.rules import Template
from tdbs.train.batches import Batch
from tdbs.train.models.heads import HEADS
from tdbs.train.models.inputs import InputRules, SampleFormat
from tdbs.train.planning.model_fit import padding_changes
from tdbs.train.step import forward
from tdbs.train.targets import padded

# Shapes: B samples, K their tokens, V ordinary tokens of the vocabulary.

# tokens of each sample's texts: odd and even, so that pooling over pairs reaches padding, and more lengths than there
# are length groups of a row, so that a group has padding
_WORDS = (13, 7, 10, 12, 8)
_TARGET = 3  # tokens of a target (seq2seq)
_TOLERANCE = 1e-3  # of the spread of logits over samples: a wrong side costs about all of it
_ROUNDING, _ROUNDING_IN_HALF = 1e-5, 3e-2  # of the largest logit


@dataclass(frozen=True, kw_only=True, slots=True)
class _Probe:
    """Some samples of random tokens, with special tokens where the tokenizer puts them."""

    tokens_K: IntArray
    lengths_B: IntArray
    segment_starts_B: IntArray | None

    def batch(self, chosen: Sequence[int], kind: TaskKind, *, in_rows: bool = False) -> Batch:
        """Return some of the samples as a batch: a row each, or all in one."""
        ends_B1 = offsets_of(self.lengths_B)
        tokens = np.concatenate([self.tokens_K[ends_B1[each] : ends_B1[each + 1]] for each in chosen])
        lengths_B = self.lengths_B[list(chosen)]
        return Batch(
            sample_ids_B=np.array(chosen),
            input_ids_RW=tokens[None] if in_rows else padded(tokens, lengths_B, int(lengths_B.max()), 0),
            lengths_B=lengths_B,
            segment_starts_B=None if self.segment_starts_B is None else self.segment_starts_B[list(chosen)],
            labels=np.full((len(chosen), _TARGET), self.tokens_K[0]) if kind == "seq2seq" else None,
            execution="unpadded" if in_rows else "padded",
            starts_B=np.cumsum(lengths_B) - lengths_B if in_rows else None,
        )


def with_padding_side(
    model: Any, name: str, samples: SampleFormat, rules: InputRules, *, in_rows: bool, device: torch.device
) -> InputRules:
    """Return the rules with the side on which padding leaves the model's logits as they are; right, if both do.

    Raises ModelError if neither does, or if rows of several samples (`in_rows`) change them.
    """
    kind = samples.task.kind
    # without special tokens, which some heads count
    words = np.setdiff1d(np.arange(model.config.vocab_size), samples.info.special_ids)
    probe = _probe(samples.template, words, samples.max_length)
    everything = range(len(probe.lengths_B))

    def logits(rules: InputRules, chosen: Sequence[int], *, in_rows: bool = False) -> list[torch.Tensor]:
        batch = probe.batch(chosen, kind, in_rows=in_rows)
        found = forward(model, batch, kind, rules, device=device).float().cpu()
        if kind == "seq2seq" and in_rows:
            found = found.view(len(chosen), _TARGET, -1)
        lengths = batch.lengths_B.tolist()
        return [each[:length] if HEADS[kind].of_tokens else each for each, length in zip(found, lengths, strict=True)]

    was_training = model.training
    model.eval()
    # in 32 bits, before accelerate lowers the precision; some kernels do not have 32
    in_half = "flash" in model.config._attn_implementation
    with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=in_half):
        alone = [logits(rules, [each])[0] for each in everything]
        most = _allowed(alone, in_half=in_half)
        # heads with logits for each token work on either side
        sides = [rules] if HEADS[kind].of_tokens else [rules, replace(rules, pads_left=True)]
        found = next((side for side in sides if _agree(alone, logits(side, everything), most)), None)
        shares_rows = not in_rows or _agree(alone, logits(rules, everything, in_rows=True), most)
    model.train(was_training)
    family = model.config.model_type
    if found is None:
        raise padding_changes(name, family)
    if not shares_rows:
        raise ModelError(
            f"{name} ({family}) gives other outputs for texts that share a row.",
            next_step="Pass --execution padded, or --strategy random.",
        )
    return found


def _allowed(alone: Sequence[torch.Tensor], *, in_half: bool) -> float:
    """Return how far logits may differ; infinite if they are the same for all samples, or not numbers."""
    first, *others = (each.reshape(-1, each.shape[-1])[0] for each in alone)
    spread = max(float((other - first).abs().max()) for other in others)
    if not spread > 0 or not all(bool(each.isfinite().all()) for each in alone):
        return math.inf
    size = max(float(each.abs().max()) for each in alone)
    return max(_TOLERANCE * spread, (_ROUNDING_IN_HALF if in_half else _ROUNDING) * size)


def _agree(expected: Sequence[torch.Tensor], found: Sequence[torch.Tensor], most: float) -> bool:
    """Return whether logits differ by no more than `most`; true if that is infinite."""
    differences = (float((one - other).abs().max()) for one, other in zip(expected, found, strict=True))
    return math.isinf(most) or max(differences) <= most


def _probe(template: Template | None, words_V: IntArray, max_length: int) -> _Probe:
    """Return samples of different lengths, all of them short if `max_length` is."""
    texts = 1 if template is None else len(template.text_types)
    special_ids = ((),) * (texts + 1) if template is None else template.special_ids
    room = max_length - sum(map(len, special_ids))
    chance = rng.stream(rng.RandomPurpose.SYNTHETIC_BATCH, seed=1)
    samples, starts = [], []
    for number, words in enumerate(_WORDS):
        shares = np.array_split(np.arange(min(words, max(room - number, texts))), texts)
        parts: list[IntArray] = [np.array(special_ids[0], dtype=np.int64)]
        for share, ids in zip(shares, special_ids[1:], strict=True):
            starts.append(sum(map(len, parts)))
            parts += [chance.choice(words_V, len(share)), np.array(ids, dtype=np.int64)]
        samples.append(np.concatenate(parts))
    return _Probe(
        tokens_K=np.concatenate(samples),
        lengths_B=np.array([len(sample) for sample in samples]),
        segment_starts_B=np.array(starts[1::2]) if texts == 2 else None,
    )
