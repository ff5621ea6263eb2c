"""`tdbs audit`: what it prints, its JSON, and its page, on a small dataset with known faults."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer

from tests.cli.conftest import TOKENIZER, Command, run_command

HEAD = "text,label\n"
Refused = Callable[..., tuple[str, str]]


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dataset whose validation has a sample of train with another label."""
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "rows").mkdir()
    (folder / "rows/train.csv").write_text(HEAD + "a good film,yes\na bad film,no\n")
    (folder / "rows/validation.csv").write_text(HEAD + "A good film!,no\nan actor,yes\n")
    made = run_command("prepare", folder / "rows", "--tokenizer", TOKENIZER, "--out", folder / "data")
    assert made.code == 0, made.stderr
    return folder / "data"


def test_findings_are_results_and_the_exit_code_is_0(faulty: Path, tdbs: Command):
    """The table, an example with both rows, and the command that fixes it are on stdout."""
    found = tdbs("audit", faulty)
    assert "normalized leaks" in found.stdout
    assert "  validation row 1 [no]: a good film! (and train row 1 [yes])\n" in found.stdout
    again = f"tdbs prepare {faulty.parent / 'rows'} --tokenizer {TOKENIZER}"
    assert f"  fix: {again} --drop-duplicates near --keep-out validation\n" in found.stdout
    assert f"  fix: Choose one label for validation rows 1 and train 1, then run: {again}\n" in found.stdout
    assert "Prepared with at most 128 tokens." in found.stdout


def test_texts_that_show_nothing_are_seen(tdbs: Command, workplace: Path):
    """A tokenizer takes zero-width characters out, and knows no old letters: both would print as nothing."""
    (workplace / "r.csv").write_text(HEAD + "\u200b\u2060,yes\n\U00010c00,no\na film,yes\n", encoding="utf-8")
    tdbs("prepare", "r.csv", "--tokenizer", TOKENIZER, "--out", "d")
    lines = tdbs("audit", "d").stdout.splitlines()
    assert '  train row 1 [yes]: ""' in lines
    assert "  train row 2 [no]: [UNK]" in lines


def test_json_has_one_object_with_the_findings(faulty: Path, tdbs: Command):
    """Kinds, counts and examples; no page was asked for."""
    found = tdbs("audit", faulty, "--json").json
    kinds = {(each["kind"], each["split"]): each["count"] for each in found["findings"]}
    assert kinds["normalized_leaks", "validation"] == 1
    assert kinds["conflicts_with_train", "validation"] == 1
    assert found["warnings"] == sum(each["severity"] == "warning" for each in found["findings"])
    assert (found["html"], found["rows"]) == (None, None)


def test_a_page_is_written_where_nothing_is(faulty: Path, tdbs: Command, refused: Refused, tmp_path: Path):
    page = tmp_path / "audit.html"
    assert tdbs("audit", faulty, "--html", page).stdout.splitlines()[-1] == str(page)
    assert "tdbs audit" in page.read_text(encoding="utf-8")
    assert refused("audit", faulty, "--html", page) == (
        f"{page} already exists.",
        "Pass another --html, or --overwrite.",
    )
    assert tdbs("audit", faulty, "--html", page, "--overwrite", "--json").json["html"] == str(page)
    assert refused("audit", faulty, "--html", tmp_path) == (
        f"{tmp_path} is a folder.",
        "Pass --html with the path of a file.",
    )


def test_the_rows_of_findings_are_written_one_a_line(faulty: Path, tdbs: Command, refused: Refused, tmp_path: Path):
    """They count from 1, as those of duplicates.jsonl; a file of another kind stays."""
    listed, mine = tmp_path / "rows.jsonl", tmp_path / "mine.jsonl"
    assert tdbs("audit", faulty, "--rows", listed).stdout.splitlines()[-1] == str(listed)
    lines = [json.loads(line) for line in listed.read_text(encoding="utf-8").splitlines()]
    found = tdbs("audit", faulty, "--rows", listed, "--overwrite", "--json").json
    assert found["rows"] == str(listed)
    assert lines == [
        {"finding": each["kind"], "split": each["split"], "row": example["row"]}
        for each in found["findings"]
        for example in each["examples"]
    ]
    assert {"finding": "normalized_leaks", "split": "validation", "row": 1} in lines
    assert refused("audit", faulty, "--rows", listed) == (
        f"{listed} already exists.",
        "Pass another --rows, or --overwrite.",
    )
    for text in ('{"finding": "leaks", "split": "train", "row": 1, "mine": 1}\n', "text\n", "[1]\n", "\udcff"):
        mine.write_bytes(text.encode(errors="surrogateescape"))
        assert refused("audit", faulty, "--rows", mine, "--overwrite") == (
            f"{mine} already exists, and tdbs did not write it.",
            "Pass another --rows.",
        )


@pytest.mark.parametrize(
    ("kind", "mark"), [("leaks", ""), ("normalized_leaks", "!"), ("near_leaks", " of all and of no one at all")]
)
def test_no_fix_leaves_out_all_of_train(kind: str, mark: str, tdbs: Command, workplace: Path):
    """All of train stands in validation, but for a mark or some words at the end: the fix holds out rows, and it runs.

    With one more row of train, the fix keeps out the others, and runs, too.
    """
    ending = " of war and of love and of old age that ran for a long time in the city of one man and one woman"
    held, other = [f"a good film{ending}", f"an old song{ending[::-1]}"], f"the play{ending[9:30]}"
    (workplace / "rows").mkdir()
    labelled = [f"{text}{mark},{'ab'[n % 2]}\n" for n, text in enumerate([*held, "a bad actor"])]
    (workplace / "rows/validation.csv").write_text(HEAD + "".join(labelled))
    for train in (held, [*held, other]):
        rows = HEAD + "".join(f"{text},{'ab'[n % 2]}\n" for n, text in enumerate(train * 5))
        for file in ("rows/train.csv", "TRAIN_FILE.csv"):
            (workplace / file).write_text(rows)
        tdbs("prepare", "rows", "--tokenizer", TOKENIZER, "--out", "d", "--overwrite")
        [leak] = [each for each in tdbs("audit", "d", "--json").json["findings"] if each["kind"] == kind]
        if len(train) == 2:
            lead, _, fix = leak["fix"].partition(": ")
            assert lead == (
                "All samples of train stand in validation, so --keep-out would leave none. "
                "Hold out a part of train in its place"
            )
        else:
            fix = leak["fix"]
            assert fix.endswith(" --keep-out validation")
        command = fix.replace("TRAIN_FILE", "TRAIN_FILE.csv")
        assert tdbs(*shlex.split(command)[1:], "--out", f"fixed{len(train)}").code == 0


def test_page_and_rows_in_one_file_are_refused(faulty: Path, refused: Refused, workplace: Path):
    """By the same path, another one, or another name of a file that is there; nothing is written or replaced."""
    (workplace / "folder").mkdir()
    (workplace / "link").symlink_to("folder")
    for html, rows in (("one", "one"), ("one", "./folder/../one"), ("folder/one", workplace / "link/one")):
        assert refused("audit", faulty, "--html", html, "--rows", rows, "--overwrite") == (
            f"--html and --rows name the same file, {html}.",
            "Pass another --rows.",
        )
    assert {path.name for path in workplace.rglob("*")} == {"folder", "link"}
    (workplace / "a").touch()
    (workplace / "b").hardlink_to(workplace / "a")
    assert refused("audit", faulty, "--html", "a", "--rows", "b")[0] == "--html and --rows name the same file, a."
    assert (workplace / "a").read_bytes() == b""


def test_a_false_negative_is_shown_and_named(tdbs: Command, workplace: Path):
    """The text at fault is behind a query that fills the line, and all rows of the finding are in the list."""
    rows = [{"q": f"{'a long query ' * 9}{n}", "p": f"answer {n}", "n": ["another", f"Answer {n}."]} for n in range(5)]
    (workplace / "r.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    tdbs("prepare", "r.jsonl", "--columns", "q,p,n", "--tokenizer", TOKENIZER, "--out", "d")
    found = tdbs("audit", "d", "--rows", "found.jsonl").stdout
    assert "; at fault: answer 0. (and train row 1)\n" in found
    lines = [json.loads(line) for line in (workplace / "found.jsonl").read_text(encoding="utf-8").splitlines()]
    wrong = [{"finding": "false_negatives", "split": "train", "row": number} for number in (1, 2, 3, 4, 5)]
    assert [line for line in lines if line["finding"] == "false_negatives"] == wrong


def test_no_fix_is_longer_than_the_model_takes(tdbs: Command, workplace: Path):
    """Of 90 samples a third has 32 tokens and a tenth 92; the model takes 40, so a fix of 92 would be refused.

    At 40 the fix is another model. The limit is no part of the key, and a dataset that lacks it is not capped.
    """
    shutil.copytree(TOKENIZER, workplace / "short")
    (workplace / "short/tokenizer_config.json").write_text('{"model_max_length": 40}')
    texts = ["film " * (90 if n % 10 == 0 else 30 if n % 3 == 0 else 5) + f",{n % 2}" for n in range(90)]
    (workplace / "r.csv").write_text(HEAD + "".join(f"{text}\n" for text in texts))

    def told(out: str) -> tuple[str, str]:
        [cut] = [each for each in tdbs("audit", out, "--json").json["findings"] if each["kind"] == "truncation"]
        return cut["what"], cut["fix"]

    prepare = ("prepare", "r.csv", "--tokenizer", "short", "--max-length")
    said = tdbs(*prepare, 16, "--out", "one").stdout
    assert (
        "Samples cut at 16 tokens: 36 of train (40.0%); short takes at most 40, which cut 9 of train (10.0%).\n" in said
    )
    what, fix = told("one")
    assert (
        what
        == "Samples of train cut at 16 tokens: 36, which lost 1,116 tokens. short takes at most 40 tokens, which cut 9."
    )
    assert fix.endswith(" --max-length 40")
    assert tdbs(*shlex.split(fix)[1:], "--out", "two").code == 0
    assert (
        "Samples cut at 40 tokens: 9 of train (10.0%); short takes no more.\n"
        in tdbs(*prepare, 40, "--out", "two").stdout
    )
    again = f"tdbs prepare {workplace / 'r.csv'} --tokenizer ANOTHER --max-length 92"
    assert told("two") == (
        "Samples of train cut at 40 tokens: 9, which lost 468 tokens.",
        f"short takes at most 40 tokens. Shorten the texts, or choose a model that takes more: {again}",
    )
    path = workplace / "one/manifest.json"
    older = json.loads(path.read_text())
    (workplace / "short/tokenizer_config.json").unlink()
    unlimited = json.loads(
        Path(tdbs(*prepare, 16, "--out", "three", "--json").json["path"], "manifest.json").read_text()
    )
    assert (older["tokenizer"].pop("model_max_length"), unlimited["tokenizer"]["model_max_length"]) == (40, None)
    assert unlimited["key"] == older["key"]
    path.write_text(json.dumps(older))
    assert told("one")[1].endswith(" --max-length 92")


@pytest.mark.real_data
def test_news_longer_than_bert_takes_have_a_fix_that_works(tdbs: Command, workplace: Path, shared: Path):
    """BERT takes 512 tokens, and many articles have more, counted by the library; the command is run as it is said."""
    articles = pq.read_table(shared / "datasets/bbc_news_summary/train.parquet").slice(0, 200)["document"]
    labels = pa.array([str(n % 2) for n in range(200)])
    pq.write_table(pa.table({"text": articles, "label": labels}), workplace / "news.parquet")
    folder = shared / "tokenizers/bert-base-uncased"
    theirs = Tokenizer.from_file(str(folder / "tokenizer.json"))
    theirs.no_truncation()
    longer = sum(len(each.ids) > 512 for each in theirs.encode_batch(articles.to_pylist()))
    assert longer > 2
    tdbs("prepare", "news.parquet", "--tokenizer", folder, "--out", "d")
    [cut] = [each for each in tdbs("audit", "d", "--json").json["findings"] if each["kind"] == "truncation"]
    assert cut["what"].endswith(f" bert-base-uncased takes at most 512 tokens, which cut {longer}.")
    assert tdbs(*shlex.split(cut["fix"])[1:], "--out", "e", "--json").json["splits"]["train"]["cut"] == longer


def test_windows_of_questions_are_not_cut(tdbs: Command, workplace: Path):
    """A third of the length makes more windows of the same contexts, and loses no token; prepare says nothing."""
    rows = [
        {"question": "who ?", "context": f"{n} " + "word " * 150, "answers": {"text": ["word"], "answer_start": [2]}}
        for n in range(9)
    ]
    (workplace / "r.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    windows = []
    for length in (64, 24):
        options = ("--max-length", length, "--tokenizer", TOKENIZER, "--out", f"d{length}")
        assert "99%" not in tdbs("prepare", "r.jsonl", *options).stdout
        audited = tdbs("audit", f"d{length}", "--json").json
        told = audited["splits"]["train"]["truncation"]
        lengths = sorted({64, 128, 256, 512, length})
        assert told["cuts"] == [{"max_length": each, "samples": 0, "tokens_lost": 0} for each in lengths]
        assert (told["samples"], told["tokens_lost"], told["keeps_99_percent"]) == (0, 0, None)
        assert "truncation" not in {each["kind"] for each in audited["findings"]}
        windows.append(audited["splits"]["train"]["rows"])
    assert windows[1] > 2 * windows[0] > 2 * len(rows)
    page = tdbs("audit", "d64").stdout
    assert "Samples are windows: no length cuts them, a shorter one makes more of them.\n" in page
    assert [line.split() for line in page.splitlines() if line.startswith("train  ")][-1] == [
        "train",
        "64",
        "0",
        "0",
        "–",
    ]


def test_a_folder_that_is_not_a_dataset_is_refused(refused: Refused, tmp_path: Path):
    assert refused("audit", tmp_path) == (
        f"{tmp_path} is not a prepared dataset: it has no manifest.json.",
        "Run tdbs prepare, or pass the folder that it printed.",
    )


def test_a_scored_run_adds_the_labels_that_are_likely_wrong(
    small: Path, tdbs: Command, refused: Refused, workplace: Path
):
    """Count and order are those of `tdbs score`; a run that is not scored is refused with the command to run."""
    tdbs("train", small, "--model", "tiny", "--epochs", 1, "--out", "run")
    assert refused("audit", small, "--scores", "run") == ("The run run is not scored.", "Run: tdbs score run")
    scored = tdbs("score", "run", "--label-errors", 3, "--json").json
    assert scored["suspected"] >= 3
    [found] = [
        each
        for each in tdbs("audit", small, "--scores", "run", "--json").json["findings"]
        if each["kind"] == "likely_label_errors"
    ]
    assert (found["split"], found["count"]) == ("train", scored["suspected"])
    assert [(each["row"], each["label"]) for each in found["examples"]] == [
        (each["source_row"] + 1, each["label"]) for each in scored["label_errors"]
    ]


def test_scores_of_another_source_are_refused(
    faulty: Path, small: Path, tdbs: Command, refused: Refused, workplace: Path
):
    tdbs("train", small, "--model", "tiny", "--epochs", 1, "--out", "run")
    tdbs("score", "run")
    assert refused("audit", faulty, "--scores", "run") == (
        f"The run run was trained on another source than that of {faulty}.",
        "Name a run on the same source.",
    )


def test_a_bound_of_memory_changes_nothing_of_the_result(faulty: Path, tdbs: Command, refused: Refused):
    """The least memory that is enough; less is refused with what is."""
    message, next_step = refused("audit", faulty, "--memory", "100MiB")
    assert message.startswith("--memory 100MiB is too little memory for tdbs audit: 4 samples take ")
    least = next_step.removeprefix("Pass --memory ").removesuffix(" or more.")
    assert tdbs("audit", faulty, "--memory", least, "--json").json == tdbs("audit", faulty, "--json").json
