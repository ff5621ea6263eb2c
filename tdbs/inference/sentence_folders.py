"""What a folder of sentence-transformers says of its texts and scores; how it pools is read in train/models/pooling.py.

`max_seq_length` of sentence_bert_config.json is the most tokens of a text, whatever the tokenizer says.
"""

from dataclasses import dataclass
from pathlib import Path

from transformers import PretrainedConfig

from tdbs.errors import ModelError
from tdbs.train.models.sentence_settings import note_on_embedding, read_object, sentence_settings

_FAMILIES = (
    "bert",
    "roberta",
    "distilbert",
    "camembert",
    "albert",
    "xlm-roberta",
    "xlnet",
)  # in the names of old files


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSettings:
    """How texts become the input of a model that embeds them."""

    max_length: int | None  # tokens
    note: str | None  # what sentence-transformers does by default, and tdbs does not


def text_settings(folder: Path) -> TextSettings:
    """Return the settings of a folder. Raises ModelError if its texts are to be changed before they are tokenized."""
    names = (f"sentence_{family}_config.json" for family in _FAMILIES)
    place = next((folder / name for name in names if (folder / name).is_file()), None)
    found = {} if place is None else read_object(place)
    if found.get("do_lower_case"):
        raise ModelError(
            f"The model {folder} wants its texts in lower case (do_lower_case), which tdbs does not do.",
            next_step="Pass a model whose tokenizer.json changes the case.",
        )
    limit = found.get("max_seq_length")
    return TextSettings(
        max_length=limit if isinstance(limit, int) and limit > 0 else None, note=note_on_embedding(folder)
    )


def activation_of(folder: Path, config: PretrainedConfig) -> str | None:
    """Return the name of what a CrossEncoder makes of its logits, as torch.nn.Sigmoid; None if its files have none."""
    saved = getattr(config, "sentence_transformers", None)
    named = (
        sentence_settings(folder).get("activation_fn"),
        saved.get("activation_fn") if isinstance(saved, dict) else None,
        getattr(config, "sbert_ce_default_activation_function", None),
    )
    return next((each for each in named if isinstance(each, str)), None)
