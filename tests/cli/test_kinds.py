"""Every kind of task, from a file that a user brings to a report: what the tiny model can learn, it learns.

The files are made by a seeded generator of the sample's own words, so that a tenth of the built-in corpus's time is
enough; each kind goes through the same commands, and each number is said once and is the same everywhere.
"""

import csv
import json
import shlex
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tdbs.data.sample.words import CHARGED, NEUTRAL
from tests.cli.conftest import TOKENIZER, Outcome
from tests.cli.test_commands import PUBLIC_KEYS, check_kinds

Row = dict[str, Any]
Chance = np.random.Generator

NAMES, PLACES, FILMS, TOPICS, PARTS = (NEUTRAL[slot] for slot in ("NAME", "PLACE", "FILM", "TOPIC", "PART"))
BAD, GOOD = (by_slot["ADJ"][:4] for by_slot in CHARGED)
FEARS = ("death", "war", "crime", "grief")
CALM = tuple(topic for topic in TOPICS if topic not in FEARS)


# ------------------------------------------------------------------------------------------------------ rows of a kind


def aside(chance: Chance) -> str:
    """Return a few words that say nothing of any label, droppable ones among them."""
    return chance.choice((f"the {chance.choice(PARTS)}", f"in the {chance.choice(FILMS)}", "here", "again and again"))


def entities(chance: Chance) -> Row:
    """Names of one or two words, places, and words of no entity between them."""
    words: list[str] = []
    tags: list[str] = []
    for _ in range(chance.integers(1, 4)):
        kind = chance.choice(("PER", "LOC", "O"))
        found = {
            "PER": [str(name) for name in chance.choice(NAMES, chance.integers(1, 3))],
            "LOC": [str(chance.choice(PLACES))],
            "O": aside(chance).split(),
        }[kind]
        words += [*found, "and", "the"]
        tags += ["O"] * len(found) if kind == "O" else [f"B-{kind}", *[f"I-{kind}"] * (len(found) - 1)]
        tags += ["O", "O"]
    return {"tokens": words, "ner_tags": tags}


def feelings(chance: Chance) -> Row:
    """Each of three feelings holds where one of its words is there; often none does."""
    holds = {name: bool(chance.random() < 0.4) for name in ("joy", "anger", "fear")}
    words = {"joy": GOOD, "anger": BAD, "fear": FEARS}
    said = [str(chance.choice(words[name])) for name in holds if holds[name]]
    return {"text": " and ".join([aside(chance), *said, aside(chance)]), **{name: int(holds[name]) for name in holds}}


def listed_feelings(chance: Chance) -> Row:
    row = feelings(chance)
    return {"text": row["text"], "labels": [name for name in ("joy", "anger", "fear") if row[name]]}


THEMES = tuple(dict.fromkeys((*PLACES, *CALM, *PARTS)))[:30]


def themes(chance: Chance) -> Row:
    theme = str(chance.choice(THEMES))
    return {"text": f"a story of {theme} and the {chance.choice(FILMS)}", "label": f"about {theme}"}


def counts(chance: Chance) -> Row:
    """Three whole numbers: how many good words, bad words and names."""
    some = {"a": chance.integers(0, 4), "b": chance.integers(0, 4), "c": chance.integers(0, 4)}
    words = {"a": GOOD, "b": BAD, "c": NAMES}
    said = [str(word) for name, count in some.items() for word in chance.choice(words[name], count)]
    chance.shuffle(said)
    return {"text": " ".join(["the", *said, "of it"]), **{name: int(count) for name, count in some.items()}}


def shares(chance: Chance) -> Row:
    row = counts(chance)
    return {"text": row["text"], **{name: row[name] / 4 for name in ("a", "b", "c")}}


def question(chance: Chance) -> Row:
    """Who or where: a context of one or two windows holds one name, of two words, and one place."""
    name, place = " ".join(chance.choice(NAMES, 2)), str(chance.choice(PLACES))
    facts = [f"{name} plays the painter", f"it is set in {place}"]
    facts += [aside(chance) for _ in range(chance.integers(2, 7))]
    chance.shuffle(facts)
    context = " . ".join(facts)
    asked, answer = (("who plays it", name), ("where is it set", place))[chance.integers(2)]
    return {
        "question": asked,
        "context": context,
        "answers": {"text": [answer], "answer_start": [context.index(answer)]},
    }


def renamed_question(chance: Chance) -> Row:
    row = question(chance)
    return {"ask": row["question"], "passage": row["context"], "gold": row["answers"]}


def news(chance: Chance) -> Row:
    place, topic = chance.choice(PLACES), chance.choice(CALM)
    return {
        "article": f"{aside(chance)} of a film about {topic} , which is set in {place} {aside(chance)}",
        "headline": f"{topic} in {place}",
    }


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


# ------------------------------------------------------------------------------------------------------------ the cases


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file, what the user says of it, and what must come of it."""

    row: Callable[[Chance], Row]
    file: str
    kind: str
    labels: str  # columns, as the report names them
    metrics: tuple[str, ...]
    least: float  # of every metric; chance is far from it
    shown: Callable[[Row], str]  # label of a sample, as `inspect` shows it
    classes: tuple[str, ...] = ()
    options: str = ""  # of prepare
    rows: int = 400
    epochs: int = 8


def shown_entities(row: Row) -> str:
    pairs = zip(row["tokens"], row["ner_tags"], strict=True)
    return ", ".join(f"{word.lower()} {tag}" for word, tag in pairs if tag != "O")


def shown_feelings(row: Row, order: Sequence[str] = ("joy", "anger", "fear")) -> str:
    held = row.get("labels", [name for name in order if row.get(name)])
    return ", ".join(name for name in order if name in held) or "no class"


def shown_numbers(row: Row) -> str:
    return ", ".join(f"{row[name]:g}" for name in ("a", "b", "c"))


CASES = {
    "token classification": Case(
        row=entities,
        file="entities.jsonl",
        kind="token_classification",
        labels="ner_tags",
        classes=("B-LOC", "B-PER", "I-PER", "O"),
        metrics=("f1", "precision", "recall"),
        least=0.8,
        shown=shown_entities,
        rows=300,
        epochs=6,
    ),
    "multi-label columns": Case(
        row=feelings,
        file="feelings.csv",
        kind="multi_label",
        labels="joy,anger,fear",
        classes=("joy", "anger", "fear"),
        metrics=("f1_micro", "f1_macro"),
        least=0.8,
        shown=shown_feelings,
        options="--label joy,anger,fear",
    ),
    "multi-label lists": Case(
        row=listed_feelings,
        file="feelings.jsonl",
        kind="multi_label",
        labels="labels",
        classes=("anger", "fear", "joy"),
        metrics=("f1_micro", "f1_macro"),
        least=0.8,
        shown=lambda row: shown_feelings(row, ("anger", "fear", "joy")),
        options="--label labels",
    ),
    "30 classes": Case(
        row=themes,
        file="themes.csv",
        kind="classification",
        labels="label",
        classes=tuple(sorted(f"about {theme}" for theme in THEMES)),
        metrics=("accuracy", "f1_macro"),
        least=0.8,
        shown=lambda row: row["label"],
        rows=600,
        epochs=5,
    ),
    "several whole numbers": Case(
        row=counts,
        file="counts.csv",
        kind="regression",
        labels="a,b,c",
        metrics=("pearson", "spearman"),
        least=0.8,
        shown=shown_numbers,
        options="--label a,b,c --label-type regression",
        epochs=14,
    ),
    "several fractions": Case(
        row=shares,
        file="shares.csv",
        kind="regression",
        labels="a,b,c",
        metrics=("pearson", "spearman"),
        least=0.8,
        shown=shown_numbers,
        options="--label a,b,c",
        epochs=14,
    ),
    "question answering": Case(
        row=question,
        file="questions.jsonl",
        kind="question_answering",
        labels="answers",
        metrics=("f1", "exact_match"),
        least=0.7,
        shown=lambda row: row["answers"]["text"][0].lower(),
        options="--max-length 32 --stride 8",
        rows=700,
        epochs=7,
    ),
    "questions under other names": Case(
        row=renamed_question,
        file="asked.jsonl",
        kind="question_answering",
        labels="gold",
        metrics=("f1", "exact_match"),
        least=0.7,
        shown=lambda row: row["gold"]["text"][0].lower(),
        options="--text ask --pair passage --label gold --max-length 32 --stride 8",
        rows=700,
        epochs=7,
    ),
    "sequence to sequence": Case(
        row=news,
        file="news.jsonl",
        kind="seq2seq",
        labels="headline",
        metrics=("rouge1", "rouge2", "rougeL"),
        least=0.0,
        shown=lambda row: row["headline"],
        options="--text article --target headline --prefix 'summarize: ' --max-target-length 8",
        rows=120,
        epochs=3,
    ),
}
# Kinds that differ from another one in their labels alone, and those that learn longest
EVERY_NIGHT = {
    "question answering",
    "sequence to sequence",
    "multi-label lists",
    "questions under other names",
    "several whole numbers",
    "several fractions",
    "30 classes",
    "multi-label columns",
}
NAMED = [
    pytest.param(
        name,
        marks=[pytest.mark.real_data] * (case.kind == "seq2seq") + [pytest.mark.slow] * (name in EVERY_NIGHT),
    )
    for name, case in CASES.items()
]
HELD_OUT = 0.2


# ---------------------------------------------------------------------------------------------------------- the journey


def rows_of(case: Case) -> list[Row]:
    chance = np.random.default_rng(7)
    return [case.row(chance) for _ in range(case.rows)]


def prepare(case: Case, tokenizer: str | Path, *options: object) -> tuple[object, ...]:
    """Write the file into the current folder; return the command that prepares it."""
    (write_csv if case.file.endswith(".csv") else write_jsonl)(Path(case.file), rows_of(case))
    chosen = (*shlex.split(case.options), "--tokenizer", tokenizer, "--validation", HELD_OUT)
    return ("prepare", case.file, *chosen, *options)


@pytest.fixture
def tokenizer(request: pytest.FixtureRequest) -> Callable[[Case], str]:
    """Return a function that names the tokenizer of a case: the sample's has no end token, which texts need."""

    def of(case: Case) -> str:
        if case.kind != "seq2seq":
            return TOKENIZER
        return str(request.getfixturevalue("shared") / "tokenizers/t5-small")

    return of


@pytest.mark.parametrize("name", NAMED)
def test_a_users_file_goes_the_whole_way(tdbs, workplace, tokenizer, name):
    """Prepare, inspect, plan, estimate, train, evaluate, report: public keys, one set of numbers, and it learns."""
    case = CASES[name]
    rows = rows_of(case)
    prepared = tdbs(*prepare(case, tokenizer(case), "--out", "d", "--json")).json
    check_kinds(prepared, PUBLIC_KEYS["prepare"], "prepare")
    check_prepared(case, prepared, workplace)

    inspected = tdbs("inspect", "d", "--samples", 5, "--json").json
    check_kinds(inspected, PUBLIC_KEYS["inspect"], "inspect")
    shown = {case.shown(row) for row in rows}
    if case.kind == "question_answering":
        shown.add("no answer in this window")
    assert {sample["label"] for sample in inspected["samples"]} <= shown

    run = ("--epochs", case.epochs, "--base-batch-size", 16, "--seed", 2)
    reach = ("--strategy", "reach")  # it drops words
    planned = tdbs("plan", "d", *reach, *run, "--json").json
    check_kinds(planned, PUBLIC_KEYS["plan"], "plan")
    estimated = tdbs("estimate-speedup", "d", *reach, "--strategy", "random", *run, "--json").json
    check_kinds(estimated, PUBLIC_KEYS["estimate-speedup"], "estimate-speedup")
    trained = tdbs("train", "d", *reach, *run, "--model", "tiny", "--out", "run", "--json").json
    check_kinds(trained, PUBLIC_KEYS["train"] | {"metrics": dict.fromkeys(case.metrics, float)}, "train")
    check_plan_is_run(planned, estimated, trained, prepared)

    assert tuple(trained["metrics"]) == case.metrics
    assert trained["score"] == trained["metrics"][case.metrics[0]]
    losses = [epoch["loss"] for epoch in trained["epochs"]]
    assert losses[-1] < 0.9 * losses[0]
    assert min(trained["metrics"].values()) >= case.least

    evaluated = tdbs("evaluate", "run", "--json").json
    check_kinds(evaluated, PUBLIC_KEYS["evaluate"] | {"metrics": dict.fromkeys(case.metrics, float)}, "evaluate")
    assert (evaluated["score"], evaluated["metrics"]) == (trained["score"], trained["metrics"])
    assert (evaluated["split"], evaluated["rows"]) == ("validation", round(HELD_OUT * case.rows))

    tdbs("report", "run", "--out", "report.html", "--json")
    check_page(case, trained, (workplace / "report.html").read_text(encoding="utf-8"))
    check_what_people_read(tdbs, case, trained)


def check_prepared(case: Case, prepared: dict[str, Any], place: Path) -> None:
    task = json.loads((place / "d/manifest.json").read_text())["task"]
    assert (task["kind"], tuple(task["classes"]), tuple(task["metrics"])) == (case.kind, case.classes, case.metrics)
    held_out = round(HELD_OUT * case.rows)
    for split, count in (("train", case.rows - held_out), ("validation", held_out)):
        found = prepared["splits"][split]
        assert found["source_rows"] == count
        assert (found["rows"] > count) == (case.kind == "question_answering")  # windows
        assert (found["target_tokens"] > 0) == (case.kind == "seq2seq")
        assert 0.05 < found["droppable_fraction"] < 0.8


def check_plan_is_run(
    planned: dict[str, Any], estimated: dict[str, Any], trained: dict[str, Any], prepared: dict[str, Any]
) -> None:
    """The plan, the estimate, the run and its configuration tell of the same batches; some words were dropped."""
    epochs = planned["epochs"]
    for key in ("steps", "samples", "tokens", "target_tokens"):
        assert trained[key] == sum(epoch[key] for epoch in epochs)
    assert all(epoch["samples"] == prepared["splits"]["train"]["rows"] for epoch in epochs)
    kept = sum(epoch["tokens"] * (1 - epoch["padding_fraction"]) for epoch in epochs)
    assert trained["padding_fraction"] == pytest.approx(1 - kept / trained["tokens"])
    assert round(kept) < len(epochs) * prepared["splits"]["train"]["tokens"]
    config = tomllib.loads(Path("run/config.toml").read_text())
    assert config["plan_digest"] == planned["plan_digest"]
    steps = [json.loads(line) for line in Path("run/steps.jsonl").read_text().splitlines()]
    assert len(steps) == trained["steps"]
    assert sum(step["batch_size"] for step in steps) == trained["samples"]
    assert sum(step["batch_size"] * step["padded_length"] for step in steps) == trained["tokens"]
    reach = estimated["strategies"][0]
    for key in ("steps", "tokens", "padding_fraction", "target_tokens", "target_padding_fraction"):
        assert reach[key] == trained[key]


def check_page(case: Case, trained: dict[str, Any], page: str) -> None:
    """The report has the run's score and every metric, and says what was learned from which columns."""
    assert f"<dt>score ({case.metrics[0]})</dt><dd>{trained['score']:.4f}</dd>" in page
    for metric in case.metrics[1:]:
        assert f"<dt>{metric}</dt><dd>{trained['metrics'][metric]:.4f}</dd>" in page
    for epoch in trained["epochs"]:
        assert f"<td>{epoch['loss']:.4f}</td><td>{epoch['score']:.4f}</td>" in page
    assert f"<dt>tokens</dt><dd>{trained['tokens']:,}</dd>" in page
    for name, value in (
        ("kind", case.kind),
        ("label", case.labels),
        ("classes", ", ".join(case.classes) or "none"),
        ("metrics", ", ".join(case.metrics)),
    ):
        assert f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' in page
    assert ("padding of targets" in page) == (case.kind == "seq2seq")


def check_what_people_read(tdbs: Callable[..., Outcome], case: Case, trained: dict[str, Any]) -> None:
    """Without --json the same numbers are on stdout."""
    line = ", ".join(f"{metric} {value:.4f}" for metric, value in trained["metrics"].items())
    assert f"rows: {line} (" in tdbs("evaluate", "run").stdout
    shown = tdbs("inspect", "d", "--samples", 2).stdout
    assert ("target" in shown) == (case.kind == "seq2seq")


@pytest.mark.slow
def test_an_untrained_model_answers_worse(tdbs, workplace):
    """The score of question answering is learned: with a rate of nearly nothing it stays far below."""
    case = CASES["question answering"]
    tdbs(*prepare(case, TOKENIZER, "--out", "d"))
    untrained = tdbs("train", "d", "--epochs", 1, "--model", "tiny", "--lr", 1e-12, "--out", "run", "--json").json
    assert untrained["score"] < case.least / 2
