"""The files of a run that travel to the hub: the model and its tokenizer, by name; no log, record or checkpoint."""

import json
import re
from pathlib import Path
from typing import Any

from tdbs.data.hub_repos import hub_name, public_name
from tdbs.errors import TrainingError
from tdbs.records import Form, read_json
from tdbs.removal import refuse_link
from tdbs.shown import notice
from tdbs.train.run_folder import MODEL_FOLDER

NAMES = re.compile(
    r"(adapted/)?config\.json|generation_config\.json|model(-\d{5}-of-\d{5})?\.safetensors|"
    r"model\.safetensors\.index\.json|adapter_config\.json|adapter_model\.safetensors|"
    r"tokenizer(_config)?\.json|special_tokens_map\.json|"
    r"modules\.json|1_Pooling/config\.json|sentence_bert_config\.json|config_sentence_transformers\.json"
)
_WEIGHTS = re.compile(r"(adapter_)?model(-\d{5}-of-\d{5})?\.safetensors")
_FORM = Form(what="a file of a saved model", error=TrainingError, next_step="Train again.", foreign=True)
_SETTINGS = ("config.json", "adapter_config.json", "tokenizer_config.json", "generation_config.json")
_OF_PLACES = ("_name_or_path", "name_or_path", "base_model_name_or_path")  # where a library notes what it opened


def is_model_file(name: str) -> bool:
    """Return whether a path below a model's folder is that of a file that travels."""
    return NAMES.fullmatch(name) is not None


def model_files(run: Path) -> dict[str, Path | bytes]:
    """Return the files of a run's model by their path in a repository; settings lose the places of this machine.

    Raises TrainingError if the folder has no weights, or a link in place of a file.
    """
    folder = run / MODEL_FOLDER
    refuse_link(folder, TrainingError, next_step="Push the run that the link leads to.")
    paths = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*"))}
    named = {name: path for name, path in paths.items() if is_model_file(name)}
    for path in (*named.values(), folder / "adapted", folder / "1_Pooling"):
        refuse_link(path, TrainingError, next_step="Put the file itself in its place.")
    if not any(map(_WEIGHTS.fullmatch, named)):
        raise TrainingError(f"{folder} has no weights in safetensors.", next_step="Train again.")
    return {name: _public_settings(path) if path.name in _SETTINGS else path for name, path in named.items()}


def _public_settings(path: Path) -> bytes:
    found: Any = read_json(path, _FORM)
    if not isinstance(found, dict):
        raise _FORM.misfit(str(path), "it is not an object")
    for name in _OF_PLACES:
        if isinstance(found.get(name), str):
            if path.name == "adapter_config.json" and hub_name(found[name]) is None:
                notice("The base model of these adapters is a folder of this machine: others need it to use them.")
            found[name] = public_name(found[name])
    return (json.dumps(found, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
