"""A checkpoint's tensors are those of the model and its optimizer, or the checkpoint is named and refused."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from tdbs.errors import TrainingError
from tdbs.train.checkpoint import RunState, load_checkpoint, newest_checkpoint, save_checkpoint


@pytest.fixture
def trained():
    """Return a small model and its optimizer after a step."""
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


DAMAGES = {
    "optimizer.safetensors": {
        "moments of another shape": (
            {"weight/exp_avg": torch.zeros(1, 3)},
            "weight/exp_avg has shape [1, 3] of torch.float32, expected [2, 3] of torch.float32",
        ),
        "moments of whole numbers": (
            {"bias/exp_avg_sq": torch.zeros(2, dtype=torch.int64)},
            "bias/exp_avg_sq has shape [2] of torch.int64, expected [2] of torch.float32",
        ),
        "a count of steps that is not one": (
            {"bias/step": torch.zeros(2)},
            "bias/step has shape [2] of torch.float32, expected [] of torch.float32",
        ),
        "half of the moments": ({"weight/exp_avg": None}, "it lacks weight/exp_avg"),
        "no moments": (
            {f"{name}/{kind}": None for name in ("weight", "bias") for kind in ("step", "exp_avg", "exp_avg_sq")},
            "it has no state of the optimizer after 1 steps",
        ),
        "moments of another model": ({"other/exp_avg": torch.zeros(2)}, "its optimizer is of another model: other/"),
        "another kind of moments": ({"bias/sum": torch.zeros(2)}, "its optimizer is of another model: bias/sum"),
    },
    "model.safetensors": {
        "weights that torch would spread": (
            {"weight": torch.zeros(1, 3)},
            "weight has shape [1, 3] of torch.float32, expected [2, 3] of torch.float32",
        ),
    },
}


@pytest.mark.parametrize(
    ("file", "damage"), [(file, damage) for file, damages in DAMAGES.items() for damage in damages]
)
def test_tensors_that_do_not_fit_are_named_before_a_step(trained, tmp_path, file, damage):
    model, optimizer = trained
    save_checkpoint(tmp_path, model, optimizer, RunState(step=1), keep=1)
    place = newest_checkpoint(tmp_path)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    changes, reason = DAMAGES[file][damage]
    tensors = {name: value for name, value in (load_file(place / file) | changes).items() if value is not None}
    save_file(tensors, place / file)
    with pytest.raises(TrainingError) as caught:
        load_checkpoint(place, model, optimizer)
    assert caught.value.message.startswith(f"The checkpoint {place} cannot be read: {reason}")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_whole_checkpoint_is_loaded(trained, tmp_path):
    model, optimizer = trained
    save_checkpoint(tmp_path, model, optimizer, RunState(step=1), keep=1)
    other = torch.nn.Linear(3, 2)
    fresh = torch.optim.AdamW(other.parameters())
    assert load_checkpoint(newest_checkpoint(tmp_path), other, fresh).step == 1
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(fresh.state[other.weight]["exp_avg"], optimizer.state[model.weight]["exp_avg"])
