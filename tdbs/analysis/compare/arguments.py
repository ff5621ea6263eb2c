"""The arguments of `compare`: its folder, and the strategies that they name."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated

from tdbs.analysis.compare.runs import Progress
from tdbs.errors import ConfigError
from tdbs.files import dated_folder, name_in_folder
from tdbs.given import Place, several
from tdbs.notebook import HELP
from tdbs.option import Option
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.settings import TrainSettings
from tdbs.train.planning.given_strategies import given_strategy
from tdbs.train.planning.profile_file import Profile
from tdbs.train.planning.runnable import strategies_for
from tdbs.train.planning.strategies import BASELINE, Strategy

COMPARISONS_FOLDER = Path("runs/compare")


@dataclass(frozen=True, kw_only=True, slots=True)
class CompareArguments(TrainSettings):
    """What `compare` takes besides the dataset."""

    strategies: Annotated[
        Sequence[Strategy | str] | Strategy | str | None,
        Option(
            "A name, resolved for task and model, a resolved strategy, or a list of them.",
            default="all that both can run",
        ),
    ] = field(default=None, kw_only=False)
    out: Annotated[
        str | Path | None, Option("Folder of the comparison.", default=f"{COMPARISONS_FOLDER}/<source>-<time>")
    ] = None
    seeds: Annotated[Sequence[int] | int, Option("Seed that each strategy is trained with, or a list of seeds.")] = (0,)
    baseline: Annotated[str, Option("Strategy that speedups are over; it is always compared.")] = BASELINE
    base_batch_size: Annotated[
        int | None, Option("Batch size in epoch 0, for strategies given by name.", default="64", alias="batch_size")
    ] = None
    profile: Annotated[
        Profile | Place | None, Option("Device profile, or its file: with it all is predicted first, in seconds.")
    ] = None
    part_steps: Annotated[int | None, Option("Time this many steps of each strategy instead of whole runs.")] = None
    resume: Annotated[bool, Option("Resume the comparison in the folder.")] = False
    pool: Annotated[Path | None, Option("Folder of finished runs, to take runs from and to keep new ones in.")] = None
    progress: Annotated[Progress | bool, Option(f"Called with a line for each stage. {HELP}")] = True

    def __post_init__(self) -> None:
        super(CompareArguments, self).__post_init__()
        if self.energy is not None and self.part_steps is not None:
            raise ConfigError(
                "--energy measures whole runs, and --steps makes none.", next_step="Leave out --energy or --steps."
            )
        seeds = list(several(self.seeds))
        for seed in seeds:
            if seeds.count(seed) > 1:
                raise ConfigError(f"Seed {seed} is named twice.", next_step="Name each seed once.")
        check_resumed(self.out, resume=self.resume)


def check_resumed(out: str | Path | None, *, resume: bool) -> None:
    """Refuse to resume a comparison that is not named."""
    if resume and out is None:
        raise ConfigError("--resume needs the folder of the comparison.", next_step="Pass --out with it.")


def default_folder(source: str) -> Path:
    """Return a new folder for a comparison without --out."""
    return dated_folder(COMPARISONS_FOLDER, name_in_folder(source))


def chosen_strategies(
    dataset: PreparedDataset, arguments: CompareArguments, baseline: str, *, profile: Profile | None, in_rows: bool
) -> list[Strategy]:
    """Return the strategies to compare, the baseline among them, each under a name of its own."""
    task = dataset.manifest.task
    given = strategies_for(task, in_rows=in_rows) if arguments.strategies is None else arguments.strategies
    resolved = partial(
        given_strategy, task=task, profile=profile, in_rows=in_rows, batch_size=arguments.base_batch_size
    )
    chosen = [resolved(each) for each in several(given)]
    names = [strategy.name for strategy in chosen]
    if baseline not in names:
        chosen.insert(0, resolved(baseline))
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"Two strategies are named {name}.", next_step="Give each its own name.")
    return chosen
