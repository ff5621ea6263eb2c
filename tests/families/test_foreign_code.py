"""A folder's own Python is never run, whatever is written to standard input, and nothing waits for an answer."""

import io
import json
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import tdbs
from tdbs.errors import TdbsError
from tests.families.folders import save_family
from tests.families.reference import SHORT, rows_of, write_rows
from tests.families.table import FAMILIES
from tests.in_process import run_command

TDBS = [sys.executable, "-c", "from tdbs.cli import main; main()"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Return a place with a model, a dataset and a run of it, and texts."""
    place = tmp_path_factory.mktemp("sound")
    save_family(FAMILIES["bert"], place / "model")
    rows = write_rows(place / "rows.csv", rows_of(8, pairs=False, sizes=SHORT))
    tdbs.prepare(str(rows), validation=str(rows), tokenizer=str(place / "model"), out=place / "dataset")
    tdbs.train(place / "dataset", model=str(place / "model"), epochs=1, out=place / "run", precision="fp32")
    return place


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def poison(folder: Path, marker: Path, how: str) -> None:
    """Put code into a model's folder, in each of the ways that transformers knows."""
    code = f"open({str(marker)!r}, 'w').close()\n"
    names = ("Config", "Model", "ModelForSequenceClassification", "Tokenizer", "TokenizerFast")
    classes = "".join(f"class Own{name}: pass\n" for name in names)
    (folder / "own.py").write_text(code + classes)
    models = {
        "AutoConfig": "own.OwnConfig",
        "AutoModel": "own.OwnModel",
        "AutoModelForSequenceClassification": "own.OwnModelForSequenceClassification",
        "AutoTokenizer": ["own.OwnTokenizer", "own.OwnTokenizerFast"],
    }
    if how == "known kind":
        change(folder / "config.json", auto_map=models)
    elif how == "unknown kind":
        change(folder / "config.json", auto_map=models, model_type="own")
    elif how == "tokenizer":
        change(folder / "tokenizer_config.json", auto_map=models, tokenizer_class="OwnTokenizer")
        (folder / "tokenizer.json").unlink()
    else:
        (folder / "custom_generate").mkdir()
        (folder / "custom_generate/generate.py").write_text(code + "def generate(*_a, **_b): pass\n")


@pytest.mark.parametrize("how", ["known kind", "unknown kind", "tokenizer", "generation"])
def test_code_in_a_folder_is_not_run(how, sound, tmp_path, monkeypatch):
    """Of a model, of a run and of a tokenizer: each call ends well or with an error of ours, and reads no answer."""
    place, marker = tmp_path / "place", tmp_path / "executed"
    shutil.copytree(sound, place)
    for folder in (place / "model", place / "run/model"):
        poison(folder, marker, how)
    rows = place / "rows.csv"
    answers = io.StringIO("y\n" * 1000)
    refusals = (TdbsError,) if how in ("unknown kind", "tokenizer") else ()
    for number, call in enumerate(
        (
            lambda: tdbs.evaluate(place / "run", dataset=tdbs.load(place / "dataset")),
            lambda: tdbs.predict(place / "run", rows, out=tmp_path / "run.jsonl"),
            lambda: tdbs.predict(place / "run/model", rows, out=tmp_path / "model.jsonl"),
            lambda: tdbs.Predictor(place / "model"),
            lambda: tdbs.train(place / "dataset", model=str(place / "model"), epochs=1, out=tmp_path / "again"),
            lambda: tdbs.prepare(str(rows), tokenizer=str(place / "model"), out=tmp_path / "prepared"),
        )
    ):
        monkeypatch.setattr(sys, "stdin", answers)
        with suppress(*refusals):
            call()
        assert not marker.exists(), number
        assert answers.tell() == 0


def test_yes_into_the_command_line_runs_no_code(sound, tmp_path):
    """As a user would be tricked: the answers to a question are there before it is asked."""
    place, marker = tmp_path / "place", tmp_path / "executed"
    shutil.copytree(sound, place)
    poison(place / "run/model", marker, "unknown kind")
    command, answers = ["evaluate", str(place / "run")], "y\n" * 1000
    done = subprocess.run([*TDBS, *command], input=answers, capture_output=True, text=True, check=False)
    read = run_command("predict", place / "run", "-", folder=tmp_path, stdin=answers)
    assert (done.returncode, read.code) == (1, 1), done.stderr + read.stderr
    assert "Traceback" not in done.stderr + read.stderr
    assert not marker.exists()


def test_one_place_opens_models_and_one_opens_tokenizers():
    """A search of the code finds each call that may run a folder's code once, with remote code refused."""
    found = [
        (path.relative_to(root).as_posix(), line.strip())
        for root in [Path(tdbs.__file__).parent]
        for path in sorted(root.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if "next_step" not in line and re.search(r"\.from_pretrained\(|\.from_config\(|Tokenizer\.from_", line)
    ]
    of_a_card = ["hub/model_card.py"] * 2  # what its reader may run
    assert [path for path, _ in found] == [
        *of_a_card,
        *["pipeline/tokens/tokenizer.py"] * 2,
        *["train/models/load.py"] * 3,
    ]
