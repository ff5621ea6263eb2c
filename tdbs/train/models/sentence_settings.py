"""What a folder of sentence-transformers says beside its modules, and what of it tdbs does not follow."""

from pathlib import Path
from typing import Any

from tdbs.errors import ModelError
from tdbs.records import Form, read_json
from tdbs.shown import shown
from tdbs.train.planning.model_choice import TINY

SENTENCE_FILE = Form(
    what="a file of sentence-transformers",
    error=ModelError,
    next_step="Copy the model's folder again, or pass another model.",
    foreign=True,
)
MODULES_NAME, SETTINGS_NAME = "modules.json", "config_sentence_transformers.json"
_POOLING_FILES, _LENGTH_FILES = "*_Pooling/config.json", "sentence_*_config.json"
_SHOWN_PROMPTS = 5


def sentence_folder(name: str, *, cached: bool = False) -> Path:
    """Return the folder of a model, for one of the hub that of its cache, with its files of sentence-transformers.

    `cached`: they were asked for before, so the hub is not asked again.
    """
    if name == TINY or Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download

    files = [MODULES_NAME, SETTINGS_NAME, _POOLING_FILES, _LENGTH_FILES]
    try:
        return Path(snapshot_download(name, allow_patterns=files, local_files_only=cached))
    except Exception:  # no network, and not in the cache: its configuration was, or the model was not opened
        return Path(name)


def sentence_settings(folder: Path) -> dict[str, Any]:
    """Return the settings of a folder; none if it has no such file."""
    place = folder / SETTINGS_NAME
    return read_object(place) if place.is_file() else {}


def read_object(place: Path) -> dict[str, Any]:
    """Return a file's object. Raises ModelError if it holds none."""
    found = read_json(place, SENTENCE_FILE)
    if not isinstance(found, dict):
        raise SENTENCE_FILE.misfit(str(place), "it is not an object")
    return found


def note_on_embedding(folder: Path) -> str | None:
    """Return a note on what sentence-transformers does with texts and embeddings by default, and tdbs does not."""
    settings = sentence_settings(folder)
    name, entries = settings.get("default_prompt_name"), settings.get("truncate_dim")
    notes = []
    if isinstance(name, str):
        notes.append(f"{folder} has a default prompt, '{shown(name)}': texts are embedded without it.")
    if entries is not None:
        size = shown(entries)
        notes.append(f"{folder} has truncate_dim {size}: embeddings are whole without --dimensions {size}.")
    return " ".join(notes) or None


def note_on_training(folder: Path) -> str | None:
    """Return a note on prompts of a model that is trained further: neither its texts nor the run have them."""
    prompts = sentence_settings(folder).get("prompts")
    named = [name for name, text in prompts.items() if text] if isinstance(prompts, dict) else []
    if not named:
        return None
    listed = ", ".join(shown(str(name)) for name in named[:_SHOWN_PROMPTS]) + ", …" * (len(named) > _SHOWN_PROMPTS)
    return (
        f"{folder} has prompts ({listed}): texts are read without them, and the run has none. "
        "Write them into the texts."
    )
