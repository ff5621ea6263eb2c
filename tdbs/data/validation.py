"""Where a user's validation rows come from: a file, or a fraction of train held out."""

from pathlib import Path

from tdbs.arrays import IntArray
from tdbs.errors import ConfigError, SourceError
from tdbs.files import to_path
from tdbs.rng import Draw, stream


def file_or_fraction(validation: str) -> Path | float:
    """Return what `--validation` means."""
    try:
        fraction = float(validation)
    except ValueError:
        path = to_path(validation)
        if path.is_file():
            return path
        raise SourceError(
            f"--validation '{validation}' is neither a file nor a fraction.",
            next_step="Pass the path of a file, or a fraction such as 0.1.",
        ) from None
    if not 0 < fraction < 1:
        raise ConfigError(
            f"--validation must be between 0 and 1, got {validation}.", next_step="Pass a fraction such as 0.1."
        )
    return fraction


def held_out_rows(rows: int, fraction: float) -> IntArray:
    """Return the rows of train that are held out for validation; they depend on the two numbers alone."""
    held_out = round(rows * fraction)
    if not 0 < held_out < rows:
        raise ConfigError(
            f"--validation {fraction} of {rows} rows leaves {rows - held_out} to train and {held_out} to validation.",
            next_step="Pass another fraction, or a file.",
        )
    return stream(Draw.VALIDATION_FRACTION, seed=0).permutation(rows)[:held_out]
