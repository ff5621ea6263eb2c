"""What prepare_trainer cannot keep is refused before training, in words."""

import copy
import functools

import pytest
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertPreTrainedModel,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from tdbs.errors import ConfigError, ModelError, TdbsError
from tdbs.integrations.forward_in_rows import run_in_rows
from tdbs.integrations.transformers import prepare_trainer
from tests.integrations.hub import hub_tokenizer
from tests.integrations.trainers import model_of, token_case, trainer_of, with_labels_of_tokens
from tests.train.row_models import row_config

pytestmark = pytest.mark.real_data


def without_masks(features):
    batch = DataCollatorWithPadding(hub_tokenizer())(features)
    del batch["attention_mask"]
    return batch


def prompted():
    from peft import PromptTuningConfig, get_peft_model

    return get_peft_model(model_of(), PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3))


def with_hooks():
    model = model_of()
    model.forward = functools.partial(model.forward)  # as accelerate's hooks for several devices have it
    return model


class OwnHead(BertPreTrainedModel):
    """A class as users write it: a body of transformers, and a head that reads the text."""

    def __init__(self, config):
        super().__init__(config)
        self.bert, self.head = BertModel(config), torch.nn.Linear(config.hidden_size, config.num_labels)

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, labels=None):
        logits = self.head(self.bert(input_ids, attention_mask, token_type_ids).pooler_output)
        return SequenceClassifierOutput(logits=logits, loss=torch.nn.functional.cross_entropy(logits, labels))


class OwnConfig(BertConfig):
    """A configuration that no class of transformers has a head for."""

    model_type = "own"


REFUSED = {
    "torch_compile": (
        lambda: {"torch_compile": True},
        "prepare_trainer does not support torch_compile.",
        "Leave it out: rows have other lengths in every update.",
    ),
    "noise": (
        lambda: {"neftune_noise_alpha": 5.0},
        "prepare_trainer does not support neftune_noise_alpha.",
        "Leave it out: its noise depends on the padded length.",
    ),
    "padding on the left": (
        lambda: {"collator": DataCollatorWithPadding(hub_tokenizer(padding_side="left"))},
        "The batches have padding before or between tokens.",
        'Pad on the right: tokenizer.padding_side = "right".',
    ),
    "no mask": (
        lambda: {"collator": without_masks},
        "The batches have no input_ids with an attention_mask, so it is not known what is padding.",
        "Tokenize the texts, and keep the attention_mask that the tokenizer returns.",
    ),
    "hidden states": (
        lambda: {"model": model_of(output_hidden_states=True)},
        "The model is called with output_hidden_states, which rows of several samples do not have.",
        "Leave output_hidden_states out.",
    ),
    "a convolution": (
        lambda: {"model": model_of("deberta-v2", conv_kernel_size=3)},
        "Rows of several samples are not supported by this deberta-v2.",
        'Use the Trainer as it is, or PreparedTrainer with a prepared dataset and strategy="sorted".',
    ),
    "answers": (
        lambda: {"model": AutoModelForQuestionAnswering.from_config(row_config("bert"))},
        "A BertForQuestionAnswering cannot be run without padding: its head reads neither a text nor its tokens.",
        "Use the Trainer as it is, or prepare the dataset with tdbs and pass it to PreparedTrainer.",
    ),
    "a head of the user's": (
        lambda: {"model": OwnHead(row_config("bert", outputs=2))},
        "OwnHead is a class of your own, so it is not known what its head reads.",
        "Derive it from BertForSequenceClassification or BertForTokenClassification, or use the Trainer as it is.",
    ),
    "a head and a configuration of the user's": (
        lambda: {"model": OwnHead(OwnConfig(**row_config("bert", outputs=2).to_dict()))},
        "OwnHead is a class of your own, so it is not known what its head reads.",
        "Use the Trainer as it is.",
    ),
    "prompts": (
        lambda: {"model": prompted()},
        "Prompts of peft stand before each text, and rows of several samples do not have them.",
        "Use the Trainer as it is, or adapters such as LoRA.",
    ),
    "hooks": (
        lambda: {"model": with_hooks()},
        "Another library has replaced the forward of this BertForSequenceClassification.",
        "Load the model onto one device, without hooks of another library.",
    ),
    "no model of transformers": (
        lambda: {"model": torch.nn.Linear(2, 2)},
        "Linear is not a model of transformers.",
        "Pass one of AutoModelForSequenceClassification or AutoModelForTokenClassification.",
    ),
}


@pytest.mark.parametrize(("case", "message", "next_step"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_kept_is_refused(pairs, tmp_path, case, message, next_step):
    trainer = trainer_of(pairs, tmp_path, **case())
    with pytest.raises(TdbsError) as caught:
        prepare_trainer(trainer)
    assert (caught.value.message, caught.value.next_step) == (message, next_step)


def test_texts_are_refused(tmp_path):
    with pytest.raises(ConfigError) as caught:
        prepare_trainer(trainer_of([{"text": "a film", "label": 0}] * 70, tmp_path))
    assert caught.value.message == "The training dataset has no input_ids."
    assert caught.value.next_step == (
        'Tokenize it: dataset.map(lambda rows: tokenizer(rows["text"], truncation=True), batched=True).'
    )


class Mean(BertForSequenceClassification):
    """Its logits are of a mean over all tokens, those of padding too."""

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, labels=None, **named):
        states = self.bert(input_ids, attention_mask, token_type_ids, **named).last_hidden_state
        logits = self.classifier(states.mean(dim=1))
        return SequenceClassifierOutput(logits=logits, loss=torch.nn.functional.cross_entropy(logits, labels))


class MaskedMean(BertForSequenceClassification):
    """Its logits are of a mean over the tokens that the mask names."""

    def forward(self, input_ids, attention_mask=None, token_type_ids=None, labels=None, **named):
        states = self.bert(input_ids, attention_mask, token_type_ids, **named).last_hidden_state
        real_BL1 = attention_mask.unsqueeze(-1)
        logits = self.classifier((states * real_BL1).sum(dim=1) / real_BL1.sum(dim=1))
        return SequenceClassifierOutput(logits=logits, loss=torch.nn.functional.cross_entropy(logits, labels))


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (Mean, "This Mean has another loss, or other logits, without padding."),
        (
            MaskedMean,
            "This MaskedMean cannot be run without padding: 'NoneType' object has no attribute 'unsqueeze'.",
        ),
    ],
)
@pytest.mark.parametrize("lengths", ["as they are", "equal in the first samples"])
def test_a_head_that_reads_padding_is_refused_and_trains_as_it_was(pairs, tmp_path, head, message, lengths):
    first = 0 if lengths == "as they are" else 8
    tokens = ("input_ids", "token_type_ids", "attention_mask")
    data = [{**row, **{name: row[name][:12] for name in tokens}} for row in pairs[:first]] + pairs[first:]
    torch.manual_seed(0)
    trainer = trainer_of(data, tmp_path, model=head(row_config("bert", outputs=2)))
    untouched = copy.deepcopy(trainer.model)
    with pytest.raises(ModelError) as caught:
        prepare_trainer(trainer)
    assert caught.value.message == message
    assert caught.value.next_step == "Use the Trainer as it is."
    batch = next(iter(trainer.get_eval_dataloader()))
    assert torch.equal(trainer.model(**batch).logits, untouched(**batch).logits)


def test_a_call_with_states_of_the_embeddings_is_refused(pairs):
    model = run_in_rows(model_of())
    batch = DataCollatorWithPadding(hub_tokenizer())(
        [{name: row[name] for name in ("input_ids", "attention_mask")} for row in pairs[:4]]
    )
    with pytest.raises(ConfigError) as caught:
        model(inputs_embeds=model.get_input_embeddings()(batch.pop("input_ids")), **batch)
    assert caught.value.message == "The model is called with inputs_embeds, which rows of several samples do not have."
    assert caught.value.next_step == "Leave inputs_embeds out."


def test_labels_of_padding_are_refused(pairs, tmp_path):
    options = token_case()
    options["collator"] = DataCollatorForTokenClassification(hub_tokenizer(), label_pad_token_id=0)
    with pytest.raises(ConfigError) as caught:
        prepare_trainer(trainer_of(with_labels_of_tokens(pairs), tmp_path, **options))
    assert caught.value.message == "Tokens of padding have labels other than -100, so the loss counts padding."
    assert caught.value.next_step == "Use DataCollatorForTokenClassification."
