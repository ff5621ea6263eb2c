"""Words are learned from what a model's predictions lose with them: against removing each by hand, one at a time."""

import csv
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoModelForSequenceClassification

import tdbs
from tdbs.analysis.learned_words import LEAST_SAMPLES, LearnedWords, learn_words
from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.errors import ConfigError, DatasetError
from tdbs.pipeline.dataset import load, read_split
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.words.stopwords import PAPER_STOPWORDS
from tdbs.train.planning.strategies import STRATEGIES
from tdbs.train.trainer import train
from tests.cli.conftest import run_command

ROWS = 240
SHORT, TELLING = ("film", "movie", "story", "drama"), ("good", "funny", "bad", "dull")


def make_rows(count: int) -> list[tuple[str, str, int]]:
    """Return (text, pair, label): the adjective of the pair decides, all other words are noise."""
    chance = np.random.default_rng(5)
    rows = []
    for _ in range(count):
        word = chance.choice(TELLING)
        first = chance.choice(("the ", "this ", "a very ", ""))
        rows.append((f"{first}{chance.choice(SHORT)} here", f"it is {word}", int(word in TELLING[:2])))
    return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a tiny model in fp32 that heeds the adjectives."""
    place = tmp_path_factory.mktemp("learned")
    with (place / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "pair", "label"), *make_rows(ROWS)])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        options = {"text": "text", "pair": "pair", "label": "label", "tokenizer": str(TOKENIZER_FOLDER)}
        dataset = prepare("rows.csv", **options, validation=0.2, out=place / "d").dataset
        strategy = replace(STRATEGIES["random"], base_batch_size=16)
        result = train(dataset, model="tiny", strategy=strategy, epochs=10, precision="fp32", out=place / "run")
    assert result.score > 0.9
    return place / "run"


@pytest.fixture(scope="module")
def learned(run: Path) -> LearnedWords:
    return learn_words(run)


def test_an_effect_is_that_of_the_word_removed_by_hand(run, learned):
    """Each word of the list: remove its token from every sample that has it, predict, and compare, one by one."""
    dataset = load(run.parent / "d")
    split = read_split(dataset, "train")
    tokenizer = Tokenizer.from_file(str(dataset.path / "tokenizer.json"))
    model = AutoModelForSequenceClassification.from_pretrained(run / "model").eval()

    def probabilities(ids: list[int]) -> np.ndarray:
        # the model has token types or not; the run gives none to this tokenizer's pairs if it has none
        with torch.no_grad():
            types = torch.zeros(1, len(ids), dtype=torch.long)
            types[0, ids.index(separator) + 1 :] = 1
            given = {"token_type_ids": types} if model.config.type_vocab_size > 1 else {}
            return torch.softmax(model(torch.tensor([ids]), **given).logits, dim=1)[0].numpy()

    separator = tokenizer.token_to_id("[SEP]")
    for effect in (learned.words[0], learned.words[-1]):
        changes = []
        for sample in range(len(split.lengths_N)):
            ids = split.input_ids_T[split.token_offsets_N1[sample] : split.token_offsets_N1[sample + 1]].tolist()
            kept = [each for each in ids if tokenizer.decode([each]).strip().lower() != effect.word]
            if len(kept) < len(ids):
                whole = probabilities(ids)
                changes.append(abs(probabilities(kept)[whole.argmax()] - whole.max()))
        assert effect.samples == len(changes)
        assert effect.change == pytest.approx(np.mean(changes), abs=1e-5)


def test_the_least_effects_come_first_and_the_words_that_decide_are_not_taken(learned):
    changes = [effect.change for effect in learned.words]
    assert changes == sorted(changes)
    assert not {effect.word for effect in learned.words} & set(TELLING)
    assert all(effect.samples >= LEAST_SAMPLES for effect in learned.words)
    assert all(effect.in_paper == (effect.word in PAPER_STOPWORDS) for effect in learned.words)


def test_the_list_covers_as_much_as_the_paper_s(learned):
    """With its last word it reaches the paper's share, without it it does not; or all words were taken."""
    assert learned.share >= learned.paper_share or len(learned.words) == learned.ranked
    assert learned.share - learned.words[-1].share < learned.paper_share


def test_learning_again_finds_the_same_list(run, learned):
    before = learned.path.read_bytes()
    assert learn_words(run).words == learned.words
    assert learned.path.read_bytes() == before


def test_fewer_samples_are_spread_over_the_split(run, learned):
    """Another list than that of the fixture, so it replaces that one, and back."""
    assert learn_words(run, samples=60, overwrite=True).samples == 60
    assert learn_words(run, overwrite=True).words == learned.words


def test_a_list_that_was_edited_stays_unless_it_is_to_be_replaced(run, learned, monkeypatch):
    """By the command, too; the next step uses the list as it is. An equal list is not written again."""
    monkeypatch.chdir(run.parent)
    before = learned.path.read_bytes()
    options = ("--text", "text", "--pair", "pair", "--label", "label", "--tokenizer", TOKENIZER_FOLDER, "--out", "e")
    prepare = ("prepare", "rows.csv", *options, "--validation", 0.2, "--stopwords")
    path = Path("run/learned_words.txt")
    time = path.stat().st_mtime_ns
    learn_words("run")
    assert path.stat().st_mtime_ns == time
    edited = before + b"mine\n"
    path.write_bytes(edited)
    refused = run_command(*prepare, "learned:run")
    assert refused.error == (
        "run/learned_words.txt has other words than those learned now.",
        "Pass --stopwords run/learned_words.txt to use it as it is, or --overwrite to replace it.",
    )
    assert path.read_bytes() == edited
    assert run_command(*prepare, "run/learned_words.txt", "--json").code == 0
    assert load("e").manifest.words.count == len(learned.words) + 1
    assert run_command(*prepare, "learned:run", "--overwrite").code == 0
    assert path.read_bytes() == before


def test_prepare_learns_on_the_command_line_and_the_key_changes(run, monkeypatch):
    """The dataset has the words of the list, as with the path of its file, and another key than with the paper's."""
    monkeypatch.chdir(run.parent)
    options = ("--text", "text", "--pair", "pair", "--label", "label", "--tokenizer", TOKENIZER_FOLDER)
    outcome = run_command("prepare", "rows.csv", *options, "--validation", 0.2, "--stopwords", "learned:run", "--json")
    assert "Learned " in outcome.stderr
    made = load(outcome.json["path"])
    again = tdbs.prepare(
        "rows.csv",
        text="text",
        pair="pair",
        label="label",
        tokenizer=str(TOKENIZER_FOLDER),
        validation=0.2,
        stopwords=str(tdbs.learn_words(run).path),
    )
    assert again.cached
    assert made.manifest.words.source == "learned_words.txt"
    assert made.manifest.key != load("d").manifest.key
    assert made.manifest.words.count == len(learn_words(run).words)


def test_a_task_without_classes_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Path("rows.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("text", "label"), *((text, place / 7) for place, (text, _, _) in enumerate(make_rows(40)))]
        )
    dataset = prepare("rows.csv", text="text", label="label", tokenizer=str(TOKENIZER_FOLDER), out="d").dataset
    train(dataset, model="tiny", epochs=1, out="run")
    with pytest.raises(ConfigError) as caught:
        learn_words("run")
    assert (
        caught.value.message
        == "Words are learned from a task that predicts classes of whole samples; run is of regression."
    )
    assert caught.value.next_step == "Pass --stopwords paper, or another run."


def test_from_python_learned_is_refused_with_what_to_pass(tmp_path):
    with pytest.raises(ConfigError) as caught:
        prepare("sample", stopwords="learned:run", out=tmp_path / "d")
    assert caught.value.message == "--stopwords learned:run is for the command tdbs prepare."
    assert caught.value.next_step == "Pass the path of the list: tdbs.learn_words(RUN).path."


def test_a_dataset_that_only_a_url_names_is_refused_with_a_way_that_exists(run, tmp_path):
    """No host is contacted that only a file names, and tdbs prepare has no option for another dataset."""
    other = shutil.copytree(run, tmp_path / "run")
    config = (other / "config.toml").read_text()
    (other / "config.toml").write_text(re.sub(r'path = ".*"', 'path = "s3://bucket/d"', config, count=1))
    with pytest.raises(ConfigError) as caught:
        learn_words(other)
    assert caught.value.message == (
        f"The run {other} names its dataset by a URL, s3://bucket/d, which is opened only if you name it yourself."
    )
    assert caught.value.next_step == (
        f"Call tdbs.learn_words({str(other)!r}, dataset='s3://bucket/d') in Python, and pass --stopwords its path."
    )
    found = learn_words(other, samples=60, dataset=run.parent / "d", overwrite=True)
    assert found.words == learn_words(run, samples=60, overwrite=True).words


def test_another_dataset_than_the_run_s_is_refused(run, tmp_path):
    other = prepare("sample", out=tmp_path / "s").dataset
    with pytest.raises(DatasetError) as caught:
        learn_words(run, dataset=other)
    assert caught.value.message == f"{other.path} is not the dataset that the run {run} was trained on."


def test_words_of_a_tokenizer_that_splits_at_spaces_alone_stay_whole(tmp_path):
    """Its decoder would move a full stop to the word before, which it then does not know."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"a film here . good bad".split()]
    tokenizer = Tokenizer(WordPiece({name: number for number, name in enumerate(names)}, unk_token=names[1]))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.add_special_tokens(names[:4])
    (tmp_path / "t").mkdir()
    tokenizer.save(str(tmp_path / "t/tokenizer.json"))
    rows = [{"text": f"a {word} film . here .", "label": int(word == "good")} for word in ("good", "bad") * 40]
    dataset = prepare(rows, tokenizer=str(tmp_path / "t"), out=tmp_path / "d").dataset
    trained = train(dataset, model="tiny", epochs=1, precision="fp32", out=tmp_path / "run")
    found = learn_words(trained.run, samples=40)
    assert found.ranked == len({"a", "film", "here", ".", "good", "bad"})


def test_a_list_that_names_no_run_is_refused(workplace):
    outcome = run_command("prepare", "sample", "--stopwords", "learned:", "--out", "d")
    assert (outcome.code, outcome.stdout) == (1, "")
    assert outcome.error == (
        "--stopwords learned: does not name a run.",
        "Pass --stopwords learned:RUN with the folder of a finished run.",
    )
