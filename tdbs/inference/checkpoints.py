"""Open a model that predicts: a run of tdbs, or any transformers checkpoint with a head, and its text processing.

A run takes task, lengths and droppable words from its dataset's manifest. For a checkpoint, its files give the task
(described.py), and its configuration the length; it has its own tokenizer.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from transformers import PretrainedConfig

from tdbs.data.tasks import Task
from tdbs.errors import ConfigError, DatasetError, ModelError, at_least
from tdbs.inference.described import IDENTITY, SIGMOID, describe, ranking_task
from tdbs.inference.linear_layers import store_in_bf16
from tdbs.inference.sentence_folders import text_settings
from tdbs.pipeline.dataset import PreparedDataset, load
from tdbs.pipeline.lengths import MAX_LENGTHS, Limits, choose_limits
from tdbs.pipeline.manifest import TokenizerInfo, WordsInfo
from tdbs.pipeline.manifest_file import MANIFEST_NAME
from tdbs.pipeline.recorded import tokenizer_info
from tdbs.pipeline.tokens.tokenizer import LoadedTokenizer, load_tokenizer
from tdbs.pipeline.words.matches import WordPattern, compile_words
from tdbs.pipeline.words.stopwords import choose_words, words_sha256
from tdbs.train.allocator import keep_freed_memory
from tdbs.train.device import DeviceSettings, resolve_execution
from tdbs.train.evaluate import load_trained, threshold_of
from tdbs.train.models.checks import position_limit_of
from tdbs.train.models.inputs import InputRules, SampleFormat
from tdbs.train.models.load import LoadedModel, ModelSettings, load_model, read_config
from tdbs.train.models.sentence_settings import sentence_folder
from tdbs.train.rows.models import use_sequences
from tdbs.train.run_folder import MODEL_FOLDER, holds_run, read_run

_ALONE = "sdpa"  # faster for one short text, on a CPU too (docs/decisions.md, "One text")
_NO_LIMIT = 512  # tokens of a text if neither the tokenizer nor the model has a limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A model in memory, and what turns texts into its input."""

    name: str  # as given
    model: Any  # as accelerate prepared it
    accelerator: Accelerator
    execution: dict[str, str]  # device, precision, attention
    task: Task  # task with the columns it was trained on
    tokenizer: LoadedTokenizer
    info: TokenizerInfo
    limits: Limits
    words: WordsInfo | None  # the list that may be dropped; None: the checkpoint is not a run
    rules: InputRules  # rules for the model's inputs
    in_rows: bool  # a row of the model may hold several samples
    note: str | None = None  # open points of its configuration, and how they were read
    # of a run that learned questions without an answer: above it the answer is empty; None: every question has one
    no_answer_threshold: float | None = None
    dimensions: int | None = None  # first entries of an embedding that are written; None: all of them
    activation: str = IDENTITY  # what makes numbers and scores of logits, by its name in described.py
    ranked_by: str | None = None  # activation of its scores if it is to rank; None: it ranks only if its task says so


def open_checkpoint(
    name: str | Path,
    *,
    precision: str = "auto",
    attention: str = "auto",
    max_length: int | None = None,
    prefix: str | None = None,
    dimensions: int | None = None,
    alone: bool = False,
    ranks: bool = False,
    dataset: PreparedDataset | None = None,
) -> Checkpoint:
    """Load a run's model, or a checkpoint by hub name or folder. Raises a TdbsError if it cannot predict.

    `auto` is the run's own kernel; for a checkpoint, the fastest one of this device; for texts that are
    predicted `alone`, one in a batch, sdpa. `max_length` and `prefix` (sequence to sequence) are those of a run's
    dataset if they are not given. `dimensions` cuts embeddings to their first entries. `ranks`: texts are
    ranked, also by a single output of no stated kind. `dataset` is a run's, if it is open already.
    """
    _refuse_texts(Path(name))
    if holds_run(Path(name)):
        found = _of_run(str(name), dataset, precision=precision, attention=attention, max_length=max_length)
    else:
        found = _of_checkpoint(str(name), precision=precision, attention=attention, max_length=max_length)
    if alone and attention == "auto" and found.in_rows and found.model._supports_sdpa:
        use_sequences(found.model, _ALONE)
        found = replace(found, execution={**found.execution, "attention": _ALONE})
    if ranks:
        found = as_ranker(found)
    if prefix is not None:
        if found.task.kind != "seq2seq":
            raise ConfigError("--prefix only applies to models that generate texts.", next_step="Leave it out.")
        found = replace(found, task=replace(found.task, prefix=prefix))
    if dimensions is not None:
        _check_dimensions(found, dimensions)
        found = replace(found, dimensions=dimensions)
    return found


def _refuse_texts(place: Path) -> None:
    """Refuse what has texts in place of the model that is to predict them: both are arguments, one after the other."""
    kind = "a file" if place.is_file() else "a prepared dataset" if (place / MANIFEST_NAME).is_file() else None
    if kind is not None:
        raise ModelError(
            f"{place} is {kind}, neither a tdbs run nor a model.",
            next_step="Name the run or the model first, then the texts: tdbs predict RUN INPUT.",
        )


def as_ranker(checkpoint: Checkpoint) -> Checkpoint:
    """Return a checkpoint that ranks texts if it has one output of no stated kind; else the same one."""
    if checkpoint.ranked_by is None:
        return checkpoint
    is_named = checkpoint.ranked_by == checkpoint.activation
    note = f"{checkpoint.name} names no activation: scores are sigmoids, as those of a CrossEncoder."
    return replace(
        checkpoint,
        task=ranking_task(checkpoint.name),
        info=tokenizer_info(checkpoint.tokenizer, pair=True),
        activation=checkpoint.ranked_by,
        note=None if is_named else note,
    )


def droppable_pattern(checkpoint: Checkpoint, stopwords: str | None) -> WordPattern:
    """Return the droppable words as `prepare` finds them: from the run's own list, or the named one."""
    known = checkpoint.words
    if stopwords is not None or known is None:
        return compile_words(choose_words(stopwords or "paper").words)
    named = known.source in ("paper", "none") or known.source.startswith("nltk:")
    words = choose_words(known.source, keep=known.kept).words if named else None
    if words is None or words_sha256(words) != known.sha256:
        raise ConfigError(
            f"The droppable words were read from {known.source} when the dataset was prepared.",
            next_step="Pass --stopwords with the path of that file.",
        )
    return compile_words(words)


def _of_run(
    name: str, dataset: PreparedDataset | None, *, precision: str, attention: str, max_length: int | None
) -> Checkpoint:
    run = read_run(Path(name))
    trained = run.config["execution"]
    resolved = resolve_execution(
        precision=trained["precision"] if precision == "auto" else precision,
        attention=trained["attention"] if attention == "auto" else attention,
    )
    try:
        dataset = dataset or load(run.config["dataset"]["path"])
    except DatasetError as error:
        raise DatasetError(
            f"The run {name} was trained on a dataset that is missing: {error.message}",
            next_step=f"Put it back, or pass {Path(name) / MODEL_FOLDER} for the model alone.",
        ) from error
    manifest = dataset.manifest
    loaded = load_trained(run, dataset, execution=resolved, in_rows=None)
    tokenizer = load_tokenizer(str(Path(name) / MODEL_FOLDER))
    limits = Limits(
        max_length=max_length or manifest.longest_input,
        stride=manifest.stride,
        max_target_length=manifest.max_target_length,
    )
    if max_length is not None:
        _check_length(name, loaded.model.config, max_length)
        limits = choose_limits(
            manifest.task, tokenizer, max_length=max_length, stride=None, max_target_length=manifest.max_target_length
        )
    execution = {**trained, **_shown(resolved)}
    found = _checkpoint(
        name, loaded, execution, manifest.task, tokenizer=tokenizer, limits=limits, words=manifest.words
    )
    activation = SIGMOID if manifest.task.kind == "ranking" else IDENTITY
    return replace(found, no_answer_threshold=threshold_of(run), activation=activation)


def _of_checkpoint(name: str, *, precision: str, attention: str, max_length: int | None) -> Checkpoint:
    config = read_config(name, "predict")
    folder = sentence_folder(name)
    described = describe(name, folder, config)
    task = described.task
    tokenizer = load_tokenizer(name)
    sentences = text_settings(folder) if task.kind == "embedding" else None
    own = None if sentences is None else sentences.max_length
    known = [limit for limit in (own or tokenizer.model_max_length, position_limit_of(config)) if limit is not None]
    if max_length is None:  # windows and sources have a usual length; of other texts nothing is cut that need not be
        usual = MAX_LENGTHS.get(task.kind)
        max_length = min([*known, *([] if usual is None else [usual])], default=_NO_LIMIT)
    _check_length(name, config, max_length)
    limits = choose_limits(task, tokenizer, max_length=max_length, stride=None, max_target_length=None)
    resolved = resolve_execution(precision=precision, attention=attention)
    samples = SampleFormat(
        task=task,
        info=tokenizer_info(tokenizer, pair=task.is_pair),
        backend=tokenizer.backend,
        layout=tokenizer.layout,
        max_length=max_length,
    )
    loaded = load_model(name, samples, ModelSettings(purpose="predict", execution=resolved, in_rows=None))
    found = _checkpoint(name, loaded, _shown(resolved), task, tokenizer=tokenizer, limits=limits, words=None)
    return replace(
        found,
        note=described.note if sentences is None else sentences.note,
        activation=described.activation,
        ranked_by=described.ranked_by,
    )


def _shown(execution: DeviceSettings) -> dict[str, str]:
    """Return what is recorded of how a model runs."""
    return {"device": execution.device, "precision": execution.precision, "attention": execution.attention}


def _checkpoint(
    name: str,
    loaded: LoadedModel,
    execution: dict[str, str],
    task: Task,
    *,
    tokenizer: LoadedTokenizer,
    limits: Limits,
    words: WordsInfo | None,
) -> Checkpoint:
    """Return a loaded model with what its texts go through, ready to predict."""
    if execution["device"] == "cpu":
        keep_freed_memory()
    loaded.prepared.eval()
    if loaded.in_rows and execution["precision"] == "bf16":
        store_in_bf16(loaded.prepared, execution["device"])
    return Checkpoint(
        name=name,
        model=loaded.prepared,
        accelerator=loaded.accelerator,
        execution=execution,
        task=task,
        tokenizer=tokenizer,
        info=tokenizer_info(tokenizer, pair=task.is_pair),
        limits=limits,
        words=words,
        rules=loaded.rules,
        in_rows=loaded.in_rows,
    )


def _check_dimensions(checkpoint: Checkpoint, dimensions: int) -> None:
    if checkpoint.task.kind != "embedding":
        raise ConfigError("--dimensions only applies to models that embed texts.", next_step="Leave it out.")
    at_least("--dimensions", dimensions, 1)
    width = checkpoint.model.config.hidden_size
    if dimensions > width:
        raise ConfigError(
            f"--dimensions {dimensions} is beyond {checkpoint.name}, whose embeddings have {width} entries.",
            next_step=f"Pass --dimensions {width} or less.",
        )


def _check_length(name: str, config: PretrainedConfig, max_length: int) -> None:
    limit = position_limit_of(config)
    if limit is not None and max_length > limit:
        raise ConfigError(
            f"--max-length {max_length} is beyond {name}, which takes at most {limit} tokens.",
            next_step=f"Pass --max-length {limit} or less.",
        )
