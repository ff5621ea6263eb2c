"""What single families and tokenizers do that others do not, and what is refused of them by name."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import transformers
from transformers import AutoTokenizer

import tdbs
from tdbs.errors import ModelError, TokenizerError
from tdbs.train.models.checks import position_limit_of
from tdbs.train.scores.answers import MAX_ANSWER_TOKENS
from tests.families.folders import save_family
from tests.families.reference import SHORT, opened, pipeline_scores, probabilities, rows_of, spread_of, write_rows
from tests.families.refused import refusals
from tests.families.table import FAMILIES, SIZES

WITHIN = 1e-5


def saved(name: str, place, rows, **changes):
    return save_family(replace(FAMILIES[name], **changes), place, spread_over=spread_of(rows))


def predicted(folder, rows) -> np.ndarray:
    """Return the probabilities of rows, batched together."""
    predictor = tdbs.Predictor(folder, precision="fp32")
    found = predictor([row if len(row) > 1 else row[0] for row in rows])
    return np.array([[each.scores[name] for name in sorted(each.scores)] for each in found])


def dataset_of(folder, rows, place):
    held = write_rows(place / "rows.csv", rows)
    pair = "pair" if len(rows[0]) > 1 else None
    return tdbs.prepare(
        str(held), validation=str(held), tokenizer=str(folder), pair=pair, out=place / "dataset"
    ).dataset


TEMPLATES = {
    "types on all texts": ("[CLS]:1 $A:1 [SEP]:1", "[CLS]:1 $A:1 [SEP]:1 $B:0 [SEP]:0"),
    "the separator belongs to the second text": ("[CLS] $A [SEP]", "[CLS] $A [SEP]:1 $B:1 [SEP]:1"),
    "no type but the last": ("[CLS] $A [SEP]:1", "[CLS] $A [SEP] $B [SEP]:1"),
    "no special tokens": ("$A", "$A $B:1"),
    "many special tokens": ("[CLS] [CLS]:1 $A [SEP]", "[CLS] $A [SEP] [SEP]:1 [SEP] $B:1 [SEP] [SEP]:1"),
}


@pytest.mark.parametrize("pairs", [pytest.param(False, marks=pytest.mark.slow), True], ids=["texts", "pairs"])
@pytest.mark.parametrize("template", TEMPLATES)
def test_segment_ids_are_those_of_any_template(template, pairs, tmp_path):
    single, pair = TEMPLATES[template]
    rows = rows_of(12, pairs=pairs, sizes=SHORT)
    folder = saved("bert", tmp_path / "model", rows, single=single, pair=pair)
    assert predicted(folder, rows) == pytest.approx(probabilities(folder, rows), abs=WITHIN)
    run = tdbs.train(
        dataset_of(folder, rows, tmp_path), model=str(folder), epochs=1, precision="fp32", out=tmp_path / "run"
    )
    for model in (run.run, tmp_path / "run/model"):
        assert predicted(model, rows) == pytest.approx(pipeline_scores(tmp_path / "run/model", rows), abs=WITHIN)


@pytest.mark.parametrize("names", [("input_ids", "attention_mask"), ("input_ids", "token_type_ids", "attention_mask")])
@pytest.mark.parametrize("pair", ["[CLS] $A [SEP] $B:1 [SEP]:1", "[CLS] $A [SEP] $B [SEP]"])
def test_segment_ids_are_given_if_the_tokenizer_in_transformers_gives_them(names, pair, tmp_path):
    rows = rows_of(12, pairs=True, sizes=SHORT)
    folder = saved("bert", tmp_path, rows, pair=pair, input_names=names)
    assert predicted(folder, rows) == pytest.approx(probabilities(folder, rows), abs=WITHIN)


def test_weights_without_a_tokenizer_are_given_what_the_prepared_one_gives(tmp_path):
    """The dataset names the folder of its tokenizer, which gives a BERT no segment ids."""
    rows = rows_of(12, pairs=True, sizes=SHORT)
    folder = saved("bert, foreign tokenizer", tmp_path / "model", rows)
    bare = tmp_path / "bare"
    transformers.AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(bare)
    dataset = dataset_of(folder, rows, tmp_path)
    runs = [
        tdbs.train(dataset, model=str(model), epochs=1, precision="fp32", out=tmp_path / f"run of {model.name}")
        for model in (folder, bare)
    ]
    assert [run.epochs for run in runs] == [runs[0].epochs] * 2
    assert predicted(runs[1].run, rows) == pytest.approx(
        pipeline_scores(tmp_path / "run of bare/model", rows), abs=WITHIN
    )


def test_a_saved_tokenizer_says_on_which_side_it_pads(tmp_path):
    rows = rows_of(12, pairs=False, sizes=SHORT)
    for name, side in (("xlnet", "left"), ("bert", "right"), ("llama", "right")):
        folder = saved(name, tmp_path / name, rows)
        out = tmp_path / f"run of {name}"
        (tmp_path / f"of {name}").mkdir()
        tdbs.train(dataset_of(folder, rows, tmp_path / f"of {name}"), model=str(folder), epochs=1, out=out)
        tokenizer = AutoTokenizer.from_pretrained(out / "model")
        assert tokenizer.padding_side == side
        model, _ = opened(out / "model")
        texts = [row[0] for row in rows]
        with torch.inference_mode():
            together = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.softmax(-1).numpy()
        assert together == pytest.approx(pipeline_scores(out / "model", rows), abs=WITHIN)


@pytest.mark.parametrize(
    "name",
    [
        "roberta",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("bert", "gpt2", "xlm-roberta", "camembert", "llama")),
    ],
)
def test_special_tokens_written_in_a_text_change_nothing_else(name, tmp_path):
    """RoBERTa's positions pass over a pad token in the middle of a text; decoders read the last token that is none."""
    family = FAMILIES[name]
    rows = rows_of(8, pairs=False, sizes=SHORT)
    folder = saved(name, tmp_path, rows)
    names = [token for token in family.specials if family.tokenizer_class is None] or ["</s>"]
    rows += [(f"w1 {token} w2 w3 {token}",) for token in names] + [(f"{token} w5 w6",) for token in names]
    expected = probabilities(folder, rows)
    assert predicted(folder, rows) == pytest.approx(expected, abs=WITHIN)
    assert np.array([predicted(folder, [row])[0] for row in rows]) == pytest.approx(expected, abs=WITHIN)


def test_a_decoder_whose_texts_end_with_the_end_token_reads_that(tmp_path):
    """Without a pad token of its own it is given another one than the one that ends each text."""
    rows = rows_of(12, pairs=False, sizes=SHORT)
    folder = saved("llama", tmp_path, rows, single="<s> $A </s>")
    assert predicted(folder, rows) == pytest.approx(probabilities(folder, rows), abs=WITHIN)


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_an_end_token_inside_a_text_is_no_error(name, tmp_path):
    """Beside texts without one transformers refuses the batch; each alone is read at its last end token."""
    rows = [*rows_of(6, pairs=False, sizes=SHORT), ("w1 </s> w2 w3",), ("</s> w4 </s> w5 w6 w7",)]
    folder = saved(name, tmp_path / "model", rows)
    assert predicted(folder, rows) == pytest.approx(probabilities(folder, rows), abs=WITHIN)
    run = tdbs.train(
        dataset_of(folder, rows, tmp_path), model=str(folder), epochs=1, precision="fp32", out=tmp_path / "run"
    )
    assert predicted(run.run, rows) == pytest.approx(pipeline_scores(tmp_path / "run/model", rows), abs=WITHIN)


def test_an_encoder_decoder_without_its_end_token_is_refused_by_name(tmp_path):
    rows = rows_of(6, pairs=False, sizes=SHORT)
    folder = save_family(replace(FAMILIES["bart"], single="<s> $A", pair="<s> $A $B"), tmp_path / "model")
    text = (
        f"The model {folder} reads the end token of each text, which model does not write. "
        "Prepare with a tokenizer that ends each text with the model's eos_token."
    )
    dataset = dataset_of(folder, rows, tmp_path)
    to_train = partial(tdbs.train, dataset, model=str(folder), out=tmp_path / "run")
    assert refusals(ModelError, to_train, partial(tdbs.Predictor, folder)) == {text}
    assert not (tmp_path / "run").exists()


def test_tokens_added_without_resizing_are_refused_with_the_way_out(tmp_path):
    rows = rows_of(6, pairs=False, sizes=SHORT)
    folder = saved("bert", tmp_path / "model", rows)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    count = len(tokenizer)
    tokenizer.add_tokens(["w1w2", "w3w4"])
    tokenizer.save_pretrained(folder)
    text = (
        f"The model {folder} has {count} embeddings, but its own tokenizer has {count + 2} tokens. "
        "Call model.resize_token_embeddings(len(tokenizer)) in transformers, and save the model again."
    )
    dataset = dataset_of(folder, rows, tmp_path)
    to_train = partial(tdbs.train, dataset, model=str(folder), out=tmp_path / "run")
    assert refusals(ModelError, to_train, partial(tdbs.Predictor, folder)) == {text}
    model, _ = opened(folder)
    model.resize_token_embeddings(count + 2)
    model.save_pretrained(folder)
    assert predicted(folder, rows) == pytest.approx(probabilities(folder, rows), abs=WITHIN)


def test_bigbird_beyond_its_full_attention_is_refused_and_read_whole_below(tmp_path):
    rows = rows_of(6, pairs=False, sizes=SHORT)
    family = replace(FAMILIES["big_bird"], sizes=FAMILIES["big_bird"].sizes | {"block_size": 8, "num_random_blocks": 1})
    folder = save_family(family, tmp_path / "model", spread_over=spread_of(rows))
    with pytest.raises(ModelError) as error:
        tdbs.Predictor(folder)
    assert str(error.value) == (
        f"The model {folder} attends to all of a text up to 56 tokens; beyond, its outputs depend on the padding "
        'beside the text, and texts may have 192. Pass --max-length 56 or less, or set "attention_type": '
        '"original_full" in its config.json.'
    )
    predictor = tdbs.Predictor(folder, max_length=56, precision="fp32")
    found = np.array([list(predictor(row[0]).scores.values()) for row in rows])
    assert found == pytest.approx(probabilities(folder, rows), abs=WITHIN)


def test_a_bert_that_looks_back_only_shares_no_rows(tmp_path):
    rows = rows_of(12, pairs=False, sizes=SHORT)
    folder = save_family(FAMILIES["bert"], tmp_path / "model", is_decoder=True)
    assert not tdbs.Predictor(folder).checkpoint.in_rows
    assert predicted(folder, rows) == pytest.approx(probabilities(folder, rows), abs=WITHIN)
    result = tdbs.train(dataset_of(folder, rows, tmp_path), model=str(folder), epochs=1, out=tmp_path / "run")
    assert result.strategy == "sorted"


def test_positions_that_depend_on_the_longest_text_of_a_batch_are_refused(tmp_path):
    """`longrope` of Phi-3: a text's outputs would depend on its neighbours."""
    factors = {"short_factor": [1.0] * 8, "long_factor": [4.0] * 8, "rope_theta": 10000.0}
    rope = {"rope_type": "longrope", **factors}
    folder = save_family(
        FAMILIES["phi3"], tmp_path / "model", rope_parameters=rope, original_max_position_embeddings=32
    )
    rows = rows_of(12, pairs=False)
    calls = (partial(tdbs.Predictor, folder),)
    text = (
        f"The model {folder} counts positions in another way in a batch with a text of over 32 tokens, so the outputs "
        "of a text depend on those beside it; texts may have 192. Pass --max-length 32 or less."
    )
    assert refusals(ModelError, *calls) == {text}
    assert tdbs.Predictor(folder, max_length=32)(rows[0][0]).scores


HEADS_EVERY_DAY = {
    "bert": "token_classification",
    "roberta": "question_answering",
    "modernbert": "token_classification",
    "xlnet": "question_answering",
    "deberta-v2": "question_answering",
    "distilbert": "token_classification",
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=() if kind == every_day else pytest.mark.slow)
        for name, every_day in HEADS_EVERY_DAY.items()
        for kind in ("token_classification", "question_answering")
    ],
)
def test_heads_that_speak_of_tokens_say_what_transformers_says(name, kind, tmp_path):
    """Words of several lengths, questions with contexts, in one batch and alone."""
    folder = save_family(FAMILIES[name], tmp_path, kind=kind)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    predictor = tdbs.Predictor(folder, precision="fp32")
    rows = rows_of(9, pairs=True)
    if kind == "token_classification":
        model = transformers.AutoModelForTokenClassification.from_pretrained(folder).eval().float()
        found = predictor([row[0] for row in rows])
        for row, each in zip(rows, found, strict=True):
            given = tokenizer(row[0], return_tensors="pt", truncation=True, max_length=192)
            with torch.inference_mode():
                expected = model(**given).logits[0].softmax(-1)
            places = [place for place, word in enumerate(given.word_ids()) if word is not None]
            assert each.prediction == [model.config.id2label[int(expected[place].argmax())] for place in places]
        return
    model = transformers.AutoModelForQuestionAnswering.from_pretrained(folder).eval().float()
    found = predictor(rows)
    for row, each in zip(rows, found, strict=True):
        given = tokenizer(*row, return_tensors="pt", return_offsets_mapping=True)
        offsets = given.pop("offset_mapping")[0].tolist()
        with torch.inference_mode():
            out = model(**given)
        own = [place for place, of in enumerate(given.sequence_ids()) if of == 1]
        spans = [(first, last) for first in own for last in own if first <= last < first + MAX_ANSWER_TOKENS]
        scores = [float(out.start_logits[0, first] + out.end_logits[0, last]) for first, last in spans]
        assert each.scores == pytest.approx(max(scores), abs=1e-4)
        best = [span for span, score in zip(spans, scores, strict=True) if score > max(scores) - 1e-4]
        assert each.prediction in {row[1][offsets[first][0] : offsets[last][1]] for first, last in best}


def test_a_tokenizer_whose_segment_ids_cannot_be_read_is_refused(tmp_path):
    """Texts turned round: no template says where a sample's second text starts."""
    rows = rows_of(6, pairs=True, sizes=SHORT)
    folder = save_family(replace(FAMILIES["bert"], pair="[CLS] $B:1 [SEP] $A [SEP]"), tmp_path / "model")
    dataset = dataset_of(folder, rows, tmp_path)
    with pytest.raises(ModelError) as error:
        tdbs.train(dataset, model=str(folder), out=tmp_path / "run")
    assert str(error.value) == (
        f"The model {folder} takes segment ids, but tdbs cannot read from model how to count them. "
        "Prepare with a tokenizer whose special tokens stand around the texts."
    )
    with pytest.raises(ModelError):
        predicted(folder, rows)


@pytest.mark.parametrize("setting", [{"do_lower_case": False}, {"strip_accents": False}])
def test_a_tokenizer_that_transformers_reads_otherwise_is_refused(setting, tmp_path):
    """Settings beside tokenizer.json change what its class makes; tdbs prepares with tokenizer.json."""
    words = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "the",
        "film",
        "The",
        "Film",
        "e",
        "é",
        "a",
        *"wordnt",
        "two",
        "spaces",
    ]
    tokenizer = transformers.BertTokenizer(
        vocab={word: number for number, word in enumerate(words)}, do_lower_case=True
    )
    folder = tmp_path / "model"
    config = transformers.BertConfig(vocab_size=len(words) + 4, **SIZES)
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    rows = rows_of(6, pairs=False, sizes=SHORT)
    dataset = dataset_of(folder, rows, tmp_path)
    tdbs.Predictor(folder)
    place = folder / "tokenizer_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"tokenizer_class": "BertTokenizer"} | setting))
    begins = f"transformers reads the tokenizer of {folder} differently from its tokenizer.json: it makes other tokens"
    run = tmp_path / "run"
    to_train = partial(tdbs.train, dataset, model=str(folder), out=run)
    [text] = refusals(TokenizerError, to_train, partial(tdbs.Predictor, folder))
    assert text.startswith(begins)
    assert text.endswith(f"Save AutoTokenizer.from_pretrained('{folder}') in another folder, and prepare with that.")
    assert not run.exists()


def test_a_tokenizer_that_cuts_beginnings_is_refused(tmp_path):
    folder = save_family(FAMILIES["bert"], tmp_path / "model")
    place = folder / "tokenizer_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {"truncation_side": "left"}))
    rows = write_rows(tmp_path / "rows.csv", rows_of(6, pairs=False, sizes=SHORT))
    to_prepare = partial(tdbs.prepare, str(rows), tokenizer=str(folder), out=tmp_path / "dataset")
    assert refusals(TokenizerError, partial(tdbs.Predictor, folder), to_prepare) == {
        f"The tokenizer {folder} cuts the beginning of long texts; tdbs cuts the end. "
        'Set "truncation_side": "right" in its tokenizer_config.json if the model may read the beginning instead.'
    }


DAMAGED = {"hidden_size": "x", "num_attention_heads": 0, "id2label": [], "architectures": 5, "pad_token_id": "a"}


@pytest.mark.parametrize("field", DAMAGED)
def test_a_damaged_configuration_is_an_error_that_names_the_model(field, tmp_path):
    folder = save_family(FAMILIES["bert"], tmp_path / "model")
    place = folder / "config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | {field: DAMAGED[field]}))
    with pytest.raises(ModelError) as error:
        tdbs.Predictor(folder)
    assert str(folder) in error.value.message


@pytest.mark.parametrize("config", ["Data2VecTextConfig", "RobertaPreLayerNormConfig", "IBertConfig"])
def test_families_that_count_from_the_pad_id_take_fewer_tokens_than_they_have_positions(config):
    sizes = {**SIZES, "max_position_embeddings": 200, "pad_token_id": 1}
    assert position_limit_of(getattr(transformers, config)(**sizes)) == 198
