"""Each kind of head on the default strategy: two updates have the losses of a plain loop over padded batches (1e-5)."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import tdbs
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.planning.strategies import resolve_strategy
from tests.families.folders import HEADS, save_family
from tests.families.reference import SHORT, rows_of, updated
from tests.families.table import FAMILIES, ROOM

NAMES = ("deberta-v2", "qwen2", "gpt2", "distilbert", "albert", "mpnet")
ROWS, BATCH = 8, 4
TAGS = ("B-X", "I-X", "O")
FLAGS = ("joy", "fear")

Sample = dict[str, Any]  # a row of the prepared dataset


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of task: the row of a file for some texts, and the loss of a padded batch."""

    row: Callable[[int, tuple[str, ...]], dict[str, Any]]
    loss: Callable[[Any, torch.Tensor, Sequence[Sample]], torch.Tensor]
    pairs: bool = False


def tagged(_number: int, texts: tuple[str, ...]) -> dict[str, Any]:
    words = texts[0].split()
    return {"tokens": words, "ner_tags": [TAGS[place % 3] for place in range(len(words))]}


def asked(_number: int, texts: tuple[str, ...]) -> dict[str, Any]:
    question, context = texts
    answer = context.split()[1]
    return {
        "question": question,
        "context": context,
        "answers": {"text": [answer], "answer_start": [context.index(answer)]},
    }


def number_loss(out: Any, _mask_BL: torch.Tensor, samples: Sequence[Sample]) -> torch.Tensor:
    return functional.mse_loss(out.logits[:, 0], torch.tensor([sample["label"] for sample in samples]))


def flag_loss(out: Any, _mask_BL: torch.Tensor, samples: Sequence[Sample]) -> torch.Tensor:
    held = [[float(flag in sample["label"]) for flag in range(len(FLAGS))] for sample in samples]
    return functional.binary_cross_entropy_with_logits(out.logits, torch.tensor(held))


def token_loss(out: Any, mask_BL: torch.Tensor, samples: Sequence[Sample]) -> torch.Tensor:
    labels_BL = torch.full(mask_BL.shape, -100)
    for row, sample in zip(labels_BL, samples, strict=True):
        row[: len(sample["label"])] = torch.tensor(list(sample["label"]))
    return functional.cross_entropy(out.logits.flatten(0, 1), labels_BL.flatten())


def span_loss(out: Any, mask_BL: torch.Tensor, samples: Sequence[Sample]) -> torch.Tensor:
    """No answer is in the padding."""
    ends = ("answer_start", out.start_logits), ("answer_end", out.end_logits)
    return sum(
        functional.cross_entropy(
            logits_BL.masked_fill(~mask_BL, -torch.inf), torch.tensor([sample[name] for sample in samples])
        )
        for name, logits_BL in ends
    ) / len(ends)


KINDS = {
    "regression": Kind(row=lambda number, texts: {"text": texts[0], "label": number / 3 + 0.1}, loss=number_loss),
    "multi_label": Kind(row=lambda number, texts: {"text": texts[0], "label": FLAGS[: number % 3]}, loss=flag_loss),
    "token_classification": Kind(row=tagged, loss=token_loss),
    "question_answering": Kind(row=asked, loss=span_loss, pairs=True),
}


def losses_of_samples(folder: Path, kind: str, updates: Sequence[tuple[Sequence[Sample], float]]) -> list[float]:
    """Return the loss of each update (samples, rate) of a plain loop over padded batches."""
    model = HEADS[kind].from_pretrained(folder).float()
    pad_id = model.config.pad_token_id
    pad_id = model.config.pad_token_id = 0 if pad_id is None else pad_id

    def loss_of(samples: Sequence[Sample]) -> torch.Tensor:
        lengths_B = torch.tensor([sample["length"] for sample in samples])
        rank_L = torch.arange(int(lengths_B.max()))
        mask_BL = rank_L < lengths_B[:, None]
        ids_BL = torch.full(mask_BL.shape, pad_id)
        ids_BL[mask_BL] = torch.tensor(np.concatenate([sample["input_ids"] for sample in samples])).long()
        given = {"input_ids": ids_BL, "attention_mask": mask_BL.long()}
        if getattr(model.config, "type_vocab_size", 0) > 1 and "segment_start" in samples[0]:
            starts_B = torch.tensor([sample["segment_start"] for sample in samples])
            given["token_type_ids"] = (mask_BL & (rank_L >= starts_B[:, None])).long()
        return KINDS[kind].loss(model(**given), mask_BL, samples)

    return updated(model, ((partial(loss_of, samples), rate) for samples, rate in updates))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_updates_of_each_kind_of_head_are_those_of_padded_batches(name, kind, tmp_path):
    folder = save_family(FAMILIES[name], tmp_path / "model", kind=kind)
    rows = rows_of(ROWS, pairs=KINDS[kind].pairs, sizes=SHORT)
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(KINDS[kind].row(*each)) + "\n" for each in enumerate(rows)))
    dataset = tdbs.prepare(str(file), tokenizer=str(folder), max_length=ROOM, out=tmp_path / "dataset").dataset
    assert dataset.manifest.task.kind == kind
    strategy = replace(resolve_strategy("tdbs", dataset.manifest.task), base_batch_size=BATCH)
    assert strategy.name == "unpadded"
    run = tdbs.train(
        dataset,
        strategy=strategy,
        model=str(folder),
        epochs=1,
        seed=3,
        lr=2e-4,
        dropout=0.0,
        precision="fp32",
        out=tmp_path / "run",
    ).run
    steps = [json.loads(line) for line in (Path(run) / "steps.jsonl").read_text().splitlines()]
    samples = dataset.to_pandas("train").sort_values("sample_id").to_dict("records")
    plan = make_feed(open_training_data(dataset), strategy, seed=3, epochs=1).plans[0]
    order = [samples[each] for each in plan.sample_ids_N]
    updates = [(order[place * BATCH :][:BATCH], step["lr"]) for place, step in enumerate(steps)]
    assert len(updates) == ROWS // BATCH
    expected = losses_of_samples(folder, kind, updates)
    assert [step["loss"] for step in steps] == pytest.approx(expected, abs=1e-5)
