"""Help: summaries that fit, options in panels, `-h`, the terminal's width, choices, completion, and late imports."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from tdbs.cli import COMMANDS, app
from tdbs.cli.panels import PANELS
from tests.cli.conftest import run_command

HEAVY = {"torch", "transformers", "datasets", "polars", "scipy", "matplotlib"}
TOP = {"tdbs", "numpy", "rich", "pyarrow"} | HEAVY


def help_of(*command: str) -> list[str]:
    """Return the help in a terminal of 80 columns."""
    done = CliRunner().invoke(app, [*command, "--help"], prog_name="tdbs", terminal_width=78)
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def run_real(*words: str, folder: Path | None = None, **env: str) -> str:
    """Return what a real command prints on stdout."""
    program = "import sys\nsys.argv[0] = 'tdbs'\nfrom tdbs.cli import main\nmain()"
    command = [sys.executable, "-c", program, *words]
    done = subprocess.run(
        command, env={**os.environ, **env}, cwd=folder, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported(*words: str) -> set[str]:
    """Return the packages that a command line has imported at its end, in a process of its own."""
    program = (
        "import sys\nfrom tdbs.cli import app\n"
        f"try:\n    app({list(words)!r})\nexcept SystemExit:\n    pass\n"
        "print('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    return set(done.stdout.splitlines()[-1].split())


def completed(shell: str, line: str, folder: Path) -> str:
    """Return what typer's script for a shell would be told to offer at the end of a line."""
    words = {"_TYPER_COMPLETE_ARGS": line, "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
    asked = {"_TDBS_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return run_real(folder=folder, **words, **asked)


def test_a_command_ends_without_a_walk_through_all_its_objects():
    """Python collects garbage as it ends; among the objects of torch and transformers that takes a second."""
    program = (
        "import atexit, gc\natexit.register(lambda: print(gc.get_freeze_count() > 0))\n"  # runs last
        "from tdbs.cli import main\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--version"], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.splitlines()[-1] == "True"


def test_every_summary_fits_and_each_command_has_its_module():
    shown = help_of()
    for name, summary in COMMANDS.items():
        assert any(line.split(maxsplit=1) == [name, summary] for line in shown), name
    assert max(map(len, shown)) < 80
    assert list(typer.main.get_command(app).commands) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_shows_its_options_in_panels_and_its_examples_fit(name):
    shown = help_of(name)
    assert "  -h, --help " in shown[-1]
    assert shown[2].strip() == COMMANDS[name]
    heads = [line.removesuffix(":") for line in shown if re.fullmatch(r"\w[^:]*:", line)]
    assert set(heads) <= {"Arguments", *PANELS}
    assert heads[-1] == "Other options"
    start = shown.index("  Example:")
    examples = shown[start + 1 : shown.index("", start)]
    assert all(line.startswith("    ") and "tdbs" in line and len(line) <= 78 for line in examples), examples


def test_every_option_has_one_panel_and_every_panel_options():
    runner = typer.main.get_command(app)
    named = [name for names in PANELS.values() for name in names]
    assert len(set(named)) == len(named)
    found = set()
    with runner.make_context("tdbs", ["env"]) as context:
        for name in COMMANDS:
            command = runner.resolve_command(context, [name])[1]
            found |= {param.name for param in command.get_params(context) if param.param_type_name == "option"}
    assert found == set(named)


def test_common_options_come_first():
    shown = help_of("train")
    heads = [line for line in shown if re.fullmatch(r"\w[^:]*:", line)]
    assert heads[:4] == ["Arguments:", "Common options:", "Strategy:", "Model:"]
    common = shown[shown.index("Common options:") + 1 : shown.index("Strategy:")]
    options = [line.split()[0] for line in common if line.startswith("  --")]
    assert {"--model", "--strategy", "--epochs", "--seed", "--out", "--resume"} <= set(options)


def test_help_is_as_wide_as_the_terminal():
    assert 80 < max(map(len, run_real("train", "-h", COLUMNS="120").splitlines())) <= 120
    assert max(map(len, run_real("env", "-h", COLUMNS="60").splitlines())) <= 60


def test_choices_are_shown_as_choices():
    shown = " ".join(" ".join(help_of("train")).split())
    assert "--precision [auto|fp32|bf16]" in shown
    assert "--drop [none|rate|any|all|batch_min|reach]" in shown


def test_a_call_without_a_command_prints_the_help():
    outcome = run_command()
    assert "Commands:\n  prepare " in outcome.stdout + outcome.stderr


@pytest.mark.parametrize("words", [("--version",), ("--help",)])
def test_the_list_of_commands_imports_none(words):
    assert imported(*words) & TOP <= {"tdbs", "rich"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(name):
    assert not imported(name, "--help") & HEAVY


def test_meta_the_check_of_imports_can_fail():
    assert "pyarrow" in imported("prepare", "--help")


def test_each_shell_completes_commands_choices_and_strategies(workplace):
    for shell in ("bash", "zsh", "fish"):
        assert "estimate-speedup" in completed(shell, "tdbs est", workplace)
        assert "batch_min" in completed(shell, "tdbs train --drop b", workplace)
        assert "tdbs_paper" in completed(shell, "tdbs train --strategy tdbs_", workplace)


def test_datasets_runs_tasks_and_studies_are_completed(workplace):
    for folder, file in (("data/rev/t-128-1", "manifest.json"), ("runs/rev/reach", "config.toml")):
        (workplace / folder).mkdir(parents=True)
        (workplace / folder / file).touch()
    assert "data/rev/t-128-1" in completed("bash", "tdbs train data/r", workplace).split()
    assert "runs/rev/reach" in completed("bash", "tdbs evaluate runs/", workplace).split()
    assert completed("bash", "tdbs prepare glue/s", workplace).split() == ["glue/sst2", "glue/stsb"]
    assert completed("bash", "tdbs reproduce fig", workplace).split() == ["fig4", "fig5", "fig6", "fig7", "fig8"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_can_be_shown(shell):
    assert "_TDBS_COMPLETE" in run_real("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
