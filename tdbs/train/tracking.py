"""Log a run to a tracker: TensorBoard, Weights & Biases or Trackio, by accelerate's own adapters; none by default."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tdbs.errors import choose, require
from tdbs.settings import TRACKERS
from tdbs.train.run_folder import flat_settings
from tdbs.unasked import nothing_asked

_PROJECT = "tdbs"


class Tracker:
    """The tracker of a run; without a name it does nothing. With several processes, only the first one logs."""

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
        """Log some numbers at a step; unknown ones are left out."""
        if self._tracker is not None:
            self._tracker.log({name: value for name, value in numbers.items() if value is not None}, step=step)

    def close(self) -> None:
        """Write buffered numbers."""
        if self._tracker is not None:
            self._tracker.finish()


def check_tracker(name: str | None) -> None:
    """Refuse an unknown tracker, or one whose package is missing."""
    if name is None:
        return
    choose("--report-to", name, TRACKERS)
    require(name, f"--report-to {name}", name)
