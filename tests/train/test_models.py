"""A model must fit the prepared dataset: its vocabulary, its length; new parts are the run's own."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.data.tasks import HUB_TASKS
from tdbs.errors import ModelError
from tdbs.inference.checkpoints import open_checkpoint
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.prepare import prepare
from tdbs.train.device import DeviceSettings
from tdbs.train.models.inputs import format_of
from tdbs.train.models.load import ModelSettings, open_model, read_config
from tdbs.train.planning.model_choice import default_model
from tdbs.train.planning.model_fit import check_vocabulary
from tests.in_process import run_snippet
from tests.train.opened import opened_to_train
from tests.train.test_trainer import SMALL_BERT, make_dataset

UNKNOWN = "[UNK]"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("models"), train_rows=20, validation_rows=5)


def changed(dataset, **fields):
    """Return the dataset as if its manifest said something else."""
    return PreparedDataset(path=dataset.path, manifest=replace(dataset.manifest, **fields))


def save_roberta(folder, dataset, *, positions):
    fields = SMALL_BERT | {"vocab_size": dataset.manifest.tokenizer.vocabulary_size, "pad_token_id": 1}
    RobertaForSequenceClassification(RobertaConfig(max_position_embeddings=positions, **fields)).save_pretrained(folder)
    shutil.copy(dataset.path / "tokenizer.json", folder)


def refusal(name, dataset):
    with pytest.raises(ModelError) as caught:
        opened_to_train(name, dataset)
    return caught.value.message, caught.value.next_step


def test_tiny_is_a_bert_of_two_layers_for_the_datasets_vocabulary(dataset):
    config = opened_to_train("tiny", dataset).config
    assert (config.model_type, config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (
        *("bert", 2, 128, 2),
    )
    tokenizer = dataset.manifest.tokenizer
    assert (config.vocab_size, config.pad_token_id) == (tokenizer.vocabulary_size, tokenizer.pad_id)
    assert config.max_position_embeddings >= dataset.manifest.max_length
    assert config.id2label == {0: "0", 1: "1"}


@pytest.mark.parametrize("max_length", [16, 128, 300])
def test_tiny_takes_the_longest_sample_of_any_dataset(dataset, max_length):
    model = opened_to_train("tiny", changed(dataset, max_length=max_length)).eval()
    ids = torch.ones(1, max_length, dtype=torch.long)
    assert model(input_ids=ids).logits.shape == (1, 2)


def test_a_regression_has_one_output(dataset):
    model = opened_to_train("tiny", changed(dataset, task=HUB_TASKS["glue/stsb"].task))
    assert model.num_labels == 1
    assert model.config.problem_type == "regression"


def test_three_classes_have_three_outputs_with_their_names(dataset):
    config = opened_to_train("tiny", changed(dataset, task=HUB_TASKS["glue/mnli"].task)).config
    assert config.id2label == {0: "entailment", 1: "neutral", 2: "contradiction"}


def test_new_weights_depend_on_the_seed_alone(dataset):
    torch.manual_seed(11)
    first = opened_to_train("tiny", dataset, seed=1).classifier.weight
    torch.manual_seed(12)
    again, other = (opened_to_train("tiny", dataset, seed=seed).classifier.weight for seed in (1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_dropout_is_set_in_every_field_that_the_model_has(dataset):
    model = opened_to_train("tiny", dataset, dropout=0.25)
    rates = {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.25}


def test_roberta_counts_positions_from_the_pad_id(dataset, tmp_path):
    """130 positions hold 128 tokens: RoBERTa's first position is pad id + 1 = 2."""
    save_roberta(tmp_path / "fits", dataset, positions=130)
    model = opened_to_train(tmp_path / "fits", dataset).eval()
    assert model(input_ids=torch.full((1, 128), 5)).logits.shape == (1, 2)
    save_roberta(tmp_path / "short", dataset, positions=129)
    assert refusal(tmp_path / "short", dataset) == (
        f"The model {tmp_path / 'short'} takes at most 127 tokens; the dataset was prepared with --max-length 128.",
        "Prepare the dataset with --max-length 127 or less.",
    )


def test_bert_counts_positions_from_0(dataset, tmp_path):
    config = BertConfig(
        vocab_size=dataset.manifest.tokenizer.vocabulary_size, max_position_embeddings=127, **SMALL_BERT
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path / "m")
    shutil.copy(dataset.path / "tokenizer.json", tmp_path / "m")
    assert refusal(tmp_path / "m", dataset)[0] == (
        f"The model {tmp_path / 'm'} takes at most 127 tokens; the dataset was prepared with --max-length 128."
    )


def test_vocabularies_are_compared_by_their_tokens(dataset, tmp_path):
    config = BertConfig(vocab_size=dataset.manifest.tokenizer.vocabulary_size)
    shutil.copy(dataset.path / "tokenizer.json", tmp_path)
    check_vocabulary(str(tmp_path), config.vocab_size, dataset.manifest.tokenizer)
    own = Tokenizer.from_file(str(TOKENIZER_FOLDER / "tokenizer.json")).get_vocab()
    swapped = own | {"the": own["a"], "a": own["the"]}
    Tokenizer(models.WordPiece(swapped, unk_token=UNKNOWN)).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ModelError) as caught:
        check_vocabulary(str(tmp_path), config.vocab_size, dataset.manifest.tokenizer)
    assert caught.value.message == (
        f"The model {tmp_path} has another tokenizer than the dataset, which was prepared with sample_tokenizer."
    )


def test_a_model_with_spare_rows_of_its_embedding_fits(dataset, tmp_path):
    """Embeddings are often filled up to a multiple of 64."""
    shutil.copy(dataset.path / "tokenizer.json", tmp_path)
    size = dataset.manifest.tokenizer.vocabulary_size
    check_vocabulary(str(tmp_path), size + 64, dataset.manifest.tokenizer)


def test_weights_without_tokenizer_files_have_nothing_to_compare(dataset, tmp_path):
    config = BertConfig(vocab_size=dataset.manifest.tokenizer.vocabulary_size)
    BertForSequenceClassification(
        BertConfig(vocab_size=config.vocab_size, **SMALL_BERT)
    ).save_pretrained(tmp_path)  # fmt: skip
    check_vocabulary(str(tmp_path), config.vocab_size, dataset.manifest.tokenizer)


def test_the_default_model_is_what_the_dataset_was_tokenized_for(dataset):
    assert default_model(dataset.manifest) == str(TOKENIZER_FOLDER)


def test_only_the_built_in_sample_has_tiny_for_its_default(dataset, workplace):
    """A user's file may be called sample.csv; its owner wants the model of --tokenizer, not random weights."""
    assert default_model(prepare("sample").dataset.manifest) == "tiny"
    shutil.copy(dataset.path.parent / "files/train.csv", workplace / "sample.csv")
    own = prepare("sample.csv", tokenizer=str(TOKENIZER_FOLDER), out=workplace / "own").dataset
    assert default_model(own.manifest) == str(TOKENIZER_FOLDER)


@pytest.mark.parametrize("shards", [1, 2])
def test_pickled_weights_are_refused_with_the_line_that_converts_them(shards, dataset, tmp_path):
    """The line is run as it stands in the error; weights in several files, as large models have them, too."""
    folder = tmp_path / "m"
    fields = SMALL_BERT | {"vocab_size": dataset.manifest.tokenizer.vocabulary_size}
    model = BertForSequenceClassification(BertConfig(architectures=["BertForSequenceClassification"], **fields))
    model.config.save_pretrained(folder)
    weights = list(model.state_dict().items())
    several = [f"pytorch_model-{number:05}-of-{shards:05}.bin" for number in range(1, shards + 1)]
    names = ["pytorch_model.bin"] if shards == 1 else several
    for number, name in enumerate(names):
        torch.save(dict(weights[number::shards]), folder / name)
    line = (
        f"import pathlib, torch, safetensors.torch; f = pathlib.Path('{folder}'); "
        "safetensors.torch.save_file({k: v.contiguous().clone() for p in f.glob('pytorch_model*.bin') for k, v in "
        "torch.load(p, map_location='cpu', weights_only=True).items()}, f / 'model.safetensors', {'format': 'pt'})"
    )
    message = (
        f"The model {folder} has {names[0]} and no model.safetensors. tdbs does not read .bin files: they are pickles, "
        "and opening a pickle may run code that it brings."
    )
    next_step = f"Convert it in Python, which reads only tensors: {line}"
    assert refusal(folder, dataset) == (message, next_step)
    shutil.copy(dataset.path / "tokenizer.json", folder)
    with pytest.raises(ModelError) as caught:
        open_checkpoint(folder)
    assert (caught.value.message, caught.value.next_step) == (message, next_step)
    assert run_snippet(line, folder=tmp_path).code == 0
    state = opened_to_train(folder, dataset).state_dict()
    assert all(torch.equal(state[name], weight) for name, weight in weights)


FOLDER_OR_HUB = "a folder with config.json and model.safetensors, or a hub name."
NOWHERE = "it is not a folder, and the hub cannot be reached or does not have it."
REFUSALS = {  # what is said of a model that is nowhere, and what to do; what to do if its weights are damaged
    "train": ("The model nowhere cannot be loaded: ", f"Pass --model with {FOLDER_OR_HUB}", None),
    "score": ("The model nowhere cannot be loaded: ", "Train again.", None),
    "predict": (
        "nowhere is neither a tdbs run nor a model: ",
        "Pass the folder of a run or of a checkpoint, or a hub name.",
        f"Pass {FOLDER_OR_HUB}",
    ),
}


@pytest.mark.parametrize("purpose", REFUSALS)
def test_what_cannot_be_loaded_is_refused_with_the_next_step_of_its_purpose(purpose, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    save_roberta("m", dataset, positions=130)
    cause, next_step, for_weights = REFUSALS[purpose]
    with pytest.raises(ModelError) as caught:
        read_config("nowhere", purpose)
    assert (caught.value.message, caught.value.next_step) == (cause + NOWHERE, next_step)
    execution = DeviceSettings(device="cpu", precision="fp32", attention="eager")
    settings = ModelSettings(purpose=purpose, execution=execution)
    Path("m/model.safetensors").write_bytes(b"not weights")
    with pytest.raises(ModelError, match=r"^The model m cannot be loaded: ") as caught:
        open_model("m", format_of(dataset), settings)
    assert caught.value.next_step == (for_weights or next_step)


def test_a_head_without_trained_weights_is_refused_to_predict_with_alone(dataset, tmp_path):
    """The body of a BERT gets a new head to train; there is nothing to predict with."""
    size = dataset.manifest.tokenizer.vocabulary_size
    BertModel(BertConfig(vocab_size=size, **SMALL_BERT)).save_pretrained(tmp_path)
    shutil.copy(dataset.path / "tokenizer.json", tmp_path)
    assert opened_to_train(tmp_path, dataset).num_labels == 2
    execution = DeviceSettings(device="cpu", precision="fp32", attention="eager")
    with pytest.raises(ModelError) as caught:
        open_model(str(tmp_path), format_of(dataset), ModelSettings(purpose="predict", execution=execution))
    assert (caught.value.message, caught.value.next_step) == (
        f"The model {tmp_path} has no trained weights for classifier.bias.",
        "Fine-tune it with tdbs train --model, or pass a checkpoint that was fine-tuned.",
    )
