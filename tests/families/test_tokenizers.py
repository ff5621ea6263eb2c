"""What the settings of a model's tokenizer say beside tokenizer.json: refused, noticed, or saved with the run."""

import json
import shutil
from functools import partial

import pytest
import transformers
from transformers import AutoTokenizer

import tdbs
from tdbs.errors import ModelError, TokenizerError
from tests.families.folders import save_family
from tests.families.reference import SHORT, probabilities, rows_of
from tests.families.refused import refusals
from tests.families.table import FAMILIES
from tests.families.test_quirks import WITHIN, dataset_of, predicted, saved


def notices(caplog) -> list[str]:
    """Return what the library logged."""
    return [record.getMessage() for record in caplog.records if record.name == "tdbs"]


ADDED = {
    "extra": {"extra_special_tokens": ["<more>"]},
    "extra, as transformers 4 has it": {"additional_special_tokens": ["<more>"]},
    "extra with a name": {"extra_special_tokens": {"image_token": "<more>"}},
    "no special one": {"added_tokens_decoder": {"9999": {"content": "<more>", "special": False}}},
    "the end token": {"eos_token": "<more>"},
}


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        pytest.param(name, setting, marks=() if name == "bert" or setting == "extra" else pytest.mark.slow)
        for name in ("bert", "roberta", "qwen2")
        for setting in ADDED
    ],
)
def test_a_token_that_the_settings_alone_add_is_refused_by_name(name, setting, tmp_path):
    rows = rows_of(6, pairs=False, sizes=SHORT)
    folder = save_family(FAMILIES[name], tmp_path / "model")
    dataset = dataset_of(folder, rows, tmp_path)
    place = folder / "tokenizer_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | ADDED[setting]))
    for refused in (
        lambda: tdbs.train(dataset, model=str(folder), out=tmp_path / "run"),
        lambda: tdbs.Predictor(folder),
    ):
        with pytest.raises(TokenizerError) as error:
            refused()
        assert str(error.value) == (
            f"transformers reads the tokenizer of {folder} differently from its tokenizer.json: it makes other "
            f"tokens of 'word <more> word'. Save AutoTokenizer.from_pretrained('{folder}') in another folder, and "
            "prepare with that."
        )
    assert not (tmp_path / "run").exists()


@pytest.mark.real_data
def test_a_class_that_splits_numbers_otherwise_is_refused(shared, tmp_path):
    """Beside a Qwen2, transformers opens GPT-2's files as Qwen2's own, which makes a token of each digit."""
    folder = tmp_path / "model"
    shutil.copytree(shared / "tokenizers/gpt2", folder)
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "num_key_value_heads": 2, "num_hidden_layers": 1}
    config = transformers.Qwen2Config(vocab_size=50257, intermediate_size=8, **sizes)
    transformers.Qwen2ForSequenceClassification(config).save_pretrained(folder)
    loaded = AutoTokenizer.from_pretrained(folder)
    assert loaded("1887")["input_ids"] != AutoTokenizer.from_pretrained(shared / "tokenizers/gpt2")("1887")["input_ids"]
    dataset = dataset_of(shared / "tokenizers/gpt2", rows_of(6, pairs=False, sizes=SHORT), tmp_path)
    with pytest.raises(TokenizerError, match=r"it makes other tokens of 'in 1887, 3\.14'"):
        tdbs.train(dataset, model=str(folder), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["bert", "roberta", "llama", "qwen2"])
def test_a_saved_tokenizer_has_the_special_tokens_of_the_models_and_no_others(name, tmp_path):
    """Without their names Qwen2's class would add an end token of its own."""
    rows = rows_of(6, pairs=False, sizes=SHORT)
    folder = save_family(FAMILIES[name], tmp_path / "model")
    tdbs.train(dataset_of(folder, rows, tmp_path), model=str(folder), epochs=1, out=tmp_path / "run")
    theirs, ours = (AutoTokenizer.from_pretrained(place) for place in (folder, tmp_path / "run/model"))
    assert ours.special_tokens_map.items() >= theirs.special_tokens_map.items()
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.added_tokens_decoder == theirs.added_tokens_decoder


def test_a_tokenizer_that_transformers_cannot_open_is_said_and_passed_over(tmp_path, caplog):
    rows = rows_of(6, pairs=True, sizes=SHORT)
    folder = saved("bert", tmp_path / "model", rows)
    expected = probabilities(folder, rows)
    dataset = dataset_of(folder, rows, tmp_path)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer", "extra_special_tokens": 5}')
    assert predicted(folder, rows) == pytest.approx(expected, abs=WITHIN)
    tdbs.train(dataset, model=str(folder), epochs=1, out=tmp_path / "run")
    text = (
        f"transformers cannot open the tokenizer of {folder}: extra_special_tokens must be a list/tuple of tokens or a "
        "dict of named tokens. tdbs did not check that it makes the same tokens."
    )
    assert notices(caplog) == [text, text]


def test_weights_without_a_tokenizer_are_nothing_to_say(tmp_path, caplog):
    rows = rows_of(6, pairs=False, sizes=SHORT)
    folder = saved("bert", tmp_path / "model", rows)
    bare = tmp_path / "bare"
    transformers.AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(bare)
    tdbs.train(dataset_of(folder, rows, tmp_path), model=str(bare), epochs=1, out=tmp_path / "run")
    assert notices(caplog) == []


@pytest.mark.parametrize(
    ("name", "theirs", "ours"), [("bert", "left", "right"), ("xlnet", "right", "left"), ("bert", "right", "right")]
)
def test_a_padding_side_that_is_not_the_tokenizers_is_said(name, theirs, ours, tmp_path, caplog):
    rows = rows_of(12, pairs=False, sizes=SHORT)
    folder = saved(name, tmp_path / "model", rows, side=theirs)
    dataset = dataset_of(folder, rows, tmp_path)
    tdbs.Predictor(folder)
    tdbs.train(dataset, model=str(folder), epochs=1, out=tmp_path / "run")
    tdbs.evaluate(tmp_path / "run")  # whose tokenizer has the side that was used
    text = (
        f"The tokenizer of {folder} pads on the {theirs}, but tdbs pads on the {ours} or not at all. A text then has "
        f"the same result alone and in a batch; batches padded on the {theirs} may give others."
    )
    assert notices(caplog) == ([] if theirs == ours else [text, text])


@pytest.mark.parametrize("name", ["qwen2", "llama"])
def test_weights_that_transformers_gives_no_foreign_tokenizer_are_refused_before_training(name, tmp_path):
    """Beside a Qwen2 it opens any tokenizer as Qwen2's, so the saved model could be neither scored nor used."""
    rows = rows_of(12, pairs=False, sizes=SHORT)
    foreign = saved("bert", tmp_path / "foreign", rows)
    bare = tmp_path / "bare"
    sizes = {**FAMILIES[name].sizes, "vocab_size": len(AutoTokenizer.from_pretrained(foreign).get_vocab())}
    config = getattr(transformers, FAMILIES[name].config)(**sizes)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(bare)
    to_train = partial(tdbs.train, dataset_of(foreign, rows, tmp_path), model=str(bare), epochs=1, out=tmp_path / "run")
    if name == "llama":  # which has the tokenizer that is saved with it
        assert to_train().score == tdbs.evaluate(tmp_path / "run").score
        return
    assert refusals(ModelError, to_train) == {
        "transformers opens any tokenizer beside a qwen2 as that family's own, which makes other tokens than "
        "foreign: the trained model could not be used. "
        "Prepare the dataset with --tokenizer and the tokenizer that the model was made with."
    }
    assert not (tmp_path / "run").exists()
