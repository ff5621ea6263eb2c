"""What runs for each model type: the table of families in the words of `tdbs models`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tdbs.errors import ModelError
from tdbs.model_families import FAMILIES, Config, family_of, takes_rows_of_several
from tdbs.train.planning.model_choice import find_config, shown_model


@dataclass(frozen=True, kw_only=True, slots=True)
class Support:
    """The executions of a model, and what they rest on; `padded` runs wherever `sorted` does."""

    model_type: str | None  # None: any that is not in the table
    unpadded: bool = False  # for classes, numbers, tokens and answers
    packed: bool = False  # the same
    unpadded_seq2seq: bool = False  # sources in one row, targets in another
    sorted: bool = True
    attention: Literal["interface", "own"] | None = None  # who calls it in rows of several samples
    head_reads: Literal["first", "last", "pooling"] | None = None  # the token of each text
    unless: str | None = None  # a field of the configuration, or texts, for which less runs
    reason: str | None = None  # of `unless`; without it, of what does not run at all


def all_support() -> tuple[Support, ...]:
    """Return what runs for each type of the table, and last for any other."""
    return (*(support_of_type(name) for name in FAMILIES), support_of_type(None))


def find_support(name: str) -> Support:
    """Return what runs for a model by folder or hub name, from its config.json, or for a type of the table.

    Raises ModelError if the name is neither.
    """
    config = find_config(name) if name not in FAMILIES or Path(name).is_dir() else {}
    if isinstance(config.get("model_type"), str):
        return support_of(config)
    if name in FAMILIES:
        return support_of_type(name)
    raise ModelError(
        f"{shown_model(name)} is not a model type of the table, and no configuration of a model was found there.",
        next_step="Pass a folder with config.json or a hub name; tdbs models without a name lists the types.",
    )


def support_of(config: Config) -> Support:
    """Return what runs for a configuration: an exception is named only if it applies."""
    found = support_of_type(config["model_type"])
    rows = family_of(config["model_type"]).rows
    if rows is not None and rows.unless is not None:
        if takes_rows_of_several(config):
            return replace(found, unless=None, reason=None)
        return replace(found, unpadded=False, packed=False)
    return found


def support_of_type(model_type: str | None) -> Support:
    """Return what runs for a type, whatever its configuration says; None: for any that is not in the table."""
    if model_type is None or model_type not in FAMILIES:
        return Support(model_type=model_type, reason="refused if padding changes its outputs, tried before training")
    family = FAMILIES[model_type]
    found = Support(model_type=model_type, unpadded_seq2seq=family.targets is not None)
    if family.targets is not None:
        return replace(found, attention="interface")
    if family.pools_padding:
        return replace(found, sorted=False, reason="refused: it pools over neighbouring tokens, those of padding too")
    if family.skips_blocks:
        reason = "refused: block_sparse attention leaves out blocks of them, and which ones depends on padding"
        return replace(found, unless="long texts", reason=reason)
    rows = family.rows
    if rows is None:
        return found
    return replace(
        found,
        unpadded=True,
        packed=True,
        attention="interface" if rows.own_attention is None else "own",
        head_reads=rows.reads,
        unless=None if rows.unless is None else rows.unless.field,
        reason=None if rows.unless is None else rows.unless.reason,
    )
