"""Made datasets without a fault: sizes, lengths, classes and noise are drawn by a seed.

A text is words of a made vocabulary, frequent ones first, with some of the paper's droppable words among them. Texts
never repeat, and labels are drawn without looking at them.
"""

import random
import string
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from tdbs.pipeline.dataset import PreparedDataset
from tdbs.pipeline.prepare import prepare

WORDS = 600
DROPPABLE = ("the", "a", "of", "and", "to", "in", "is", "it", "that", "was")
CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюя"
HIDDEN = ("\x07", "\u200b", "\u202e")
Row = dict[str, Any]


def _made_words() -> list[str]:
    """Return pronounceable words of 4 to 8 letters, the same ones each time."""
    stream = random.Random(1)  # noqa: S311
    found: dict[str, None] = {}
    while len(found) < WORDS:
        syllables = (stream.choice("bdfgklmnprstvz") + stream.choice("aeiou") for _ in range(stream.randint(2, 4)))
        found["".join(syllables)] = None
    return list(found)


VOCABULARY = _made_words()
_WEIGHTS = [1 / (rank + 10) for rank in range(WORDS)]


def write_tokenizer(folder: Path) -> Path:
    """Write a WordPiece tokenizer that knows the words, and the letters that faults need."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [*string.ascii_lowercase, *string.digits, *CYRILLIC, *HIDDEN]
    continued = [f"##{letter}" for letter in letters]
    entries = [*specials, *letters, *string.punctuation, *continued, *DROPPABLE, *VOCABULARY]
    vocabulary = {entry: number for number, entry in enumerate(dict.fromkeys(entries))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=specials[1]))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.add_special_tokens(specials)
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@dataclass(kw_only=True)
class Made:
    """A made dataset before it is prepared: its rows by split, and how to prepare them."""

    stream: random.Random
    train: list[Row]
    validation: list[Row]
    classes: list[str]
    is_pair: bool
    middle: float  # median length in words
    options: dict[str, Any] = field(default_factory=lambda: {"max_length": 512})

    def text(self, words: int | None = None, droppable: float = 0.25) -> str:
        """Return a new text."""
        size = words or max(4, round(self.stream.lognormvariate(0, 0.35) * self.middle))
        chosen = self.stream.choices(VOCABULARY, weights=_WEIGHTS, k=size)
        found = [self.stream.choice(DROPPABLE) if self.stream.random() < droppable else word for word in chosen]
        if self.stream.random() < 0.5:
            found[0] = found[0].capitalize()
        return " ".join(found) + self.stream.choice(["", ".", "!", " ?"])

    def row(self, **options: Any) -> Row:
        """Return a new row."""
        found = {"text": self.text(**options), "label": self.stream.choice(self.classes)}
        return found | ({"pair": self.text(**options)} if self.is_pair else {})

    def some(self, rows: list[Row], low: float, high: float, least: int = 3) -> list[Row]:
        """Return a share of some rows, drawn between two, at least so many."""
        return self.stream.sample(rows, max(least, round(len(rows) * self.stream.uniform(low, high))))

    def add(self, rows: list[Row], more: list[Row]) -> None:
        """Put rows at random places among others."""
        for row in more:
            rows.insert(self.stream.randint(0, len(rows)), row)


def clean(seed: int) -> Made:
    """Return a dataset without a fault, of a size, a length and a number of classes that the seed draws."""
    stream = random.Random(seed)  # noqa: S311
    made = Made(
        stream=stream,
        train=[],
        validation=[],
        classes=[f"class {number}" for number in range(stream.randint(2, 4))],
        is_pair=stream.random() < 0.3,
        middle=stream.uniform(9, 22),
    )
    made.train = [made.row() for _ in range(stream.randint(250, 600))]
    made.validation = [made.row() for _ in range(stream.randint(120, 200))]
    return made


def prepared(made: Made, folder: Path, tokenizer: Path) -> PreparedDataset:
    """Prepare a made dataset by the real pipeline."""
    columns = {"text": "text", "label": "label"} | ({"pair": "pair"} if made.is_pair else {})
    return prepare(
        {"train": made.train, "validation": made.validation},
        tokenizer=str(tokenizer),
        out=folder,
        label_type="class",
        progress=False,
        **columns,
        **made.options,
    ).dataset
