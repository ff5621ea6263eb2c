"""What TrainingArguments say of the updates: PreparedTrainer does it, or refuses it before training."""

from collections.abc import Iterable
from typing import Any

from transformers import Trainer, TrainingArguments

from tdbs.errors import ConfigError
from tdbs.settings import DEFAULT_WARMUP

_OTHER = "Leave it out, or pass your own datasets to a Trainer and call prepare_trainer on it."


def check_arguments(trainer: Trainer) -> None:
    """Refuse what would make other updates than the plan's, or would have no effect."""
    args: TrainingArguments = trainer.args
    sampling = getattr(args, "train_sampling_strategy", "random")  # older versions of transformers lack it
    one_batch = "Leave it at 1: the plan decides which samples share an update."
    whole_model = "Leave it out: each process needs the whole model."
    cases = (
        (args.gradient_accumulation_steps != 1, "gradient_accumulation_steps", one_batch),
        (args.max_steps > 0, "max_steps", "Leave it out: it follows from the plan and num_train_epochs."),
        (args.num_train_epochs != int(args.num_train_epochs), "a part of an epoch", "Pass a whole num_train_epochs."),
        (args.dataloader_num_workers != 0, "dataloader_num_workers", "Leave it at 0: array code builds the batches."),
        (args.world_size != 1, "several processes", "Train with one process, or with torchrun --no-python tdbs train."),
        (args.n_gpu > 1, "several GPUs in one process", "Set CUDA_VISIBLE_DEVICES to one of them."),
        (args.fsdp, "fsdp", whole_model),
        (args.deepspeed, "deepspeed", whole_model),
        (args.torch_compile, "torch_compile", "Leave it out: rows have other lengths in every update."),
        (trainer.train_dataset is not None, "train_dataset", "Leave it out: `prepared` has the samples."),
        (
            trainer.lr_scheduler is not None,
            "a schedule in optimizers",
            "Pass (optimizer, None): the plan has the rates.",
        ),
        (args.lr_scheduler_type != "linear", f"the schedule {args.lr_scheduler_type.value}", _OTHER),
        (args.lr_scheduler_kwargs, "lr_scheduler_kwargs", _OTHER),
        (args.label_smoothing_factor != 0, "label_smoothing_factor", _OTHER),
        (trainer.compute_loss_func is not None, "compute_loss_func", _OTHER),
        (args.neftune_noise_alpha, "neftune_noise_alpha", _OTHER),
        (sampling != "random", "train_sampling_strategy", "Leave it out: pass strategy= instead."),
        (args.dataloader_drop_last, "dataloader_drop_last", "Leave it out: an epoch has every sample."),
        (args.data_seed not in (None, args.seed), "data_seed", "Leave it out: the plan follows from seed."),
        (args.auto_find_batch_size, "auto_find_batch_size", "Leave it out, and pass a per_device_train_batch_size."),
        (args.ignore_data_skip, "ignore_data_skip", "Leave it out: earlier batches are not made on resume."),
    )
    refuse_first("PreparedTrainer", cases)


def refuse_first(whose: str, cases: Iterable[tuple[Any, str, str]]) -> None:
    """Raise ConfigError for the first case that is so, each with what it is and the next step."""
    for wrong, described, next_step in cases:
        if wrong:
            raise ConfigError(f"{whose} does not support {described}.", next_step=next_step)


def warmup_of(args: Any, given: float | None) -> float:
    """Return the share of the run's samples over which the rate grows: that of the arguments, if they have any."""
    asked = getattr(args, "warmup_ratio", None) or args.warmup_steps
    if not asked:
        return DEFAULT_WARMUP if given is None else given
    if asked >= 1:
        raise ConfigError(
            f"PreparedTrainer does not support warmup_steps as a number of steps ({asked:g}).",
            next_step="Pass a share of the run: warmup_steps=0.06, or warmup=0.06 to PreparedTrainer.",
        )
    if given not in (None, asked):
        raise ConfigError(
            f"The warm-up is {given:g} in PreparedTrainer, and {asked:g} in TrainingArguments.",
            next_step="Pass one of them.",
        )
    return float(asked)
