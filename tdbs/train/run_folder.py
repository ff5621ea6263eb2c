"""The folder of a run: resolved `config.toml`, `steps.jsonl`, `result.json`, and the model in safetensors."""

import json
import shutil
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from tdbs.errors import TrainingError
from tdbs.files import remember, write_json, write_text
from tdbs.pipeline.dataset import TOKENIZER_NAME, PreparedDataset

RUNS_FOLDER = Path("runs")
CONFIG_NAME, STEPS_NAME, RESULT_NAME = "config.toml", "steps.jsonl", "result.json"
MODEL_FOLDER, LAST_GOOD_FOLDER = "model", "last_good"
_OURS = (CONFIG_NAME, STEPS_NAME, RESULT_NAME, MODEL_FOLDER, LAST_GOOD_FOLDER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run read from its folder; `result` is None where training did not finish."""

    path: Path
    config: Mapping[str, Any]
    steps: tuple[Mapping[str, Any], ...]
    result: Mapping[str, Any] | None


def default_run_folder(source: str, strategy: str, seed: int) -> Path:
    """Return a new folder below runs/ for a run that names none."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return RUNS_FOLDER / source / f"{strategy}-seed{seed}-{stamp}"


def check_run_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds a run or anything else, unless `overwrite`."""
    if not folder.exists() or overwrite:
        return
    if not folder.is_dir() or any(folder.iterdir()):
        held = "a run" if (folder / CONFIG_NAME).exists() else "something else"
        raise TrainingError(
            f"{folder} holds {held}.", next_step="Pass another --out, or --overwrite to replace what tdbs wrote there."
        )


def start_run(folder: Path, config: Mapping[str, Any]) -> None:
    """Make the folder of a new run, without what an earlier run left there; other files stay."""
    for name in _OURS:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CONFIG_NAME, tomli_w.dumps(dict(config)))


def save_model(folder: Path, model: PreTrainedModel, dataset: PreparedDataset) -> None:
    """Save weights (safetensors), configuration and tokenizer, so that transformers loads the folder as it is."""
    model.save_pretrained(folder, safe_serialization=True)
    info = dataset.manifest.tokenizer
    tokenizer = Tokenizer.from_file(str(dataset.path / TOKENIZER_NAME))
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=tokenizer.id_to_token(info.pad_id),
        model_max_length=dataset.manifest.max_length,
    ).save_pretrained(folder)


def finish_run(folder: Path, result: Mapping[str, Any]) -> None:
    """Write the result, which marks the run as finished, and note it as the last one."""
    write_json(folder / RESULT_NAME, dict(result))
    remember(RUNS_FOLDER, folder)


def read_run(folder: Path) -> Run:
    """Read a run. Raises TrainingError where the folder is not one."""
    if not (folder / CONFIG_NAME).is_file():
        raise TrainingError(
            f"{folder} is not a run of tdbs: it has no {CONFIG_NAME}.",
            next_step="Run tdbs train, or name the folder that it printed.",
        )
    try:
        steps = (folder / STEPS_NAME).read_text(encoding="utf-8") if (folder / STEPS_NAME).exists() else ""
        finished = (folder / RESULT_NAME).exists()
        return Run(
            path=folder,
            config=tomllib.loads((folder / CONFIG_NAME).read_text(encoding="utf-8")),
            steps=tuple(json.loads(line) for line in steps.splitlines()),
            result=json.loads((folder / RESULT_NAME).read_text(encoding="utf-8")) if finished else None,
        )
    except ValueError as error:  # TOML and JSON errors alike
        raise TrainingError(f"The run {folder} cannot be read: {error}.", next_step="Train again.") from error
