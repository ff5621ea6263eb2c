"""Models of one output as sentence-transformers reads them: the activation that their files name, and ranks by it."""

import json

import pytest
import torch

from tdbs.errors import TdbsError
from tdbs.inference.described import ACTIVATIONS
from tdbs.inference.predict import predict
from tdbs.inference.predictor import Predictor
from tests.inference.conftest import read_jsonl, write_csv, write_jsonl
from tests.inference.models import save_checkpoint

QUERY = "a fine film"
TEXTS = ["it is a fine film", "no", "so it goes, and goes, and goes on", "the only one", "what is it?"]
OPEN = (
    "has one output and no problem_type in its config.json: it is read as regression, and its numbers are printed "
    "unchanged, without a sigmoid."
)
SIGMOIDS = "names no activation: scores are sigmoids, as those of a CrossEncoder."


@pytest.fixture(scope="session")
def scorer(tmp_path_factory):
    """Return a function that saves a model of one output whose files name an activation, or none."""
    made = {}

    def saved(activation, problem_type=None):
        key = activation, problem_type
        if key not in made:
            named = {} if activation is None else {"sentence_transformers": {"activation_fn": activation}}
            folder = tmp_path_factory.mktemp("scorer") / "model"
            made[key] = save_checkpoint(folder, "regression", problem_type=problem_type, **named)
        return made[key]

    return saved


@pytest.fixture
def ranked(tmp_path):
    return write_jsonl(tmp_path / "ranked.jsonl", [{"query": QUERY, "candidates": TEXTS}])


@pytest.fixture
def pairs(tmp_path):
    return write_csv(tmp_path / "pairs.csv", ["query", "text"], [[QUERY, text] for text in TEXTS])


def cross_encoder(folder):
    return pytest.importorskip("sentence_transformers").CrossEncoder(str(folder), device="cpu")


def scores_of(theirs):
    return theirs.predict([(QUERY, text) for text in TEXTS]).tolist()


def ranks_of(theirs):
    """Return the rank of each text by CrossEncoder.rank, which lists the best first."""
    order = [found["corpus_id"] for found in theirs.rank(QUERY, TEXTS)]
    return [order.index(place) + 1 for place in range(len(TEXTS))]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_numbers_of_pairs_are_those_of_a_cross_encoder(name, scorer, pairs, tmp_path):
    """Every activation of the table; a Sigmoid makes a reranker, whose column is the score."""
    folder = scorer(f"torch.nn.modules.activation.{name}" if name != "Identity" else "torch.nn.modules.linear.Identity")
    notes = []
    predict(folder, pairs, text="query", pair="text", out=tmp_path / "out.jsonl", precision="fp32", note=notes.append)
    column = "score" if name == "Sigmoid" else "prediction"
    found = [row[column] for row in read_jsonl(tmp_path / "out.jsonl")]
    assert found == pytest.approx(scores_of(cross_encoder(folder)), abs=1e-5)
    assert notes == []


@pytest.mark.parametrize(
    ("activation", "notes"),
    [
        ("torch.nn.modules.linear.Identity", []),
        ("torch.nn.Identity", []),
        ("torch.nn.modules.activation.Tanh", []),
        ("torch.nn.modules.activation.Sigmoid", []),
        (None, [SIGMOIDS]),
    ],
)
def test_a_model_of_one_output_ranks_as_a_cross_encoder(activation, notes, scorer, ranked, tmp_path):
    """As public rerankers are saved; in a file, in batches of one, and in memory."""
    folder = scorer(activation)
    theirs = cross_encoder(folder)
    options = {"columns": "query,candidates", "precision": "fp32"}
    for batch_size in (None, 1):
        told = []
        predict(
            folder,
            ranked,
            out=tmp_path / "out.jsonl",
            batch_size=batch_size,
            note=told.append,
            overwrite=True,
            **options,
        )
        (row,) = read_jsonl(tmp_path / "out.jsonl")
        assert row["scores"] == pytest.approx(scores_of(theirs), abs=1e-5)
        assert row["ranks"] == ranks_of(theirs)
        assert told == [f"{folder} {note}" for note in notes]
    predictor = Predictor(folder, precision="fp32")
    found = predictor((QUERY, TEXTS))
    assert found.scores == pytest.approx(scores_of(theirs), abs=1e-5)
    assert found.ranks == ranks_of(theirs)
    (listed,) = predictor([(QUERY, TEXTS)])
    assert listed.scores == pytest.approx(found.scores, abs=1e-6)


def test_the_key_of_older_files_names_the_activation_too(tmp_path, ranked):
    """Rerankers of before sentence-transformers 4, such as those for MS MARCO."""
    old = {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}
    folder = save_checkpoint(tmp_path / "model", "regression", problem_type=None, **old)
    predict(folder, ranked, columns="query,candidates", out=tmp_path / "out.jsonl", precision="fp32")
    (row,) = read_jsonl(tmp_path / "out.jsonl")
    assert row["scores"] == pytest.approx(scores_of(cross_encoder(folder)), abs=1e-5)
    assert not all(0 <= score <= 1 for score in row["scores"]), "raw scores"


def test_a_folder_that_sentence_transformers_saved_ranks_as_it_did(scorer, ranked, tmp_path):
    """The settings of its own file come before those of the configuration."""
    cross_encoder(scorer(None)).save_pretrained(str(tmp_path / "saved"))
    settings = tmp_path / "saved/config_sentence_transformers.json"
    known = json.loads(settings.read_text())
    for name in ("activation.Sigmoid", "activation.Tanh", "linear.Identity"):
        settings.write_text(json.dumps({**known, "activation_fn": f"torch.nn.modules.{name}"}))
        out = tmp_path / f"{name}.jsonl"
        predict(tmp_path / "saved", ranked, columns="query,candidates", out=out, precision="fp32")
        assert read_jsonl(out)[0]["scores"] == pytest.approx(scores_of(cross_encoder(tmp_path / "saved")), abs=1e-5)


@pytest.mark.parametrize("batch_size", [None, 1])
def test_without_columns_a_model_of_one_output_is_regression_as_before(batch_size, scorer, pairs, tmp_path):
    """The raw logit, also after the model has ranked; what is not named is not applied, and a note says so."""
    identity = scorer("torch.nn.modules.linear.Identity")
    logits = scores_of(cross_encoder(identity))
    for activation in (None, "torch.nn.modules.linear.Identity"):
        folder, told = scorer(activation), []
        options = {"text": "query", "pair": "text", "precision": "fp32", "batch_size": batch_size}
        predict(folder, pairs, out=tmp_path / "out.jsonl", note=told.append, overwrite=True, **options)
        rows = read_jsonl(tmp_path / "out.jsonl")
        assert [row["prediction"] for row in rows] == pytest.approx(logits, abs=1e-5)
        assert told == ([f"{folder} {OPEN}"] if activation is None else [])
        predictor = Predictor(folder, precision="fp32")
        predictor((QUERY, TEXTS))
        assert [predictor((QUERY, text)).prediction for text in TEXTS] == pytest.approx(logits, abs=1e-5)
        assert isinstance(predictor(QUERY).prediction, float)
    assert all(torch.isfinite(torch.tensor(logits)))


def test_a_regression_does_not_rank(scorer, ranked):
    """One that its configuration says to be one; runs have it there."""
    folder = scorer("torch.nn.modules.linear.Identity", "regression")
    with pytest.raises(TdbsError) as caught:
        predict(folder, ranked, columns="query,candidates")
    assert caught.value.message == "--columns is for embeddings and rerankers; this model is for regression."
    assert caught.value.next_step == "Leave it out."
    with pytest.raises(TdbsError) as caught:
        Predictor(folder)((QUERY, TEXTS))
    assert caught.value.message == "The text is a tuple of str and list; this model takes one text or a pair of texts."


def test_a_model_that_may_rank_says_what_it_takes(scorer):
    with pytest.raises(TdbsError) as caught:
        Predictor(scorer(None))((QUERY, [1]))
    assert caught.value.message == (
        "The text is a tuple of str and list; this model takes one text, a pair of texts, or a query and a list of "
        "texts."
    )
    assert caught.value.next_step == (
        'Pass "a text", ("a", "b") or ("query", ["a text", "another"]), or a list of one kind.'
    )


@pytest.mark.parametrize(
    ("named", "shown"),
    [
        ("torch.nn.modules.activation.Softmax", "Softmax"),
        ("torch.sigmoid", "sigmoid"),
        ("mine.Sigmoid", "mine.Sigmoid"),
        ("os.system", "os.system"),
    ],
)
def test_an_activation_that_is_not_known_is_refused(named, shown, scorer, pairs, ranked, tmp_path):
    """Nothing is imported by its name; the next step works."""
    folder = scorer(named)
    for options in ({"columns": "query,candidates"}, {"text": "query", "pair": "text"}):
        with pytest.raises(TdbsError) as caught:
            predict(folder, ranked if "columns" in options else pairs, **options)
        assert caught.value.message.startswith("The model ")
        assert caught.value.message.endswith(f" names {shown}, an activation that tdbs does not apply.")
        assert caught.value.next_step == (
            "For its raw numbers write torch.nn.Identity as activation_fn in its configuration."
        )
    config = json.loads((folder / "config.json").read_text())
    changed = save_checkpoint(tmp_path / "model", "regression")
    config["sentence_transformers"]["activation_fn"] = "torch.nn.Identity"
    (changed / "config.json").write_text(json.dumps(config))
    predict(changed, ranked, columns="query,candidates", out=tmp_path / "out.jsonl")


def test_several_numbers_have_the_activation_too(tmp_path, pairs):
    """As a CrossEncoder of several outputs, which are numbers by their problem_type."""
    named = {"sentence_transformers": {"activation_fn": "torch.nn.modules.activation.Tanh"}}
    folder = save_checkpoint(tmp_path / "model", "classification", problem_type="regression", **named)
    predict(folder, pairs, text="query", pair="text", out=tmp_path / "out.jsonl", precision="fp32")
    found = [row["prediction"] for row in read_jsonl(tmp_path / "out.jsonl")]
    theirs = scores_of(cross_encoder(folder))
    assert [number for row in found for number in row] == pytest.approx(
        [number for row in theirs for number in row], abs=1e-5
    )


def test_classes_keep_their_probabilities(tmp_path, pairs):
    """An activation of several classes is not applied: their scores are a softmax, whatever the files name."""
    found = []
    for number, named in enumerate(({}, {"sentence_transformers": {"activation_fn": "mine.Activation"}})):
        folder = save_checkpoint(tmp_path / str(number), "classification", **named)
        predict(folder, pairs, text="query", pair="text", out=tmp_path / f"{number}.jsonl", precision="fp32")
        found.append((tmp_path / f"{number}.jsonl").read_text())
    assert found[0] == found[1]
