"""Lists of one's own, with abbreviations and special tokens: what `prepare` writes is sound."""

from pathlib import Path

import pytest

from tdbs.data.sample import TOKENIZER_FOLDER
from tdbs.pipeline.dataset import PreparedDataset, read_split, read_tokenizer
from tdbs.pipeline.prepare import prepare
from tdbs.pipeline.verify import verify
from tdbs.pipeline.words.stopwords import PAPER_STOPWORDS
from tests.pipeline.test_prepare import write_csv


def dropped(dataset: PreparedDataset) -> list[str]:
    """Return the tokens of the droppable words of train, joined."""
    split, backend = read_split(dataset, "train"), read_tokenizer(dataset)
    firsts = (split.token_offsets_N1[:-1].repeat(split.word_offsets_N1[1:] - split.word_offsets_N1[:-1])).tolist()
    starts, sizes = split.word_starts_W.tolist(), split.word_sizes_W.tolist()
    ids = split.input_ids_T.tolist()
    words = (
        ids[first + start : first + start + size] for first, start, size in zip(firsts, starts, sizes, strict=True)
    )
    return ["".join(backend.id_to_token(i).removeprefix("##") for i in word) for word in words]


def test_a_mark_at_the_end_of_a_listed_word_is_not_dropped_twice(workplace):
    """ "etc." beside ".": once two words that overlap, which no reader took."""
    Path("words.txt").write_text("etc.\n.\n")
    write_csv(Path("rows.csv"), [("a film etc. and more .", "x"), ("a film.", "y")])
    dataset = prepare("rows.csv", tokenizer=str(TOKENIZER_FOLDER), stopwords="words.txt", out="data").dataset
    assert verify(dataset.path).problems == ()
    assert sorted(dropped(dataset)) == [".", ".", "etc."]


def test_a_listed_special_token_is_not_dropped(workplace):
    """A special token in a text counts as special, whatever the list says."""
    Path("words.txt").write_text("[sep]\nfilm\n")
    write_csv(Path("rows.csv"), [("a film [SEP] and more", "x"), ("[SEP] film", "y"), ("no film", "x")])
    dataset = prepare("rows.csv", tokenizer=str(TOKENIZER_FOLDER), stopwords="words.txt", out="data").dataset
    assert verify(dataset.path).problems == ()
    assert dropped(dataset) == ["film"] * 3


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["bert-base-uncased", "roberta-base", "gpt2", "t5-small"])
def test_abbreviations_beside_the_papers_list_make_sound_datasets(shared, workplace, name):
    Path("words.txt").write_text("\n".join([*PAPER_STOPWORDS, "etc.", "e.g.", "i.e.", "u.s.", "mr.", "'"]))
    options = {"mirror": shared / "datasets", "tokenizer": str(shared / "tokenizers" / name), "out": "data"}
    dataset = prepare("glue/rte", stopwords="words.txt", **options).dataset
    assert verify(dataset.path).problems == ()
    assert any(word.lower().lstrip("Ġ▁") == "u.s." for word in dropped(dataset))
