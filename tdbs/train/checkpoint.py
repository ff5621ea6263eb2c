"""Checkpoints: weights, the optimizer's state and the place in the plan; a run resumes from one as if undisturbed.

A checkpoint is a folder `step-<steps done>` that becomes visible when it is whole. Tensors are safetensors, the rest is
JSON: nothing that is read can run code. What a step draws depends on (seed, epoch, step) alone, so a checkpoint
contains no generator's state.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from tdbs.errors import TrainingError, reason_of
from tdbs.fields import Count, Digits
from tdbs.files import make_folder, new_folder, write_json
from tdbs.records import Form, read_record
from tdbs.removal import remove_folder
from tdbs.train.energy import EnergyUse
from tdbs.train.micro_batches import HalvedCap
from tdbs.train.run_folder import CHECKPOINTS_FOLDER, checkpoint_folders
from tdbs.train.run_records import EpochFields
from tdbs.train.sample_records import Scores

_FORM = Form(
    what="the state of a checkpoint",
    error=TrainingError,
    next_step="Remove its folder: --resume then takes the checkpoint before it, or starts again if there is none.",
)
_STEP = "step"
_MOMENTS = {_STEP, "exp_avg", "exp_avg_sq"}  # of AdamW
_WEIGHTS, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_SAMPLES, _SCORES = "samples.safetensors", "scores"  # the file, and its tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointRule:
    """When checkpoints are made in addition to the ends of epochs, and how many are kept."""

    steps: int | None = None  # between checkpoints
    minutes: float | None = 1.0  # between checkpoints
    keep: int = 2  # newest checkpoints


@dataclass(kw_only=True, slots=True)
class RunState:
    """The progress of a run: what is done, and the sums that its result needs."""

    step: Count = 0  # done steps
    loss_sum: float = 0.0  # of the current epoch
    predicted: Count = 0  # predictions in that sum
    history: list[EpochFields] = field(default_factory=list)  # done and scored epochs
    metrics: dict[str, float | None] = field(default_factory=dict)
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("plan", "train", "evaluate", "total"), 0.0)
    )
    caps: dict[Digits, Count] = field(default_factory=dict)  # halved caps by bucket, after memory ran out
    halved: list[HalvedCap] = field(default_factory=list)
    energy: EnergyUse | None = None  # None: not measured

    def __post_init__(self) -> None:
        if not {"plan", "train", "evaluate", "total"} <= self.seconds.keys():
            raise ValueError("seconds lack a stage")

    def count(self, loss: float, predicted: int) -> None:
        """Count a step whose loss is a mean over `predicted` predictions."""
        self.step += 1
        self.loss_sum += loss * predicted
        self.predicted += predicted


DEFAULT_CHECKPOINTS = CheckpointRule()


def save_checkpoint(
    run: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    state: RunState,
    *,
    keep: int,
    scores_NK: Scores | None = None,
) -> None:
    """Write the checkpoint of a state and of the epoch's scores so far, and remove all but the newest `keep`."""
    place = run / CHECKPOINTS_FOLDER / f"step-{state.step:08}"
    if place not in checkpoint_folders(run, half=False):
        make_folder(place.parent, TrainingError)
        with new_folder(place) as hidden:
            save_file(_weights(model), hidden / _WEIGHTS)
            save_file(_moments(model, optimizer), hidden / _OPTIMIZER)
            if scores_NK is not None:
                save_file({_SCORES: torch.from_numpy(scores_NK)}, hidden / _SAMPLES)
            write_json(hidden / _STATE, asdict(state))
    for old in checkpoint_folders(run, half=False)[:-keep]:
        remove_folder(old, faults=True)


def newest_checkpoint(run: Path) -> Path | None:
    """Return a run's newest checkpoint, None if it has none; remove unfinished ones of killed runs."""
    whole = checkpoint_folders(run, half=False)
    for half in set(checkpoint_folders(run, half=True)) - set(whole):
        remove_folder(half)
    return max(whole, default=None)


def load_checkpoint(place: Path, model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> RunState:
    """Give model and optimizer the tensors of a checkpoint and return its state.

    Raises TrainingError if the checkpoint is damaged or of another model.
    """
    try:
        weights, moments = load_file(place / _WEIGHTS), load_file(place / _OPTIMIZER)
        state = read_record(place / _STATE, RunState, _FORM)
        _check_moments(model, moments, state)
        _give(_weights(model), weights)
        _give_moments(model, optimizer, moments)
    except TrainingError as error:
        raise _FORM.unreadable(f"The checkpoint {place}", error.message.rstrip(".")) from error
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise _FORM.unreadable(f"The checkpoint {place}", reason_of(error)) from error
    return state


def load_scores(place: Path, *, rows: int, scores: int) -> Scores | None:
    """Return the scores of a checkpoint's epoch so far; None if it has none. Raises TrainingError if they are damaged.

    `rows` is the number of the train split's samples, `scores` that of each sample's scores.
    """
    if not (place / _SAMPLES).exists():
        return None
    try:
        found = load_file(place / _SAMPLES)
        _check_fits(_SCORES, found[_SCORES], torch.Size([rows, scores]), torch.float32)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise _FORM.unreadable(f"The checkpoint {place}", reason_of(error)) from error
    values_NK: Scores = found[_SCORES].numpy()
    return values_NK


def _weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters and saved buffers, each once: safetensors refuses two names of one memory."""
    saved = model.state_dict()
    names = [name for name, _ in model.named_parameters()] + [
        name for name, _ in model.named_buffers() if name in saved
    ]
    return {name: saved[name].contiguous() for name in names}


def _moments(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Return the optimizer's state by names of parameters; a parameter without a gradient so far has none."""
    return {
        f"{name}/{kind}": value.contiguous()
        for name, parameter in model.named_parameters()
        for kind, value in optimizer.state.get(parameter, {}).items()
    }


def _give(own: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> None:
    if own.keys() != found.keys():
        raise KeyError(f"its weights are of another model: {sorted(own.keys() ^ found.keys())[0]}")
    for name, tensor in own.items():
        _check_fits(name, found[name], tensor.shape, tensor.dtype)  # torch would broadcast and cast it
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(found[name])


def _check_moments(model: torch.nn.Module, found: Mapping[str, torch.Tensor], state: RunState) -> None:
    """Refuse an optimizer's state that makes AdamW fail, or that AdamW would use although it is incomplete."""
    if state.step and not found:
        raise ValueError(f"it has no state of the optimizer after {state.step} steps")
    parameters = dict(model.named_parameters())
    kinds: dict[str, set[str]] = defaultdict(set)
    for key, value in found.items():
        name, _, kind = key.rpartition("/")
        if name not in parameters or kind not in _MOMENTS:
            raise ValueError(f"its optimizer is of another model: {key}")
        own = parameters[name]
        shape, dtype = (torch.Size(), torch.float32) if kind == _STEP else (own.shape, own.dtype)
        _check_fits(key, value, shape, dtype)
        kinds[name].add(kind)
    for name, own_kinds in kinds.items():
        lacking = sorted(_MOMENTS - own_kinds)
        if lacking:
            raise ValueError(f"it lacks {name}/{lacking[0]}")


def _check_fits(key: str, value: torch.Tensor, shape: torch.Size, dtype: torch.dtype) -> None:
    if value.shape != shape or value.dtype != dtype:
        raise ValueError(f"{key} has shape {list(value.shape)} of {value.dtype}, expected {list(shape)} of {dtype}")


def _give_moments(model: torch.nn.Module, optimizer: torch.optim.Optimizer, found: Mapping[str, torch.Tensor]) -> None:
    parameters = dict(model.named_parameters())
    for key, value in found.items():
        name, _, kind = key.rpartition("/")
        parameter = parameters[name]
        # fused AdamW keeps its count of steps on the parameter's device, too
        optimizer.state[parameter][kind] = value.to(parameter.device)
