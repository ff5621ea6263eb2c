"""Each family embeds and ranks: losses, scores and the saved run are those of transformers with its folder (1e-4)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional

import tdbs
from tdbs import model_families
from tdbs.errors import ModelError
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.planning.strategies import resolve_strategy
from tests.families.folders import save_family
from tests.families.reference import LONG, updated
from tests.families.refused import refusals
from tests.families.table import FAMILIES, ROOM, WORDS

WITHIN = 1e-4
BATCH, RATE = 4, 2e-4
WRITERS = ("t5", "bart")
QUICK = ("bert", "roberta", "modernbert", "distilbert", "deberta-v2", "xlnet", "gpt2", "qwen2")
NOT_EXACT = ("funnel",)
NAMES = [
    name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES if name not in NOT_EXACT
]
EMBEDDERS = [each for each in NAMES if (each if isinstance(each, str) else each.values[0]) not in WRITERS]
MODELS = {"embedding": transformers.AutoModel, "ranking": transformers.AutoModelForSequenceClassification}


class Place:
    """A family's folder, rows of three texts, and a dataset prepared with both."""

    def __init__(self, name: str, place: Path, task: str) -> None:
        chance = np.random.default_rng(1)
        self.rows = {
            split: [[" ".join(chance.choice(WORDS, size)) for size in chance.choice(LONG[:6], 3)] for _ in range(count)]
            for split, count in (("train", 2 * BATCH), ("held", 6))
        }
        for split, rows in self.rows.items():
            lines = [dict(zip(("query", "positive", "negative"), row, strict=True)) for row in rows]
            (place / f"{split}.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        self.folder = save_family(FAMILIES[name], place / "model", kind="regression")
        self.task, self.place = task, place
        self.dataset = tdbs.prepare(
            str(place / "train.jsonl"),
            validation=str(place / "held.jsonl"),
            columns="query,positive,negative",
            task=task,
            tokenizer=str(self.folder),
            max_length=ROOM,
            out=place / "dataset",
        ).dataset
        family = model_families.family_of(transformers.AutoConfig.from_pretrained(self.folder).model_type)
        self.reads_last = family.rows is not None and family.rows.reads == "last"

    def train(self, strategy: str) -> tdbs.train:
        return tdbs.train(
            self.dataset,
            strategy=strategy,
            batch_size=BATCH,
            model=str(self.folder),
            out=self.place / strategy,
            epochs=1,
            seed=3,
            lr=RATE,
            dropout=0.0,
            precision="fp32",
            progress=False,
        )

    def opened(self, folder: Path) -> tuple:
        """Return model and tokenizer as transformers opens them; a decoder without a pad token has some other one."""
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = MODELS[self.task].from_pretrained(folder).eval().float()
        if model.config.pad_token_id is None:
            model.config.pad_token_id = self.dataset.manifest.tokenizer.pad_id
        return model, tokenizer

    def outputs(self, model, tokenizer, row: list[str]) -> torch.Tensor:
        """Return the embeddings of a row's texts, or the logits of its candidates: each in a call of its own."""
        asked = [[text] for text in row] if self.task == "embedding" else [[row[0], text] for text in row[1:]]
        found = []
        for texts in asked:
            inputs = tokenizer(*texts, truncation=True, max_length=ROOM, return_tensors="pt")
            if self.task == "ranking":
                found.append(model(**inputs).logits[0])
                continue
            [states] = model(**inputs).last_hidden_state
            found.append(states[-1] if self.reads_last else states.mean(dim=0))
        return torch.stack(found)

    def loss(self, model, tokenizer, rows: list[list[str]]) -> torch.Tensor:
        """Return the loss of an update: in-batch negatives, or binary cross-entropy."""
        outputs = torch.stack([self.outputs(model, tokenizer, row) for row in rows])
        if self.task == "ranking":
            wanted = torch.tensor([[1.0, 0.0]] * len(rows))
            return functional.binary_cross_entropy_with_logits(outputs[..., 0], wanted)
        normal = functional.normalize(outputs, dim=-1)
        candidates = torch.cat([normal[:, 1], normal[:, 2]])
        return functional.cross_entropy(normal[:, 0] @ candidates.T / 0.05, torch.arange(len(rows)))

    def mrr(self, folder: Path) -> float:
        """Return the mean reciprocal rank of the held-out positives by the model of a folder."""
        model, tokenizer = self.opened(folder)
        with torch.inference_mode():
            outputs = torch.stack([self.outputs(model, tokenizer, row) for row in self.rows["held"]])
        if self.task == "ranking":
            assert float(outputs.std()) > 0.01, "the texts look alike to the model"
            return float((1 / (1 + (outputs[:, 1, 0] > outputs[:, 0, 0]).float())).mean())
        normal = functional.normalize(outputs, dim=-1)
        scores = normal[:, 0] @ normal[:, 1:].flatten(0, 1).T
        own = scores[torch.arange(len(scores)), 2 * torch.arange(len(scores))]
        ranks = 1 + (scores > own[:, None]).sum(dim=1)
        return float(torch.where(ranks <= 10, 1 / ranks, 0.0).mean())


def check(made: Place, strategy: str) -> None:
    result = made.train(strategy)
    run = Path(result.run)
    resolved = resolve_strategy(strategy, made.dataset.manifest.task, {"base_batch_size": BATCH})
    steps = [json.loads(line) for line in (run / "steps.jsonl").read_text().splitlines()]
    plan = make_feed(open_training_data(made.dataset), resolved, seed=3, epochs=1).plans[0]
    order = [made.rows["train"][sample] for sample in plan.sample_ids_N.tolist()]
    model, tokenizer = made.opened(made.folder)
    losses = updated(
        model,
        (
            (lambda rows=order[place : place + BATCH]: made.loss(model, tokenizer, rows), step["lr"])
            for place, step in zip((0, BATCH), steps, strict=True)
        ),
    )
    assert [step["loss"] for step in steps] == pytest.approx(losses, abs=WITHIN)
    assert result.score == pytest.approx(made.mrr(run / "model"))
    assert tdbs.evaluate(run).score == result.score


@pytest.mark.parametrize("name", EMBEDDERS)
def test_embeddings_learn_as_in_a_loop_of_one_text_a_call(name, tmp_path):
    check(Place(name, tmp_path, "embedding"), "tdbs")


@pytest.mark.parametrize("name", NAMES)
def test_rerankers_learn_as_in_a_loop_of_one_pair_a_call(name, tmp_path):
    """Encoder-decoders too: their head reads the end token of each pair."""
    check(Place(name, tmp_path, "ranking"), "tdbs")


@pytest.mark.parametrize("name", WRITERS)
def test_an_encoder_decoder_does_not_embed(name, tmp_path):
    """Training, and every dry run, says so before anything is written."""
    made = Place(name, tmp_path, "embedding")
    model = str(made.folder)
    assert refusals(
        ModelError,
        lambda: made.train("tdbs"),
        lambda: tdbs.estimate_speedup(made.dataset, model=model),
        lambda: tdbs.measure_profile(made.dataset, model=model, progress=False),
    ) == {
        f"The model {model} cannot embed texts: it is a {name}, an encoder-decoder. "
        "Pass --model with an encoder such as BERT, or with a decoder alone."
    }
    assert not (tmp_path / "tdbs").exists()
