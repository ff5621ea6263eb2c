"""Inputs of every format, outputs of both, kinds of tasks, bad rows, and what is refused."""

import gzip
import io
import json
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import tdbs
from tdbs.errors import TdbsError
from tdbs.inference.predict import predict
from tests.inference.conftest import read_jsonl, write_csv, write_jsonl
from tests.inference.models import CLASSES, one_by_one, save_checkpoint

ROWS = [{"text": "a fine film"}, {"text": 'a "bad" one, really'}, {"text": "it is what it is"}]


def refused(*arguments, **options) -> tuple[str, str]:
    with pytest.raises(TdbsError) as found:
        predict(*arguments, **options)
    return found.value.message, found.value.next_step


def write_rows(path):
    columns = {"text": [row["text"] for row in ROWS]}
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".csv":
        write_csv(path, ["text"], [[text] for text in columns["text"]])
    elif path.suffix == ".tsv":
        path.write_text("\n".join(["text", *columns["text"]]) + "\n")
    else:
        write_jsonl(path, ROWS)
    return path


@pytest.mark.parametrize("out_suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_all_formats_say_the_same(suffix, out_suffix, checkpoint_of, tmp_path):
    folder, out = checkpoint_of("classification"), tmp_path / f"out{out_suffix}"
    result = predict(folder, write_rows(tmp_path / f"in{suffix}"), out=out, precision="fp32")
    rows = read_jsonl(out) if out_suffix == ".jsonl" else pq.read_table(out).to_pylist()
    assert (result.rows, result.skipped, [row["source_row"] for row in rows]) == (3, [], [0, 1, 2])
    found = np.array([[row["scores"][name] for name in CLASSES] for row in rows])
    assert found == pytest.approx(one_by_one(folder, [row["text"] for row in ROWS]), abs=1e-4)
    assert list(tmp_path.glob(".*")) == []


def test_a_file_is_read_as_the_user_says(checkpoint_of, tmp_path):
    """A dialect, an encoding and no header; another reading is another run to resume."""
    folder, place, out = checkpoint_of("classification"), tmp_path / "in.csv", tmp_path / "out.jsonl"
    texts = ["ein Stück; fein", "noch eins, schön"]
    place.write_bytes("".join(f"'{text}'#1\n" for text in texts).encode("cp1252"))
    reading = {"delimiter": "#", "quote": "'", "no_header": True, "encoding": "cp1252"}
    predict(folder, place, text="1", out=out, precision="fp32", **reading)
    found = np.array([list(row["scores"].values()) for row in read_jsonl(out)])
    assert found == pytest.approx(one_by_one(folder, texts), abs=1e-4)
    assert refused(folder, "-", quote="'") == ("--quote only applies to files.", "Leave it out.")


def test_a_compressed_file_is_predicted_as_the_plain_one(checkpoint_of, tmp_path):
    plain = write_rows(tmp_path / "in.csv")
    packed = tmp_path / "in.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    for path in (plain, packed):
        predict(checkpoint_of("classification"), path, out=tmp_path / f"{path.name}.jsonl", precision="fp32")
    rows = read_jsonl(tmp_path / "in.csv.gz.jsonl")
    assert len(rows) == len(ROWS)
    assert rows == read_jsonl(tmp_path / "in.csv.jsonl")


def test_rows_go_to_stdout_where_no_file_is_named(checkpoint_of, tmp_path, capsys):
    predict(checkpoint_of("classification"), write_rows(tmp_path / "in.csv"))
    assert [json.loads(line)["source_row"] for line in capsys.readouterr().out.splitlines()] == [0, 1, 2]


@pytest.mark.parametrize("batch_size", [None, 1])
def test_a_line_of_stdin_is_a_text(batch_size, checkpoint_of, tmp_path, monkeypatch):
    folder = checkpoint_of("classification")
    lines = "\ufeffa fine film\n \nit is what it is\r\nlast"  # a mark of UTF-8 is not part of the text
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    predict(folder, "-", out=tmp_path / "out.jsonl", batch_size=batch_size, precision="fp32")
    found = np.array([list(row["scores"].values()) for row in read_jsonl(tmp_path / "out.jsonl")])
    assert found == pytest.approx(one_by_one(folder, ["a fine film", " ", "it is what it is", "last"]), abs=1e-4)


def test_a_line_is_answered_before_the_next_one_is_read(checkpoint_of):
    """Real time: with batches of one, a row is written as soon as its line has come."""
    out = io.StringIO()
    seen = []

    class Slow(io.BytesIO):
        def __iter__(self):
            for line in (b"one\n", b"two\n", b"three\n"):
                seen.append(out.getvalue().count("\n"))
                yield line

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", type("Stdin", (), {"buffer": Slow()}))
        result = predict(checkpoint_of("classification"), "-", out=out, batch_size=1)
    assert seen == [0, 1, 2]
    assert all(value > 0 for value in result.milliseconds.values())


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_an_input_without_rows_has_an_output_without_rows(suffix, checkpoint_of, tmp_path):
    out = tmp_path / f"out{suffix}"
    result = predict(checkpoint_of("classification"), write_csv(tmp_path / "in.csv", ["text"], []), out=out)
    assert (result.rows, result.tokens, result.padding_fraction) == (0, 0, 0.0)
    assert (pq.read_table(out).num_rows if suffix == ".parquet" else len(out.read_bytes())) == 0


def test_progress_ends_with_the_exact_total(checkpoint_of, csv_file, tmp_path, monkeypatch):
    monkeypatch.setattr("tdbs.inference.predict.BLOCK_ROWS", 50)
    told = []
    predict(
        checkpoint_of("classification"),
        csv_file,
        out=tmp_path / "out.jsonl",
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(50, 156), (100, 156), (150, 156), (156, 156)]


def kinds_file(kind, tmp_path):
    if kind == "token_classification":
        return write_jsonl(tmp_path / "in.jsonl", [{"tokens": row["text"].split()} for row in ROWS])
    if kind == "question_answering":
        rows = [{"question": "what is it?", "context": f"{row['text']} {'so ' * 150}"} for row in ROWS]
        return write_jsonl(tmp_path / "in.jsonl", rows)
    return write_rows(tmp_path / "in.jsonl")


@pytest.mark.parametrize("kind", ["regression", "multi_label", "token_classification", "question_answering", "seq2seq"])
def test_kinds_of_tasks(kind, checkpoint_of, tmp_path):
    """Each kind in batches and one by one, and what its rows hold."""
    folder, source = checkpoint_of(kind), kinds_file(kind, tmp_path)
    predict(folder, source, out=tmp_path / "a.jsonl", precision="fp32")
    predict(folder, source, out=tmp_path / "b.jsonl", precision="fp32", batch_size=1)
    predict(folder, source, out=tmp_path / "c.parquet", precision="fp32")
    found, alone = read_jsonl(tmp_path / "a.jsonl"), read_jsonl(tmp_path / "b.jsonl")
    for one, other in zip(found, alone, strict=True):
        if kind == "regression":
            assert one["prediction"] == pytest.approx(other["prediction"], abs=1e-4)
        else:
            assert one["prediction"] == other["prediction"]
    assert pq.read_table(tmp_path / "c.parquet").num_rows == 3
    if kind == "multi_label":
        for row in found:
            assert row["prediction"] == [name for name, score in row["scores"].items() if score > 0.5]
    if kind == "token_classification":
        assert [len(row["prediction"]) for row in found] == [len(row["text"].split()) for row in ROWS]
        assert all(set(row["prediction"]) <= set(CLASSES) for row in found)
    if kind == "question_answering":
        contexts = [json.loads(line)["context"] for line in source.read_text().splitlines()]
        assert all(row["prediction"] in context for row, context in zip(found, contexts, strict=True))


def test_words_behind_the_maximum_have_no_label(checkpoint_of, tmp_path):
    source = write_jsonl(tmp_path / "in.jsonl", [{"text": "one two three four five"}])
    predict(checkpoint_of("token_classification"), source, out=tmp_path / "out.jsonl", max_length=4)
    (row,) = read_jsonl(tmp_path / "out.jsonl")
    assert len(row["prediction"]) == 5
    assert row["prediction"][-1] is None
    assert row["scores"][-1] is None


BAD = {
    "in.csv": ('text,n\na fine film,1\n,2\none,two,three\n"it is",4\n', [2, 3], "Row 2 of in.csv has no 'text'."),
    "in.jsonl": (
        '{"text": "a"}\nnot json\n\n{"text": null}\n{"text": 4}\n[1]\n{"text": "\\ud800"}\n{"text": "b"}\n',
        [2, 3, 4, 5, 6, 7],
        "Row 2 of in.jsonl is not JSON: Expecting value: line 1 column 1 (char 0).",
    ),
}


@pytest.mark.parametrize("name", list(BAD))
def test_bad_rows_are_named_and_left_out_only_when_asked(name, checkpoint_of, tmp_path):
    text, bad, cause = BAD[name]
    source, out = tmp_path / name, tmp_path / "out.jsonl"
    source.write_text(text)
    folder = checkpoint_of("classification")
    if name == "in.csv":
        cause = "Row 3 of in.csv has a different number of fields (3) than the header (2)."
    assert refused(folder, source, out=out)[0] == cause
    assert list(tmp_path.iterdir()) == [source]
    result = predict(folder, source, out=out, skip_bad_rows=True)
    rows = len(text.splitlines()) - (name == "in.csv")
    assert result.skipped == bad
    assert [row["source_row"] + 1 for row in read_jsonl(out)] == [n for n in range(1, rows + 1) if n not in bad]


EMPTY = {
    "in.csv": "n,text\n1,a fine film\n2,\n3, \n4,last\n",
    "in.jsonl": '{"text": "a fine film"}\n{"text": ""}\n{"text": " "}\n{"text": "last"}\n',
    "-": "a fine film\n\n \nlast\n",
}


@pytest.mark.parametrize(("kind", "bad"), [("classification", [2]), ("embedding", [2, 3])])
@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_text_is_a_bad_row_of_every_input(name, kind, bad, checkpoint_of, grouped_run, tmp_path, monkeypatch):
    """Blanks are a text to classify, but not one to embed, as in `prepare`."""
    monkeypatch.chdir(tmp_path)
    source, out = Path(name), tmp_path / "out.jsonl"
    folder = grouped_run("embedding") / "run" if kind == "embedding" else checkpoint_of(kind)
    if name != "-":
        source.write_text(EMPTY[name])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(EMPTY[name].encode())))
    cause, next_step = refused(folder, source, out=out)
    if name == "-":
        assert (cause, next_step) == ("Row 2 of stdin has no text.", "Leave the line out; or pass --skip-bad-rows.")
    else:
        assert cause == f"Row 2 of {name} has no 'text'."
        assert next_step == "Fill the row or delete it; or pass --skip-bad-rows."
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(EMPTY[name].encode())))
    assert predict(folder, source, out=out, skip_bad_rows=True).skipped == bad
    assert [row["source_row"] + 1 for row in read_jsonl(out)] == [row for row in (1, 2, 3, 4) if row not in bad]


def test_a_question_that_is_too_long_is_a_bad_row(checkpoint_of, tmp_path):
    rows = [{"question": "what? " * repeats, "context": "it is so"} for repeats in (1, 200, 2)]
    source, out = write_jsonl(tmp_path / "in.jsonl", rows), tmp_path / "out.jsonl"
    folder = checkpoint_of("question_answering")
    cause, next_step = refused(folder, source, out=out)
    assert cause.startswith("Row 2 of in.jsonl has a question of ")
    assert (
        next_step
        == "Shorten the question, or pass a larger --max-length or a smaller --stride; or pass --skip-bad-rows."
    )
    assert predict(folder, source, out=out, skip_bad_rows=True).skipped == [2]
    assert [row["source_row"] for row in read_jsonl(out)] == [0, 2]


def test_what_is_there_stays(checkpoint_of, csv_file, tmp_path):
    folder, out = checkpoint_of("classification"), tmp_path / "out.jsonl"
    predict(folder, csv_file, out=out)
    before = out.read_bytes()
    assert refused(folder, csv_file, out=out) == (f"{out} already exists.", "Pass another --out, or --overwrite.")
    assert refused(folder, csv_file, out=out, resume=True) == (
        f"{out} is finished: there is nothing to resume.",
        "Pass another --out, or --overwrite.",
    )
    assert out.read_bytes() == before
    predict(folder, csv_file, out=out, overwrite=True)
    assert len(read_jsonl(out)) == 156


def refusals(checkpoint_of, tmp_path):
    folder, file = checkpoint_of("classification"), write_rows(tmp_path / "in.csv")
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    words = checkpoint_of("token_classification")
    headless = save_checkpoint(tmp_path / "headless", "headless")
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.toml").write_text('plan_digest = "1"\n')
    return {
        (folder, tmp_path / "none.csv"): (
            f"File {tmp_path / 'none.csv'} does not exist.",
            "Pass a CSV, TSV, JSONL or Parquet file, a prepared dataset, or - to read lines from stdin.",
        ),
        (folder, tmp_path): (
            f"{tmp_path} is a folder, but not a prepared dataset.",
            "Pass one of its files; or run tdbs prepare on it, and pass the dataset.",
        ),
        (folder, tmp_path / "other.csv"): (
            "other.csv has no column 'text'; it has: 'a', 'b'.",
            "Name the column with --text.",
        ),
        (folder, "-", ("text", "body")): (
            "--text only applies to files; each line of stdin is a text.",
            "Leave it out.",
        ),
        (folder, Path("/dev/null")): (
            "/dev/null is not a file.",
            "Pass a CSV, TSV, JSONL or Parquet file, a prepared dataset, or - to read lines from stdin.",
        ),
        (folder, file, ("split", "test")): ("--split only applies to prepared datasets.", "Leave it out."),
        (folder, file, ("out", tmp_path / "x.csv")): (
            "--out x.csv is neither JSONL nor Parquet.",
            "Name it .jsonl or .parquet.",
        ),
        (folder, file, ("max_length", 500)): (
            f"--max-length 500 is beyond {folder}, which takes at most 128 tokens.",
            "Pass --max-length 128 or less.",
        ),
        (folder, file, ("prefix", "x: ")): ("--prefix only applies to models that generate texts.", "Leave it out."),
        (folder, file, ("resume", True)): (
            "--resume needs --out: it continues the predictions of a file.",
            "Leave it out.",
        ),
        (words, file, ("drop_rate", 0.5)): (
            "Every word gets a label here, so none can be dropped.",
            "Leave --drop and --drop-rate out.",
        ),
        (checkpoint_of("seq2seq"), file, ("strategy", "unpadded")): (
            "The strategy unpadded puts several samples in a row, which this model cannot run.",
            "Choose another strategy, such as sorted.",
        ),
        (checkpoint_of("question_answering"), "-"): (
            "A line of stdin is one text; this model takes two.",
            "Pass a file, with --text and --pair.",
        ),
        (headless, file): (
            f"The model {headless} has no head that predicts: it is a BertModel.",
            "Fine-tune it with tdbs train --model, or pass a checkpoint that was fine-tuned.",
        ),
        (checkpoint_of("classification"), run): (
            f"{run} is a run, not a prepared dataset.",
            "Pass its dataset; or run tdbs report, evaluate, score or predict on the run.",
        ),
        (tmp_path / "nowhere", file): (
            f"{tmp_path / 'nowhere'} is neither a tdbs run nor a model: it is not a folder, and the hub cannot be "
            "reached or does not have it.",
            "Pass the folder of a run or of a checkpoint, or a hub name.",
        ),
    }


def test_what_is_refused(checkpoint_of, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for (model, source, *options), expected in refusals(checkpoint_of, tmp_path).items():
        assert refused(model, source, **dict(options)) == expected


def test_the_package_offers_both():
    assert tdbs.predict is predict
    assert tdbs.Predictor.__module__ == "tdbs.inference.predictor"


def test_words_that_are_written_as_lists_are_refused(checkpoint_of, tmp_path):
    """Split at white space, their brackets and quotes would be words."""
    source = write_csv(tmp_path / "in.csv", ["tokens"], [["['a', 'film']"], ["['so']"]])
    assert refused(checkpoint_of("token_classification"), source, out=tmp_path / "out.jsonl") == (
        "'tokens' of in.csv contains lists of words, written as texts.",
        'Write JSONL lines such as {"tokens": ["a", "film"]}, or texts with spaces between words.',
    )
    assert not (tmp_path / "out.jsonl").exists()
    mixed = write_csv(tmp_path / "mixed.csv", ["tokens"], [["['a', 'film']"], ["so"]])
    assert predict(checkpoint_of("token_classification"), mixed, out=tmp_path / "mixed.jsonl").rows == 2


@pytest.mark.parametrize("option", [None, "text", " text "])
def test_blanks_around_the_names_of_columns_are_left_out(option, checkpoint_of, tmp_path):
    source = write_csv(tmp_path / "in.csv", ["id", " text "], [["1", "a fine film"]])
    assert predict(checkpoint_of("classification"), source, text=option, out=tmp_path / "out.jsonl").rows == 1
