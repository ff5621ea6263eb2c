"""The folder of a run: resolved `config.toml`, `steps.jsonl`, `result.json`, and the model in safetensors."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from tdbs.errors import TrainingError
from tdbs.files import dated_folder, folders_named, name_in_folder, write_json, write_text
from tdbs.pipeline.manifest_file import MANIFEST_NAME
from tdbs.pipeline.run_marks import RUN_CONFIG_NAME, RUN_KEY
from tdbs.records import read_field_rows, read_fields, read_toml, record_of, whole_lines
from tdbs.removal import is_mine, is_there, links_below, refuse_link, remove_file, remove_folder, remove_if_empty
from tdbs.shown import is_utf8
from tdbs.train.run_records import FORM, ConfigFields, ResultFields, StepFields

RUNS_FOLDER = Path("runs")
CONFIG_NAME, STEPS_NAME, RESULT_NAME = RUN_CONFIG_NAME, "steps.jsonl", "result.json"
MODEL_FOLDER, LAST_GOOD_FOLDER, CHECKPOINTS_FOLDER = "model", "last_good", "checkpoints"
TRACKED_FOLDER = "tensorboard"
EVALUATIONS_FOLDER = "evaluations"  # results of `tdbs evaluate`
SAMPLES_FOLDER, SCORES_NAME = "samples", "scores.parquet"  # of each epoch; result of `tdbs score`
SOURCE_OF_SCORES = b"tdbs_source"  # key of that file's metadata: hash of the contents that the dataset is made of
ACCURACY_OF_SCORES = b"tdbs_train_accuracy"  # another one: share of the labels that the run predicts at the end
LEARNED_WORDS_NAME = "learned_words.txt"  # droppable words, by tdbs prepare --stopwords learned:RUN
_NO_RUN = "Run tdbs train, or name the folder that it printed."
_OURS = (
    *(CONFIG_NAME, STEPS_NAME, RESULT_NAME, MODEL_FOLDER, LAST_GOOD_FOLDER, CHECKPOINTS_FOLDER),
    *(TRACKED_FOLDER, EVALUATIONS_FOLDER, SAMPLES_FOLDER, SCORES_NAME, LEARNED_WORDS_NAME),
)
_CHECKPOINT_NAMES = re.compile(r"\.?step-\d{8}(\.\w+)?")  # with a dot: an unfinished one of a killed run
# settings that older runs lack, with the value that they were trained with
_OF_OLDER = {"lr_scheduler": "linear", "weight_decay": 0.0}
_MAY_DIFFER = ("dataset/path", "dataset/source", "memory", "versions")  # between a run and its resumption


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run read from its folder; `result` is None if training did not finish."""

    path: Path
    config: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]
    result: Mapping[str, Any] | None


def default_run_folder(source: str, strategy: str, seed: int) -> Path:
    """Return a new folder below runs/ for a run without --out."""
    below = RUNS_FOLDER / folders_named(source)  # the source comes from a manifest
    return dated_folder(below, f"{name_in_folder(strategy)}-seed{seed}")


def check_run_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is not empty, unless `overwrite`; never treat a user's files as those of tdbs."""
    refuse_link(folder, TrainingError)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise TrainingError(f"{folder} is a file.", next_step="Pass another --out.")
    is_run = holds_run(folder)
    if any(folder.iterdir()) and not overwrite:
        raise TrainingError(
            f"{folder} contains {'a run' if is_run else 'other files'}.",
            next_step=f"Pass {'--resume to continue it, ' if is_run else ''}another --out, or --overwrite to replace "
            "what tdbs wrote there.",
        )
    own = [name for name in _OURS if is_there(folder / name)]
    if own and not is_run:
        raise TrainingError(
            f"{folder} is not a run of tdbs, but contains its own {own[0]}.", next_step="Pass another --out."
        )
    refuse_links(folder)


def refuse_links(folder: Path) -> None:
    """Refuse a run's folder that is a link, or that has a link where tdbs writes and removes files."""
    for path in (folder, *(folder / name for name in _OURS)):
        refuse_link(path, TrainingError)
    for link in links_below(folder / CHECKPOINTS_FOLDER):
        refuse_link(link, TrainingError)


def holds_run(folder: Path) -> bool:
    """Return whether tdbs made the folder: whether its configuration has a key that only tdbs writes."""
    try:
        return RUN_KEY in read_toml(folder / CONFIG_NAME, FORM)
    except TrainingError:
        return False


def begun_run(folder: Path) -> Run | None:
    """Return the run to resume; None if there is none. Raises TrainingError if it would write through a link."""
    if not holds_run(folder):
        return None
    result = folder / RESULT_NAME
    if result.is_symlink() or not result.exists():
        refuse_links(folder)
    return read_run(folder)


def start_run(folder: Path, config: Mapping[str, Any]) -> None:
    """Make the folder of a new run, without files of an earlier run; other files stay.

    Raises TrainingError for a name that is not UTF-8, before anything is removed.
    """
    settings = _toml_of(config)
    if not is_utf8(str(folder)):
        raise TrainingError(f"The name of {folder} is not UTF-8.", next_step="Pass another --out.")
    for name in (
        RESULT_NAME,
        STEPS_NAME,
        MODEL_FOLDER,
        LAST_GOOD_FOLDER,
        CHECKPOINTS_FOLDER,
        TRACKED_FOLDER,
        EVALUATIONS_FOLDER,
        SAMPLES_FOLDER,
        SCORES_NAME,
        LEARNED_WORDS_NAME,
    ):  # the result first: it marks a finished run
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            remove_folder(path, faults=True)
        else:
            remove_file(path)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CONFIG_NAME, settings)


def check_same_run(begun: Run, config: Mapping[str, Any]) -> None:
    """Refuse to resume a run with other settings; name those that differ, the plan only if nothing else does."""
    before, now = _OF_OLDER | flat_settings(begun.config), flat_settings(tomllib.loads(tomli_w.dumps(dict(config))))
    names = [
        name
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name) and not name.startswith(_MAY_DIFFER)
    ]
    different = [name for name in names if name != "plan_digest"] or names
    if different:
        changes = ", ".join(f"{name} was {before.get(name)}, is now {now.get(name)}" for name in different)
        raise TrainingError(
            f"The run in {begun.path} was started with other settings: {changes}.",
            next_step="Repeat the command that started it with --resume, or pass another --out.",
        )


def flat_settings(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings by their path, as strategy/drop."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= flat_settings(value, f"{prefix}{name}/") if isinstance(value, Mapping) else {prefix + name: value}
    return found


def continue_run(folder: Path, *, steps: int) -> None:
    """Cut the log of a run that resumes after this many steps: later lines are written again."""
    place = folder / STEPS_NAME
    write_text(place, "".join(whole_lines(place, FORM)[:steps]))


def finish_run(folder: Path, result: Mapping[str, Any]) -> None:
    """Write the result, which marks the run as finished, and remove its checkpoints."""
    write_json(folder / RESULT_NAME, dict(result))
    checkpoints = folder / CHECKPOINTS_FOLDER
    for place in checkpoint_folders(folder, half=True):
        remove_folder(place)
    if not checkpoints.is_symlink():
        remove_if_empty(checkpoints)


def checkpoint_folders(run: Path, *, half: bool) -> list[Path]:
    """Return the checkpoints in a run's folder, oldest first, with `half` also those of killed runs; never a link."""
    folder = run / CHECKPOINTS_FOLDER
    if folder.is_symlink() or not folder.is_dir():
        return []
    found = [path for path in sorted(folder.iterdir()) if _CHECKPOINT_NAMES.fullmatch(path.name)]
    return [
        path
        for path in found
        if not path.is_symlink() and path.is_dir() and (half or "." not in path.name) and is_mine(path)
    ]


def read_run(folder: Path) -> Run:
    """Read a run. Raises TrainingError if the folder is not one."""
    if not folder.exists():
        raise TrainingError(f"{folder} does not exist.", next_step=_NO_RUN)
    if not (folder / CONFIG_NAME).exists():
        if (folder / MANIFEST_NAME).is_file():
            raise TrainingError(f"{folder} is a prepared dataset, not a run.", next_step=_NO_RUN)
        raise TrainingError(f"{folder} is not a run of tdbs: it has no {CONFIG_NAME}.", next_step=_NO_RUN)
    place = folder / CONFIG_NAME
    config = read_toml(place, FORM)
    if RUN_KEY not in config:
        raise TrainingError(f"{folder} is not a run of tdbs: its {CONFIG_NAME} is another's.", next_step=_NO_RUN)
    record_of(config, ConfigFields, FORM, named=str(place))
    finished = (folder / RESULT_NAME).exists()
    result: Any = read_fields(folder / RESULT_NAME, ResultFields, FORM) if finished else None
    steps: Any = read_field_rows(folder / STEPS_NAME, StepFields, FORM)
    return Run(path=folder, config=config, steps=tuple(steps), result=result)


def _toml_of(config: Mapping[str, Any]) -> str:
    text = tomli_w.dumps(dict(config))
    if not is_utf8(text):
        name = next(name for name, value in flat_settings(config).items() if not is_utf8(tomli_w.dumps({"": value})))
        raise TrainingError(
            f"The setting {name} of the run has half of a surrogate pair, which {CONFIG_NAME} cannot contain.",
            next_step="Give files, columns and classes names in UTF-8, and prepare the dataset again.",
        )
    return text
