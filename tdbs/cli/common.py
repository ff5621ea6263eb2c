"""What all commands share: arguments, errors as two lines, and the last dataset and run."""

import functools
import inspect
import logging
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tdbs.cli.completion import complete_dataset
from tdbs.cli.config_file import take_config
from tdbs.cli.screen import SPEAKS, escape_unencodable, notices_said, print_error, say
from tdbs.errors import ConfigError, TdbsError, reason_of
from tdbs.files import is_url, last_place, remember, to_path
from tdbs.shown import fitted

DatasetArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="DATASET",
        help="Folder or URL of a prepared dataset. [default: the last one]",
        show_default=False,
        autocompletion=complete_dataset,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace files that tdbs wrote there before.")]
_ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="TOML or YAML file of options, or a run's config.toml; options given here go first.",
        show_default=False,
        is_eager=True,
        callback=take_config,
    ),
]
_DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]

_WRITTEN = ("out", "html", "rows")  # options that name what a command writes

# Packages below fsspec whose errors are not OSErrors: no credentials, no answer.
_STORES = ("botocore", "aiobotocore", "aiohttp", "gcsfs", "google", "adlfs", "azure")


def reported(function: Callable[..., None]) -> Callable[..., None]:
    """Add --config and --debug to a command, and turn its errors into two lines and exit code 1."""

    @functools.wraps(function)
    def command(*, debug: bool, config: Path | None, **arguments: Any) -> None:  # noqa: ARG001  (take_config read it)
        escape_unencodable()
        try:
            _refuse_stdout(arguments)
            with notices_said():
                function(**arguments)
        except TdbsError as error:
            if debug:
                raise
            print_error(error.message, error.next_step, error.details)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            print_error("Stopped.", "Run the command again.")
            raise typer.Exit(130) from error
        except OSError as error:
            if debug:
                raise
            file, reason = error.filename or "A file", error.strerror or error
            print_error(fitted("{file}: {reason}.", file=file, reason=reason), "Check the path and its rights.")
            raise typer.Exit(1) from error
        except UnicodeEncodeError as error:
            if debug:
                raise
            found = ascii(str(error.object)[error.start])[1:-1]
            print_error(f"UTF-8 cannot hold {found}, which is in a name.", "Give files and folders names in UTF-8.")
            raise typer.Exit(1) from error
        except Exception as error:
            if debug:
                raise
            reason = f"{type(error).__name__}: {reason_of(error)}"
            if type(error).__module__.split(".")[0] in _STORES:
                print_error(f"Object store error: {reason}.", "Check the URL, your credentials and the network.")
            else:
                print_error(
                    f"Internal error (please report): {reason}.", "Run again with --debug and report the traceback."
                )
            raise typer.Exit(1) from error

    signature = inspect.signature(function)
    keyword = inspect.Parameter.KEYWORD_ONLY
    config = inspect.Parameter("config", keyword, default=None, annotation=_ConfigOption)
    debug = inspect.Parameter("debug", keyword, default=False, annotation=_DebugOption)
    command.__signature__ = signature.replace(parameters=[*signature.parameters.values(), config, debug])  # type: ignore[attr-defined]  # functools has no type for it
    command.__annotations__ = {**function.__annotations__, "config": _ConfigOption, "debug": _DebugOption}
    return command


def _refuse_stdout(arguments: Mapping[str, object]) -> None:
    """Refuse - as the name of what a command writes: it reads stdin by that name, and only prints to stdout."""
    for name in _WRITTEN:
        if str(arguments.get(name)) == "-":
            raise ConfigError(
                f"--{name} takes a path, and - would be a file or folder of that name, not stdout.",
                next_step=f"Pass another name after --{name}.",
            )


def shown_command() -> str:
    """Return the command that was called, as a shell takes it; of absolute paths their last two parts."""
    from tdbs.train.planning.model_choice import shown_model

    return shlex.join(["tdbs", *(shown_model(word) if Path(word).is_absolute() else word for word in sys.argv[1:])])


def note_latest(folder: Path, place: Path) -> None:
    """Record in `data/` or `runs/` the default of later commands; with several processes, the first one does."""
    if SPEAKS:
        remember(folder, place)


def dataset_folder(given: str | None) -> Path:
    """Return the dataset that the user named, or the one prepared last, which is then named on stderr."""
    from tdbs.pipeline.prepare import DATA_FOLDER

    missing = ConfigError("No dataset was given and none was prepared here.", next_step="Run tdbs prepare first.")
    return to_path(given) if given else _last_in(DATA_FOLDER, "dataset", missing)


def run_folder(given: Path | None) -> Path:
    """Return the run that the user named, or the last one, which is then named on stderr."""
    from tdbs.train.run_folder import RUNS_FOLDER

    missing = ConfigError("No run was given and none was made here.", next_step="Run tdbs train first.")
    return given or _last_in(RUNS_FOLDER, "run", missing)


def say_url(place: str) -> None:
    """Say on stderr, before it is opened, which URL a record names as its dataset."""
    if is_url(place):
        say(f"dataset {place}, a URL from the record")


def quiet_libraries() -> None:
    """Keep the progress bars and notices of transformers, and those of torch's profiler, out of our output."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # read when a profiler first starts
    import transformers

    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)


def _last_in(folder: Path, kind: str, missing: ConfigError) -> Path:
    last = last_place(folder)
    if last is None:
        raise missing
    say(f"{kind} {last}", style="dim")
    return last
