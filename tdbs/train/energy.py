"""Energy of a run, by codecarbon's offline tracker: kWh of the machine, and CO2e of a country's electricity.

Nothing is sent and no file stays. What has no meter (RAPL of processors, NVML of GPUs) is estimated: a processor from
its nominal power and load, memory from its size. It is the power of the whole machine, with all other programs. With
several processes, the first one measures its machine, so that nothing counts twice.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict

from tdbs.errors import ConfigError, TrainingError, require

if TYPE_CHECKING:
    from codecarbon import OfflineEmissionsTracker

WORLD = "world"  # the average of all countries, in place of one
_METERS = {"intel_rapl": "RAPL", "windows_emi": "Windows EMI", "intel_power_gadget": "Intel Power Gadget"}


class EnergyUse(TypedDict):
    """What a run used; the keys are those of `energy` in `tdbs train --json`."""

    kwh: float
    co2e_kg: float
    country: str  # the one whose electricity counts: three letters of ISO 3166, or world
    power: str  # its methods: processor estimated, memory estimated, GPU measured


EnergyMeter = Callable[[], EnergyUse | None]  # returns the use so far; None if nothing is measured


def check_energy(country: str | None) -> str | None:
    """Return the country as codecarbon writes it; refuse one without data, and a missing codecarbon."""
    if country is None:
        return None
    require("codecarbon", "--energy", "tdbs[energy]")
    if country.lower() == WORLD:
        return WORLD
    from codecarbon.input import DataSource

    if country.upper() not in DataSource().get_global_energy_mix_data():
        raise ConfigError(
            f"codecarbon has no electricity data of the country {country or repr(country)}.",
            next_step=f"Pass its three letters of ISO 3166, such as FRA, or {WORLD}.",
        )
    return country.upper()


@contextmanager
def metered(country: str | None, before: EnergyUse | None) -> Iterator[EnergyMeter]:
    """Measure while the context lasts; the meter adds what was used `before`. Without a country it measures nothing.

    Raises TrainingError if codecarbon cannot measure, for example because its own settings do not fit.
    """
    if country is None:
        yield lambda: None
        return
    with tempfile.TemporaryDirectory() as folder:  # for meters that write a log
        newest = _Newest()
        tracker = _tracker(country, folder, newest)
        try:
            tracker.start()
            tracker.flush()
            if newest.totals is None or newest.totals.energy_consumed <= 0:  # it logs its exceptions and continues
                raise TrainingError(
                    "codecarbon could not measure this machine.",
                    next_step="Fix codecarbon's settings (CODECARBON_*, .codecarbon.config), or leave out --energy.",
                )
            power = ", ".join(_power_of(part) for part in tracker._hardware)  # it has no public name

            def meter() -> EnergyUse:
                tracker.flush()
                return _added(
                    before,
                    EnergyUse(
                        kwh=newest.totals.energy_consumed,
                        co2e_kg=newest.totals.emissions,
                        country=country,
                        power=power,
                    ),
                )

            yield meter
        finally:
            tracker.stop()


class _Newest:
    """A codecarbon output that keeps the newest totals of a tracker, and writes nothing."""

    def __init__(self) -> None:
        self.totals: Any = None

    def out(self, total: Any, _since: Any) -> None:
        self.totals = total

    def exit(self) -> None:
        """Nothing is open."""


def _tracker(country: str, folder: str, newest: _Newest) -> "OfflineEmissionsTracker":
    """Return a tracker without network, files and chatter, whatever the user's configuration of codecarbon says.

    That configuration still describes the machine (nominal power, which GPUs, a data centre's overhead).
    """
    from codecarbon import OfflineEmissionsTracker

    logging.getLogger("codecarbon").setLevel(logging.ERROR)  # it logs before it reads its own log_level
    return OfflineEmissionsTracker(
        country_iso_code=None if country == WORLD else country,  # without one it takes the world's average
        region=None,
        country_2letter_iso_code=None,
        cloud_provider=None,
        cloud_region=None,
        force_carbon_intensity_g_co2e_kwh=None,
        electricitymaps_api_token="",  # None would let it look for an older setting
        emissions_endpoint=None,
        output_methods=[],
        output_handlers=[newest],
        output_dir=folder,
        api_call_interval=-1,
        allow_multiple_runs=True,  # no lock file
        tracking_mode="machine",
        log_level="error",
    )


def _power_of(part: Any) -> str:
    """Return how the power of a part of the machine is found."""
    kind = type(part).__name__
    if kind == "RAM":
        return "memory estimated"
    if kind == "CPU":
        meter = _METERS.get(part._mode)
        return "processor estimated" if meter is None else f"processor measured by {meter}"
    if kind == "GPU":
        return "GPU measured"
    return f"{part.chip_part} measured"  # of Apple's chips and of a Raspberry Pi, by their own meters


def _added(before: EnergyUse | None, now: EnergyUse) -> EnergyUse:
    """Return the sum of what was used before and now, perhaps on another machine."""
    if before is None:
        return now
    same = before["power"].endswith(now["power"])
    return EnergyUse(
        kwh=before["kwh"] + now["kwh"],
        co2e_kg=before["co2e_kg"] + now["co2e_kg"],
        country=now["country"],
        power=before["power"] if same else f"{before['power']}; then {now['power']}",
    )
