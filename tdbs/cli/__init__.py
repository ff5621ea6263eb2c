"""The command line: one file a command; each parses, calls one function and prints."""

import atexit
import gc
import sys
from typing import Annotated

import typer

from tdbs import __version__
from tdbs.cli.parser import make_app

# Names and summaries: `tdbs --help` imports no command.
COMMANDS = {
    "prepare": "Prepare a dataset once, for every later run.",
    "verify": "Check every file of a prepared dataset.",
    "audit": "Find duplicates, leaks, conflicts and cut texts.",
    "inspect": "Show lengths, labels and samples of a dataset.",
    "profile": "Measure how fast this device runs a model.",
    "plan": "Show every batch, step and rate of a run, untrained.",
    "estimate-speedup": "Predict time, padding and memory of each strategy.",
    "train": "Fine-tune a model on a prepared dataset.",
    "compare": "Train strategies on equal terms, and compare them.",
    "sweep": "Search hyperparameters on one prepared dataset.",
    "reproduce": "Run a table or figure of the paper.",
    "evaluate": "Score trained models, on changed texts too.",
    "score": "Score train samples: loss, EL2N, likely label errors.",
    "predict": "Predict the rows of a file, of a split or of stdin.",
    "report": "Write a page about a run or a comparison.",
    "push": "Push a prepared dataset or a run's model to the hub.",
    "models": "Show what runs without padding for each model type.",
    "env": "Print versions and devices, for a bug report.",
}

app = make_app(COMMANDS, name="tdbs")


def _print_version(asked: bool) -> None:
    if asked:
        from tdbs.cli.screen import print_lines

        print_lines(__version__)
        raise typer.Exit


@app.callback()
def tdbs_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Prepare text datasets for fine-tuning once, report what padding costs, and train without it."""


def main() -> None:
    """Run the command line: exit code 0 done, 1 the user's problem, 2 what the parser cannot parse."""
    atexit.register(gc.freeze)  # else the interpreter collects torch's and transformers' objects as it ends: 1 s
    sys.exit(app())
