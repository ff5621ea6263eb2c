"""The settings of training resolved for a dataset: each default has its value, and what does not fit is refused."""

from dataclasses import dataclass
from typing import Any, get_args

from tdbs.objective_settings import PoolingMode
from tdbs.pipeline.manifest import Manifest
from tdbs.settings import TrainSettings
from tdbs.train.device import DeviceSettings, resolve_execution
from tdbs.train.energy import check_energy
from tdbs.train.models.load import model_to_train
from tdbs.train.models.part import TrainablePart, check_part, part_of
from tdbs.train.objectives.negatives import check_negatives
from tdbs.train.objectives.objective import check_objective
from tdbs.train.planning.model_choice import ModelChoice
from tdbs.train.planning.model_fit import check_fit
from tdbs.train.planning.profile_file import Profile, profiled_attention
from tdbs.train.tracking import check_tracker


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedSettings:
    """The settings of training with each default resolved for a dataset."""

    given: TrainSettings
    model: ModelChoice
    execution: DeviceSettings
    part: TrainablePart
    lr: float
    energy: str | None  # a country's three letters, or world
    pooling: PoolingMode | None = None  # as asked; None: as the model's folder says

    @property
    def options(self) -> dict[str, Any]:
        """The fields of TrainSettings that were resolved, as keywords."""
        return {
            "model": self.model.name,
            "lr": self.lr,
            "precision": self.execution.precision,
            "attention": self.execution.attention,
            "energy": self.energy,
        }


def resolve_settings(
    settings: TrainSettings, manifest: Manifest, *, profile: Profile | None = None
) -> ResolvedSettings:
    """Resolve settings for a dataset, and refuse what does not fit before anything is read or written."""
    check_tracker(settings.track)
    energy = check_energy(settings.energy)
    check_objective(settings, manifest.task)
    check_negatives(settings, manifest)
    model = model_to_train(settings.model, manifest)
    check_fit(model, manifest)
    part = part_of(settings)
    check_part(part, model.name)
    attention = profiled_attention(profile, settings.attention)
    return ResolvedSettings(
        given=settings,
        model=model,
        execution=resolve_execution(
            precision=settings.precision,
            attention=attention,
            compiled=settings.compiled,
            checkpoint_activations=settings.checkpoint_activations,
        ),
        part=part,
        lr=model.rate if settings.lr is None else settings.lr,
        energy=energy,
        pooling=next((mode for mode in get_args(PoolingMode) if mode == settings.pooling), None),
    )
