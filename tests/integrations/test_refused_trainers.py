"""What prepare_trainer cannot keep is refused before training, in words."""

import pytest
import torch
from transformers import (
    AutoModelForQuestionAnswering,
    BertForSequenceClassification,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from tdbs.errors import ConfigError, ModelError, TdbsError
from tdbs.integrations.transformers import prepare_trainer
from tests.integrations.hub import hub_tokenizer
from tests.integrations.trainers import model_of, token_case, trainer_of, with_labels_of_tokens
from tests.train.row_models import row_config

pytestmark = pytest.mark.real_data


def without_masks(features):
    batch = DataCollatorWithPadding(hub_tokenizer())(features)
    del batch["attention_mask"]
    return batch


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
        "The batches have padding before or between tokens, or a sample without tokens.",
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


def test_a_head_that_reads_padding_is_refused(pairs, tmp_path):
    class Mean(BertForSequenceClassification):
        """Its logits are of a mean over all tokens, those of padding too."""

        def forward(self, input_ids, attention_mask=None, token_type_ids=None, labels=None, **named):
            states = self.bert(input_ids, attention_mask, token_type_ids, **named).last_hidden_state
            return SequenceClassifierOutput(logits=self.classifier(states.mean(dim=1)))

    torch.manual_seed(0)
    with pytest.raises(ModelError) as caught:
        prepare_trainer(trainer_of(pairs, tmp_path, model=Mean(row_config("bert", outputs=2))))
    assert caught.value.message == "This Mean has another loss, or other logits, without padding."
    assert caught.value.next_step == "Use the Trainer as it is."


def test_labels_of_padding_are_refused(pairs, tmp_path):
    options = token_case()
    options["collator"] = DataCollatorForTokenClassification(hub_tokenizer(), label_pad_token_id=0)
    with pytest.raises(ConfigError) as caught:
        prepare_trainer(trainer_of(with_labels_of_tokens(pairs), tmp_path, **options))
    assert caught.value.message == "Tokens of padding have labels other than -100, so the loss counts padding."
    assert caught.value.next_step == "Use DataCollatorForTokenClassification."
