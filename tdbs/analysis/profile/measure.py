"""Measure a device for a model: step times over batch sizes and lengths, attention kernels, caps, overhead.

Real steps, forward, backward and update, on random tokens; no data of the user's is looked at beyond the shape of the
task's head. What is found is one portable JSON (`tdbs.train.planning.profile_file` reads it).
"""

import datetime
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tdbs.analysis.environment import device_name, environment
from tdbs.analysis.profile.caps import caps_table, device_memory, searched_caps
from tdbs.analysis.profile.shapes import grid_shapes, kernel_shapes, overhead_shapes
from tdbs.analysis.profile.timing import Progress, framework_overheads, timed_points
from tdbs.errors import ModelError
from tdbs.files import write_json
from tdbs.given import checked
from tdbs.notebook import of_messages, shown_progress
from tdbs.pipeline.dataset import AnyDataset, PreparedDataset, opened
from tdbs.pipeline.engines import memory_bytes
from tdbs.removal import refuse_taken
from tdbs.settings import TrainSettings
from tdbs.train.device import resolve_execution
from tdbs.train.learner import Learner, make_learner, share_weights
from tdbs.train.planning.cost_model import fit_costs
from tdbs.train.planning.model_choice import default_model, shown_model
from tdbs.train.planning.profile_file import SCHEMA_VERSION, is_profile
from tdbs.train.resolved import resolve_settings
from tdbs.train.rows.models import knows_sequences, use_sequences

PROFILES_FOLDER = Path("profiles")
_DROPOUT = 0.1


@checked
def measure_profile(
    dataset: AnyDataset,
    *,
    model: str | None = None,
    precision: str = "auto",
    attention: str = "auto",
    memory: int | str | None = None,
    progress: Progress | bool = True,
) -> dict[str, Any]:
    """Time real training steps of a model on this device, on random tokens; takes minutes.

    Args:
        dataset: A prepared dataset, or its folder. Its task gives the model's head, its maximum length the shapes to
            time.
        model: Hub name or folder, or `tiny`. None: the default model of the dataset.
        precision: `auto`, `bf16` or `fp32`.
        attention: `auto`, `eager`, `sdpa` or `flash_attention_2`; `auto` times each kernel that the model offers, and
            measures the fastest in full.
        memory: On a CPU: memory of the process, as bytes or a text such as `8GiB`, within which the largest batches
            are searched. None: they are not searched. On CUDA the device's own memory counts.
        progress: Called with a line for each thing that is timed next. True: a bar in a notebook, elsewhere nothing.
            False: nothing.

    Returns:
        The profile as JSON values: step times in seconds, batch caps by length in tokens, and overheads. Write it to
        a file for `read_profile`.

    Raises:
        ConfigError: An option is out of range, or a step of one sample takes more than the memory.
        DatasetError: The dataset's counts or its tokenizer are damaged.
        ModelError: The model cannot be loaded, or does not fit the dataset.
    """
    dataset = opened(dataset)
    budget = None if memory is None else memory_bytes(memory)
    with shown_progress(progress, of_messages("profile")) as shown:
        return _measured(dataset, model, precision, attention, budget=budget, progress=shown)


def _measured(
    dataset: PreparedDataset,
    model: str | None,
    precision: str,
    attention: str,
    *,
    budget: int | None,
    progress: Progress,
) -> dict[str, Any]:
    """Return the profile, as `measure_profile`."""
    manifest = dataset.manifest
    name = model or default_model(manifest)
    chosen = resolve_execution(precision=precision, attention=attention)
    kernels: list[str] = []
    points: list[dict[str, Any]] = []
    for kernel in _candidates(chosen.device) if attention == "auto" else [chosen.attention]:
        progress(f"attention kernel {kernel}")
        try:
            learner = _learner(dataset, name, precision, kernel, dropout=0.0)
        except ModelError:
            if attention != "auto" or kernel == "eager":  # then it is not that the model lacks the kernel
                raise
            continue
        kernels.append(kernel)
        points += timed_points({False: learner}, manifest, kernel, kernel_shapes(manifest), progress=progress)
    fastest = fastest_kernel(kernels, points)
    learner = _learner(dataset, name, precision, fastest, dropout=0.0)
    memory_caps = searched_caps(learner, manifest, budget=budget, progress=progress)  # soon: it may refuse the budget
    in_rows = knows_sequences(learner.model.config)
    with_dropout = share_weights(learner, _learner(dataset, name, precision, fastest, dropout=_DROPOUT))
    shapes = grid_shapes(manifest, chosen.device, in_rows=in_rows)
    points = [point for point in points if point["attention"] != fastest]  # its grid has them, timed beside the others
    points += timed_points({False: learner, True: with_dropout}, manifest, fastest, shapes, progress=progress)
    costs = fit_costs(points, fastest)
    caps = caps_table(memory_caps, manifest, costs, device=learner.accelerator.device)
    overhead = framework_overheads(learner, manifest, overhead_shapes(manifest), progress=progress)
    config = learner.model.config
    return {
        "tdbs_profile": SCHEMA_VERSION,
        "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        "model": {
            "name": shown_model(name),
            "type": config.model_type,
            "parameters": sum(parameter.numel() for parameter in learner.model.parameters()),
        },
        "device": _device(chosen.device),
        "settings": {
            "kind": manifest.task.kind,
            "precision": chosen.precision,
            "optimizer": "AdamW, fused",
            "attention": fastest,
            "kernels": kernels,
            "memory_bytes": device_memory(learner.accelerator.device) or budget,
        },
        "versions": {package: version(package) for package in ("tdbs", "torch", "transformers")},
        "max_length": manifest.longest_input,
        "caps": caps,
        "overhead": overhead,
        "call_tokens": costs.call_tokens,
        "points": points,
    }


def fastest_kernel(kernels: Sequence[str], points: Sequence[Mapping[str, Any]]) -> str:
    """Return the kernel that ran the most steps, and of those the one that took the fewest seconds.

    A step that the device did not hold has no point: without it a kernel would look the faster one.
    """
    seconds = {kernel: [point["seconds"] for point in points if point["attention"] == kernel] for kernel in kernels}
    return min(kernels, key=lambda kernel: (-len(seconds[kernel]), sum(seconds[kernel])))


def _device(kind: str) -> dict[str, Any]:
    found = environment()
    return {
        "kind": kind,
        "name": device_name(),
        "cores": found["cores"],
        "memory_gib": found["memory_gib"],
    }


def default_place(dataset: PreparedDataset, *, model: str | None, precision: str) -> Path:
    """Return the default path of a profile, named for model, device and precision."""
    chosen = resolve_execution(precision=precision, attention="auto")
    words = (shown_model(model or default_model(dataset.manifest)), device_name(), chosen.precision)
    return PROFILES_FOLDER / (re.sub(r"[^\w.]+", "-", "-".join(words)).strip("-").lower() + ".json")


def write_profile(path: Path, profile: Mapping[str, Any], *, overwrite: bool) -> None:
    """Write a profile. Raises ConfigError if a file is in its place, unless `overwrite`."""
    check_place(path, overwrite=overwrite)
    write_json(path, dict(profile))


def check_place(path: Path, *, overwrite: bool) -> None:
    """Refuse a place that is taken, before anything is measured."""
    refuse_taken(path, is_profile, overwrite=overwrite)


def _learner(dataset: PreparedDataset, name: str, precision: str, kernel: str, *, dropout: float) -> Learner:
    settings = TrainSettings(model=name, precision=precision, attention=kernel)
    learner = make_learner(dataset, resolve_settings(settings, dataset.manifest), seed=0, dropout=dropout)
    if knows_sequences(learner.model.config):
        use_sequences(learner.model, kernel)
    learner.prepared.train()
    return learner


def _candidates(device: str) -> list[str]:
    """Return the attention kernels that a model may offer here, first the one that every model has."""
    return ["eager", "sdpa", *(["flash_attention_2"] if device == "cuda" and find_spec("flash_attn") else [])]
