"""Options of `prepare` for repeated rows: which rows of train are left out, and what that adds to the cache key."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tdbs.data.file_options import FileOptions
from tdbs.data.sources import Source
from tdbs.errors import ConfigError, choose
from tdbs.option import Option
from tdbs.settings import DEFAULT_MEMORY
from tdbs.shown import fitted

TRAIN = "train"
EXACT, NEAR = "exact", "near"
_RULES = 3  # version of the rules by which rows are the same (docs/decisions.md, "Repeated rows that are left out")


@dataclass(frozen=True, kw_only=True, slots=True)
class DuplicateOptions(FileOptions):
    """The options of `prepare` for rows of train that repeat others."""

    drop_duplicates: Annotated[
        str | None,
        Option("Leave out rows of train that repeat an earlier one with its label.", choices=(EXACT, NEAR)),
    ] = None
    keep_out: Annotated[
        str | None, Option("Leave out rows of train that stand in this split, or in several.", listed=True)
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DropRules:
    """Which rows of train are left out: repeats in train, and rows that stand in other splits."""

    duplicates: str | None
    keep_out: tuple[str, ...]
    memory: int | str = DEFAULT_MEMORY  # near repeats of more than this are found through temporary files

    @property
    def is_near(self) -> bool:
        """Whether rows are compared by their words too, not by token ids alone."""
        return self.duplicates == NEAR

    def key_parts(self) -> dict[str, str]:
        """Return the parts of the cache key; the order of the splits changes nothing but the list."""
        found = {} if self.duplicates is None else {"drop duplicates": f"{self.duplicates}, rules {_RULES}"}
        return found | ({"keep out": f"{', '.join(self.keep_out)}, rules {_RULES}"} if self.keep_out else {})


def drop_rules(options: DuplicateOptions, source: Source, *, memory: int | str = DEFAULT_MEMORY) -> DropRules | None:
    """Return the rules that the options ask for; None without any. Raises ConfigError for a split that cannot be."""
    if options.drop_duplicates is not None:
        choose("--drop-duplicates", options.drop_duplicates, (EXACT, NEAR))
    held_out = [] if source.held_out is None else ["validation"]
    others = [name for name in (*held_out, *(split.name for split in source.splits)) if name != TRAIN]
    asked = [part.strip() for part in (options.keep_out or "").split(",") if part.strip()]
    if options.keep_out is not None and not asked:
        raise ConfigError("--keep-out does not name a split.", next_step=_pass_one_of(others))
    for name in asked:
        _check_split(name, others, source)
    if options.drop_duplicates is None and not asked:
        return None
    kept_out = tuple(each for each in others if each in asked)
    return DropRules(duplicates=options.drop_duplicates, keep_out=kept_out, memory=memory)


def _check_split(name: str, others: Sequence[str], source: Source) -> None:
    if name in others:
        return
    if name == TRAIN:
        raise ConfigError(
            "--keep-out train would leave out all rows.",
            next_step=f"{_pass_one_of(others) + ' ' if others else ''}For repeats in train pass --drop-duplicates.",
        )
    raise ConfigError(
        fitted("--keep-out '{name}' is not a split of {source}.", name=name, source=source.name),
        next_step=_pass_one_of(others),
    )


def _pass_one_of(others: Sequence[str]) -> str:
    if not others:
        return "Leave it out, or add a split with --validation: the source has train alone."
    return f"Pass {'one of ' if len(others) > 1 else ''}{', '.join(others)}."
