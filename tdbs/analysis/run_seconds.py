"""Seconds of a run on a device, from the costs of a profile and the run's plans."""

from collections.abc import Sequence

from tdbs.analysis.cost import plan_work
from tdbs.errors import ConfigError
from tdbs.pipeline.dataset import PreparedDataset
from tdbs.train.planning.cost_model import CostModel, fit_costs
from tdbs.train.planning.epoch_plan import EpochPlan
from tdbs.train.planning.profile_file import Profile


def costs_for(dataset: PreparedDataset, profile: Profile, attention: str | None = None) -> CostModel:
    """Return the costs of a profile. Raises ConfigError if it is of another kind of model than the dataset asks."""
    is_writer, asks = profile.settings.get("kind") == "seq2seq", dataset.manifest.task.kind == "seq2seq"
    if profile.points and is_writer != asks:
        kinds = ("an encoder-decoder", "an encoder")
        raise ConfigError(
            f"The profile is for {kinds[not is_writer]}; this dataset trains {kinds[not asks]}.",
            next_step="Run tdbs profile on this dataset.",
        )
    return fit_costs(profile.points, attention or str(profile.settings.get("attention")))


def run_seconds(costs: CostModel, plans: Sequence[EpochPlan], *, dropout: bool, is_joint: bool = False) -> float:
    """Return the seconds of all steps of a run; `is_joint`: its loss joins the samples of an update."""
    works = (plan_work(plan, is_joint=is_joint) for plan in plans)
    return sum(float(costs.step_seconds(work_SF, dropout=dropout).sum()) for work_SF in works)


def is_far(costs: CostModel, plans: Sequence[EpochPlan]) -> bool:
    """Return whether some call of a run is far outside of what the profile measured."""
    tokens = max(int(plan.tokens_B.max()) for plan in plans)
    longest = max(map(_longest, plans))
    targets = [int(plan.target_widths_B.max()) for plan in plans if plan.target_widths_B is not None]
    return costs.is_beyond(tokens, longest, max(targets, default=0))


def _longest(plan: EpochPlan) -> int:
    """Return the tokens of the longest row, or of the longest sequence in a row of several."""
    if plan.execution == "unpadded" and plan.longest_N is not None:
        return int(plan.longest_N.max())
    return int(plan.padded_lengths_B.max())
