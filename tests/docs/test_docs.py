"""The documentation is true: generated parts are current, commands run and print what is shown, names exist."""

import importlib
import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from docs.generate import GENERATED, commands, parts, with_parts
from docs.glue_table import row
from docs.picture import PLACE, picture
from tdbs.analysis.profile.shapes import Shape, grid_shapes
from tdbs.data.sample import TOKENIZER_FOLDER
from tests.analysis.tiny import time_calls_once, time_steps_once
from tests.docs.files import write_files
from tests.docs.pages import (
    PAGES,
    ROOT,
    Outcome,
    Step,
    comparable,
    documented_keys,
    flat_keys,
    run_step,
    section,
    steps_of,
    text_of,
)

RUN_HERE = ("console", "python")
WITH_STEPS = [page for page in PAGES if any(steps_of(text_of(page), RUN_HERE))]
WITH_SHELL = [page for page in PAGES if any(steps_of(text_of(page), ["sh"]))]
LIKE_ANOTHER = {f"docs/tasks/{name}.md" for name in ("multi-label", "regression", "summarization")}  # same commands
FORMAT = "docs/format.md"
TAKE_LONG = ("docs/predict.md", "docs/resilience.md", "docs/scores.md")  # they train models
NEEDS_WEIGHTS = ("train", "evaluate", "report", "reproduce")  # of models that are on the hub alone


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder but for the files that pages take for the reader's own."""
    write_files(tmp_path)
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a profile and an evaluation time all once: nothing here reads how exact they are."""
    time_steps_once(monkeypatch)
    time_calls_once(monkeypatch)


@pytest.fixture
def small(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the built-in sample a hundredth, and time steps of few tokens alone: all of it takes a minute each time."""

    def few_tokens(*arguments: object, **options: object) -> list[Shape]:
        return [shape for shape in grid_shapes(*arguments, **options) if shape.samples * shape.length <= 1024]

    monkeypatch.setattr("tdbs.analysis.profile.measure.grid_shapes", few_tokens)
    monkeypatch.setattr("tdbs.data.sample._ROWS", {"train": 200, "validation": 50})


def ran(page: str, folder: Path, *, shown: bool = True) -> list[Outcome]:
    steps = steps_of(text_of(page), RUN_HERE)
    return [run_step(step if shown else Step(argv=step.argv, shown=()), folder) for step in steps]


@pytest.mark.parametrize("page", GENERATED, ids=lambda page: page.name)
def test_generated_parts_are_current(page):
    """`make docs` would change nothing."""
    text = page.read_text(encoding="utf-8")
    assert with_parts(text, parts()) == text, "run `make docs`"


def test_every_generated_part_has_a_place():
    """A new command cannot be forgotten: its help has a place, and its section tells its JSON keys."""
    text = "".join(page.read_text(encoding="utf-8") for page in GENERATED)
    assert [name for name in parts() if text.count(f"<!-- {name} -->\n") != 1] == []
    for command in commands():
        assert documented_keys(section(text_of("docs/cli.md"), f"tdbs {command}"))


@pytest.mark.slow
def test_commands_and_snippets_of_the_readme_run_on_the_whole_sample(folder, quick):
    """Every command and snippet, in order, in one folder: they print what the page shows."""
    for number, step in enumerate(steps_of(text_of("README.md"), RUN_HERE)):
        run_step(step, folder, real=number == 0)


def test_commands_and_snippets_of_the_readme_run(folder, small):
    """On a part of the sample, whose figures are others."""
    for step in steps_of(text_of("README.md"), RUN_HERE):
        run_step(Step(argv=step.argv, shown=()), folder)


def test_the_first_command_of_the_readme_runs_in_a_process_of_its_own(folder):
    """On the whole sample, which no patch of this process makes smaller: it prints what the page shows."""
    run_step(next(steps_of(text_of("README.md"), RUN_HERE)), folder, real=True)


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=pytest.mark.slow) if page in TAKE_LONG else page
        for page in WITH_STEPS
        if page not in ("README.md", "docs/cli.md", FORMAT)
    ],
)
def test_commands_and_snippets_of_a_page_run(page, folder, small):
    """Every command in a console block and every Python snippet, in order, in one folder."""
    ran(page, folder)


def test_commands_of_the_manual_print_what_it_shows(folder):
    """On the whole sample: those that show an output, after the one that prepares it."""
    first, *others = steps_of(text_of("docs/cli.md"), RUN_HERE)
    shown = [step for step in others if step.shown]
    assert {step.argv[1] for step in shown} == {"plan", "estimate-speedup"}
    for step in (first, *shown):
        run_step(step, folder)


def test_commands_print_the_documented_keys_and_runs_have_the_documented_files(folder, small):
    """Each command of cli.md is run with --json once; what it prints, and the run it leaves, is what the pages say."""
    outcomes = [outcome for outcome in ran("docs/cli.md", folder, shown=False) if "--json" in outcome.step.argv]
    assert {outcome.step.argv[1] for outcome in outcomes} == set(commands())
    for outcome in outcomes:
        part = section(text_of("docs/cli.md"), f"tdbs {outcome.step.argv[1]}")
        assert flat_keys(json.loads(outcome.stdout)) == documented_keys(part), outcome.step.argv
    layout = text_of(FORMAT)
    run = folder / "runs/first"
    config = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))
    assert flat_keys(config) == documented_keys(section(layout, "config.toml"))
    for line in (run / "steps.jsonl").read_text(encoding="utf-8").splitlines():
        assert flat_keys(json.loads(line)) == documented_keys(section(layout, "steps.jsonl"))
    named = set(re.findall(r"^  (\w[\w.]*)", section(layout, "A run"), re.MULTILINE))
    assert {path.name for path in run.iterdir()} == named - {"last_good", "checkpoints", "learned_words.txt"}


def test_snippets_of_the_format_page_run_and_manifests_have_the_documented_keys(folder):
    """The manifest has no key that the page lacks, and none is invented; so with the columns of a plan."""
    ran(FORMAT, folder)
    manifest = json.loads((folder / "data/demo/manifest.json").read_text(encoding="utf-8"))
    assert flat_keys(manifest) == documented_keys(section(text_of(FORMAT), "manifest.json"))


def test_samples_of_several_sequences_have_the_keys_of_the_second_tables(folder):
    """Their manifest and what prepare prints of them: the keys of any dataset, and these."""
    options = (
        "--columns",
        "query,positive,negatives",
        "--task",
        "ranking",
        "--tokenizer",
        str(TOKENIZER_FOLDER),
        "--json",
    )
    step = Step(argv=("tdbs", "prepare", "hard.jsonl", *options), shown=())
    printed = json.loads(run_step(step, folder).stdout)
    manifest = json.loads((folder / printed["path"] / "manifest.json").read_text(encoding="utf-8"))
    for found, part in (
        (printed, section(text_of("docs/cli.md"), "tdbs prepare")),
        (manifest, section(text_of(FORMAT), "manifest.json")),
    ):
        own = {key for key in flat_keys(found) if not key.startswith("source.files")}
        assert own - documented_keys(part) == documented_keys(part, table=1)


@pytest.mark.real_data
@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.slow) if page in LIKE_ANOTHER else page for page in WITH_SHELL]
)
def test_commands_that_need_the_hub_run_on_local_files(page, folder, shared):
    """The same commands with a mirror folder and local tokenizers; those that need a model's weights are left out."""
    for step in steps_of(text_of(page), ["sh"]):
        if step.argv[1] not in NEEDS_WEIGHTS or "tiny" in step.argv:
            run_step(Step(argv=localized(step.argv, shared), shown=step.shown), folder)


@pytest.mark.real_data
def test_every_form_of_data_has_a_command_that_runs(folder, shared):
    """The commands in the tables of data.md, each with a dataset of its own."""
    commands = re.findall(r"`(tdbs prepare [^`]+)`", text_of("docs/data.md"))
    assert len(commands) > 9
    for number, command in enumerate(commands):
        small = ("--tokenizer", str(TOKENIZER_FOLDER))  # RoBERTa's takes half a second each time
        argv = (*localized((*shlex.split(command), *small), shared), "--out", f"data/{number}")
        outcome = run_step(Step(argv=argv, shown=()), folder)
        understood = ("classes", "text", "embedding: ", "ranking: ")
        assert any(word in outcome.stderr for word in understood), command


def localized(argv: tuple[str, ...], shared: Path) -> tuple[str, ...]:
    """Return a command with the mirror and the tokenizers of the shared folder in place of the reader's own."""
    given = list(argv)
    if given[1] != "prepare":
        return argv
    if "--tokenizer" not in given:
        given += ["--tokenizer", "roberta-base"]
    if given[2].startswith("glue/") and "--mirror" not in given:
        given += ["--mirror", ""]
    options: dict[str, Callable[[str], Path]] = {
        "--tokenizer": lambda name: shared / "tokenizers" / name,
        "--mirror": lambda _: shared / "datasets",
    }
    return tuple(
        str(options[before](value)) if before in options else value
        for before, value in zip(["", *given], given, strict=False)
    )


def test_every_name_of_the_code_in_the_pages_exists():
    """`tdbs.train.planning.batching.merge_residuals` is imported; `tests/…` and `docs/…` are files."""
    for page in PAGES:
        for name in set(re.findall(r"`(tdbs(?:\.\w+)+)`", text_of(page))):
            assert exists(name), f"{page}: {name}"
        for path in set(re.findall(r"`((?:tests|docs|tdbs|benchmarks)/[\w/.]+)`", text_of(page))):
            assert (ROOT / path).exists(), f"{page}: {path}"


def test_every_link_between_pages_leads_somewhere():
    """Relative links are to files that are there."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text_of(page)):
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


@pytest.mark.real_data
@pytest.mark.parametrize("task", ["glue/wnli", "glue/rte", "glue/cola"])
def test_rows_of_the_table_of_glue_are_what_its_command_prints(shared, tmp_path, monkeypatch, task):
    monkeypatch.chdir(tmp_path)
    printed = row(task, shared / "datasets", str(shared / "tokenizers/bert-base-uncased"))
    assert printed in text_of("docs/tasks/glue.md").splitlines()


@pytest.mark.real_data
def test_the_picture_of_the_readme_is_current(shared):
    """What `python -m docs.picture` draws, with the strategies and the padding of today."""
    drawn = picture(shared / "datasets", str(shared / "tokenizers/bert-base-uncased"))
    assert drawn == PLACE.read_text(encoding="utf-8")


def test_the_paper_map_is_complete():
    """Each algorithm, table and figure, all hyperparameters of Table 6 and all appendices have their row."""
    text = text_of("docs/paper-map.md")
    for number in range(1, 9):
        assert re.search(rf"^\| Table {number}\b", text, re.MULTILINE), number
        assert re.search(rf"^\| Fig\. {number}\b", text, re.MULTILINE), number
    for appendix in "ABCDE":
        assert re.search(rf"^\| App\. {appendix}\b", text, re.MULTILINE), appendix
    for number, last in (("1", 8), ("2", 35)):
        lines = covered(section(text, f"Algorithm {number}"))
        assert lines == set(range(1, last + 1)), f"Algorithm {number}: {set(range(1, last + 1)) ^ lines}"


def covered(part: str) -> set[int]:
    """Return the algorithm's lines that the rows of a table speak of: "5-18" or "19"."""
    rows = re.findall(r"^\| (\d+)(?:-(\d+))? \|", part, re.MULTILINE)
    return {line for first, last in rows for line in range(int(first), int(last or first) + 1)}


def test_meta_the_checks_above_can_fail():
    """A stale part, an unknown name and a line that is not printed are told from right ones."""
    stale = "<!-- columns -->\nold\n<!-- /columns -->"
    assert with_parts(stale, {"columns": "new"}) == stale.replace("old", "new")
    assert exists("tdbs.train.planning.batching.merge_residuals")
    assert not exists("tdbs.train.planning.batching.no_such_function")
    assert comparable("in 1.5 s: data/sample-128-3d8be490") == comparable("in  22 s: data/sample-128-00000000")
    assert comparable("313 steps") != comparable("314 steps")


def exists(name: str) -> bool:
    """Tell whether a dotted name is a module, or something in one."""
    parts_of_name = name.split(".")
    for end in range(len(parts_of_name), 0, -1):
        try:
            found = importlib.import_module(".".join(parts_of_name[:end]))
        except ModuleNotFoundError:
            continue
        for attribute in parts_of_name[end:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False
