"""What a run uses when its user names nothing, and which values it takes; `plan` and `train` agree on both."""

from tdbs.data.sample import SAMPLE_TASK
from tdbs.errors import ConfigError
from tdbs.pipeline.manifest import Manifest
from tdbs.shown import shown_number

TINY = "tiny"  # the model with random weights that the sample is trained with
DEFAULT_EPOCHS = 3
DEFAULT_WARMUP = 0.06  # share of the run's samples; RoBERTa's fine-tuning recipe
DEFAULT_RATE = 5e-5  # in the paper's grid of 3, 4 and 5 e-5
TINY_RATE = 1e-3  # random weights need more


def default_model(manifest: Manifest) -> str:
    """Return the model of a run that names none: the one the dataset was tokenized for; `tiny` for the sample."""
    return TINY if manifest.source == SAMPLE_TASK.name else manifest.tokenizer.source


def shown_model(model_name: str) -> str:
    """Return a model's name as results show it: of a folder its last two parts, never a machine's whole path."""
    return "/".join(model_name.replace("\\", "/").rstrip("/").split("/")[-2:])


def default_rate(model_name: str) -> float:
    """Return the base rate of a run that names none."""
    return TINY_RATE if model_name == TINY else DEFAULT_RATE


def check_hyperparameters(
    *, epochs: int, lr: float | None = None, warmup: float = DEFAULT_WARMUP, dropout: float | None = None
) -> None:
    """Refuse values out of range. With a rate above 1 AdamW could leave weights that are no numbers."""
    for right, name, value, rule in (
        (epochs >= 1, "--epochs", epochs, "1 or more"),
        (lr is None or 0 < lr <= 1, "--lr", lr, "above 0 and at most 1"),
        (0 <= warmup < 1, "--warmup", warmup, "from 0 to less than 1"),
        (dropout is None or 0 <= dropout < 1, "--dropout", dropout, "from 0 to less than 1"),
    ):
        if not right:
            given = "None" if value is None else shown_number(value)
            raise ConfigError(f"{name} must be {rule}, got {given}.", next_step=f"Pass another {name}.")
