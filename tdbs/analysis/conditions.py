"""Conditions that a model is scored under: the whole texts, words dropped at a rate, texts edited (paper, 3.1, Fig. 4).

Dropping is TokenDrop at a global rate (Algorithm 1), whatever a run was trained with; a draw is an epoch of its order of
words, so all runs lose the same words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tdbs.data.tasks import Task
from tdbs.errors import ConfigError
from tdbs.pipeline.edits import TextEdit, read_edits, removal
from tdbs.pipeline.manifest import Manifest
from tdbs.train.batches import dropped_tokens, words_of_split
from tdbs.train.evaluate import length_order_plan
from tdbs.train.scoring import HeldOut
from tdbs.train.shortened import without_tokens
from tdbs.train.strategies import resolve_strategy

DEFAULT_DRAWS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """One way in which a split is given to a model: shortened, edited, or whole."""

    name: str
    drop_rate: float | None = None  # 0: the whole texts; None: edited ones
    edit: TextEdit | None = None
    is_removal: bool = False  # of articles or punctuation

    @property
    def is_random(self) -> bool:
        """Whether draws differ: not where no word goes, or all do."""
        return self.drop_rate is not None and 0 < self.drop_rate < 1


WHOLE = Condition(name="whole", drop_rate=0.0)


def choose_conditions(
    drop_rates: Sequence[float] = (), removals: Sequence[str] = (), edits: Sequence[str | Path] = ()
) -> list[Condition]:
    """Return the conditions that a user asks for, whole texts first, each once.

    `removals` are such as `articles,punctuation`, `edits` are files. Raises ConfigError where a rate is no share, and
    where there is no such removal or file.
    """
    found = [WHOLE]
    for rate in drop_rates:
        if not 0 <= rate <= 1:
            raise ConfigError(f"--drop-rate must be from 0 to 1, got {rate}.", next_step="Pass --drop-rate 0.3, say.")
        if rate > 0:
            found.append(Condition(name=f"drop {rate:g}", drop_rate=rate))
    for kinds in removals:
        edit = removal([kind.strip() for kind in kinds.split(",")])
        found.append(Condition(name=edit.name, edit=edit, is_removal=True))
    for file in edits:
        edit = read_edits(Path(file))
        found.append(Condition(name=edit.name, edit=edit))
    names = [condition.name for condition in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"'{name}' is asked for twice.", next_step="Name each rate, removal and file once.")
    return found


def check_conditions(conditions: Sequence[Condition], task: Task) -> None:
    """Refuse to drop or remove words where the task judges grammar (the paper leaves CoLA out too)."""
    if task.drop_forbidden and any(condition.drop_rate or condition.is_removal for condition in conditions):
        raise ConfigError(f"task '{task.name}' {task.drop_forbidden}.", next_step="Leave --drop-rate and --remove out.")


def shortened_draws(held_out: HeldOut, manifest: Manifest, rate: float, *, draws: int, seed: int) -> list[HeldOut]:
    """Return a split after TokenDrop at a rate, once for each draw."""
    strategy = resolve_strategy("random", manifest.task, {"drop": "rate", "drop_rate": rate})
    words = words_of_split(held_out.split, strategy, manifest.tokenizer)
    whole = length_order_plan(held_out.split.lengths_N)
    return [
        without_tokens(
            held_out,
            dropped_tokens(held_out.split, words, strategy, replace(whole, epoch=draw), manifest.tokenizer, seed=seed),
        )
        for draw in range(draws)
    ]
