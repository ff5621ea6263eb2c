"""Tell a tracker of a run: TensorBoard, Weights & Biases or Trackio, by accelerate's own adapters; none by default."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tdbs.errors import ConfigError
from tdbs.train.run_folder import flat_settings
from tdbs.unasked import nothing_asked

TRACKERS = ("tensorboard", "wandb", "trackio")
_PROJECT = "tdbs"


class Tracker:
    """What takes the numbers of a run; without a name it does nothing. Of several processes the first one tells."""

    def __init__(self, name: str | None, folder: Path, config: Mapping[str, Any]) -> None:
        self._tracker: Any = None
        if name is not None:
            from accelerate.tracking import LOGGER_TYPE_TO_CLASS

            kind = LOGGER_TYPE_TO_CLASS[name]
            place = {"logging_dir": str(folder)} if kind.requires_logging_directory else {}
            with nothing_asked():
                self._tracker = kind(name if place else _PROJECT, **place)  # below the run's folder, or a project
                self._tracker.start()
            settings = flat_settings(config).items()
            self._tracker.store_init_configuration(
                {name: value if isinstance(value, bool | int | float) else str(value) for name, value in settings}
            )

    def log(self, numbers: Mapping[str, float | None], *, step: int) -> None:
        """Note some numbers at a step; those that are not known are left out."""
        if self._tracker is not None:
            self._tracker.log({name: value for name, value in numbers.items() if value is not None}, step=step)

    def close(self) -> None:
        """Write what is held back."""
        if self._tracker is not None:
            self._tracker.finish()


def check_tracker(name: str | None) -> None:
    """Refuse a tracker that there is not, or whose package is missing."""
    if name is None:
        return
    if name not in TRACKERS:
        raise ConfigError(f"There is no tracker {name}.", next_step=f"Choose one of: {', '.join(TRACKERS)}.")
    if find_spec(name) is None:
        raise ConfigError(f"--track {name} needs {name}, which is not installed.", next_step=f"Run pip install {name}.")
