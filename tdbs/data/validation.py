"""Find the user's validation rows: a file, a table, or a fraction of train, which held_out.py draws."""

from pathlib import Path

from tdbs.data.formats import ReadOptions, data_file
from tdbs.data.objects import ObjectSplit, Rows, object_split
from tdbs.data.user_splits import split_where
from tdbs.errors import ConfigError, SourceError
from tdbs.files import exists, to_path
from tdbs.shown import fitted


def with_validation(
    splits: dict[str, ObjectSplit], given: str | float | Rows | None, options: ReadOptions, *, where: str | Path
) -> tuple[dict[str, ObjectSplit], float | None]:
    """Return the splits with the user's validation rows, or the fraction of train that is held out instead.

    `given` is what `--validation` says, or a table; `where` names the source in errors. Raises SourceError or
    ConfigError.
    """
    if given is None:
        return splits, None
    if "validation" in splits:
        known = split_where("validation", splits["validation"].store)
        raise ConfigError(
            fitted("{where} already has a validation split: {known}.", where=where, known=known),
            next_step="Leave --validation out.",
        )
    if isinstance(given, str | float | int):
        match file_or_fraction(given):
            case float() as fraction:
                return splits, fraction
            case place:
                held = ObjectSplit(store=data_file(place, options))
    else:
        held = object_split(given, "validation")
    return {"train": splits["train"], "validation": held} | splits, None


def file_or_fraction(validation: str | float) -> Path | float:
    """Return what `--validation` means."""
    try:
        fraction = float(validation)
    except ValueError:
        path = to_path(str(validation))
        if exists(path) and path.is_file():
            return path
        raise SourceError(
            fitted("--validation '{value}' is neither a file nor a fraction.", value=validation),
            next_step="Pass the path of a file, or a fraction such as 0.1.",
        ) from None
    if not 0 < fraction < 1:
        raise ConfigError(
            fitted("--validation must be between 0 and 1, got {value}.", value=validation),
            next_step="Pass a fraction such as 0.1.",
        )
    return fraction
