"""`--config FILE`: options from a TOML or YAML file, or from a run's `config.toml`; the command line goes first.

A file has options by their names. A table named after a command is for that command alone: a file can serve several.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tdbs.errors import ConfigError
from tdbs.shown import fitted

if TYPE_CHECKING:
    from tdbs.train.planning.profile_file import Profile
    from tdbs.train.planning.strategies import Strategy

_RECORDED = "tdbs.recorded_strategy"  # key of a command's context: the strategy of a run's config.toml
_YAML = (".yaml", ".yml")


def take_config(ctx: typer.Context, file: Path | None) -> Path | None:
    """Take a file's values as the defaults of a command's options."""
    if file is not None and not ctx.resilient_parsing:
        command = str(ctx.info_name)
        params = {str(param.name): param for param in ctx.command.params if param.name != "config"}
        given = _read(file)
        options = _options_of(given, file, _names_of(params.values()), command)
        for name, value in options.items():
            _check_value(value, file, params[name], command)
        if "plan_digest" in given:
            ctx.meta[_RECORDED] = given["strategy"]  # no option has the costs in it
        ctx.default_map = {name: _as_given(value, params[name]) for name, value in options.items()}
    return file


def with_recorded_costs(ctx: typer.Context, strategy: "Strategy", profile: "Profile | None") -> "Strategy":
    """Return a strategy with the costs that the run of --config had from its profile, unless another one is given."""
    recorded = ctx.meta.get(_RECORDED)
    if recorded is None or profile is not None:
        return strategy
    from tdbs.train.planning.recorded import with_costs_of

    return with_costs_of(strategy, recorded)


def _read(file: Path) -> dict[str, Any]:
    from tdbs.records import Form, read_text, read_toml

    form = Form(
        what="a file of options", error=ConfigError, next_step="Write options as epochs = 3 (TOML) or epochs: 3."
    )
    if file.suffix.lower() not in (".toml", *_YAML):
        raise ConfigError(
            fitted("--config takes a TOML or YAML file, got {file}.", file=file), next_step="Name it .toml or .yaml."
        )
    if not file.exists():
        raise ConfigError(fitted("File {file} does not exist.", file=file), next_step="Check the path after --config.")
    if file.suffix.lower() == ".toml":
        return read_toml(file, form)
    import yaml

    try:
        found = yaml.safe_load(read_text(file, form))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: of a date that no calendar has
        raise form.unreadable(str(file), " ".join(str(error).split())) from error
    if not isinstance(found or {}, dict):
        raise form.unreadable(str(file), "it has no options by name")
    return {str(name): value for name, value in (found or {}).items()}


def _options_of(given: Mapping[str, Any], file: Path, names: Mapping[str, str], command: str) -> dict[str, Any]:
    """Return a file's values by the names of this command's parameters; those of its own table go first."""
    from tdbs.cli import COMMANDS

    if "plan_digest" in given:
        return _options_of_run(given, file, names, command)
    tables = {
        name: value
        for name, value in given.items()
        if isinstance(value, Mapping) and name.replace("_", "-") in COMMANDS
    }
    own = tables.get(command, tables.get(command.replace("-", "_"), {}))
    common = {name: value for name, value in given.items() if name not in tables}
    found = {**_by_parameter(common, file, names, command), **_by_parameter(own, file, names, command)}
    return {name: value for name, value in found.items() if value is not None}


def _by_parameter(given: Mapping[str, Any], file: Path, names: Mapping[str, str], command: str) -> dict[str, Any]:
    """Return values by the names of parameters. Raises ConfigError for an unknown name, and for one option twice."""
    found: dict[str, str] = {}
    for written in given:
        name = names.get(_plain(written))
        if name is None:
            raise ConfigError(
                fitted("{file} has {name}, which is not an option of tdbs " + command + ".", file=file, name=written),
                next_step=f"Look at tdbs {command} --help; options of another command go into its table, as [prepare].",
            )
        if name in found:
            raise ConfigError(
                fitted("{file} has one option twice: {one} and {other}.", file=file, one=found[name], other=written),
                next_step="Write it once.",
            )
        found[name] = written
    return {name: given[written] for name, written in found.items()}


def _options_of_run(config: Mapping[str, Any], file: Path, names: Mapping[str, str], command: str) -> dict[str, Any]:
    """Return a run's settings as the options that make the same run; a command takes those that it has."""
    from tdbs.records import record_of
    from tdbs.settings import DEFAULT_MEMORY
    from tdbs.train.run_folder import flat_settings
    from tdbs.train.run_records import FORM, ConfigFields

    if "epochs" not in names:
        raise ConfigError(
            fitted(
                "{file} is the configuration of a run, which tdbs {command} does not take.", file=file, command=command
            ),
            next_step="Pass it to tdbs train, plan, estimate-speedup, compare or sweep.",
        )
    record_of(config, ConfigFields, FORM, named=str(file))
    strategy = dict(config["strategy"])
    dropping = strategy.get("drop", "none")
    if dropping not in ("rate", "any"):
        strategy.pop("drop_rate", None)  # it would have no effect
    tables = (config.get("part", {}), config["execution"], strategy)
    found = {
        **{name: value for table in tables if isinstance(table, Mapping) for name, value in table.items()},
        **{name: value for name, value in config.items() if not isinstance(value, Mapping)},
        "strategy": strategy.get("name"),
        "allow_drop": dropping != "none",  # as the run's task did
        "dataset": config["dataset"]["path"],
        "seeds": [config["seed"]],
        "energy": "energy" in config,
        "country": flat_settings(config).get("energy/country"),
    }
    if found.get("memory") == DEFAULT_MEMORY:  # what a run without --memory has, too
        del found["memory"]
    return {names[name]: value for name, value in found.items() if name in names and value is not None}


def _names_of(parameters: Iterable[Any]) -> dict[str, str]:
    """Return the names of parameters by each way to write them: as a flag, its short forms, and as in Python."""
    return {
        _plain(name): str(param.name)
        for param in parameters
        for name in (str(param.name), *(flag for flag in param.opts if flag.startswith("--")))
    }


def _plain(name: str) -> str:
    return name.removeprefix("--").replace("-", "_")


def _check_value(value: Any, file: Path, param: Any, command: str) -> None:
    """Refuse a table, and true or false where a value belongs: as a number, true would be 1."""
    is_flag = getattr(param, "is_flag", False)
    if isinstance(value, Mapping) or (isinstance(value, bool) and not is_flag):
        wrong = "a table" if isinstance(value, Mapping) else str(value).lower()
        raise ConfigError(
            fitted("{file} has {wrong} for {name}, which takes a value.", file=file, wrong=wrong, name=param.opts[0]),
            next_step=f"Write the value as tdbs {command} --help shows it; in YAML, quote yes, no, on and off.",
        )


def _as_given(value: Any, param: Any) -> Any:
    """Return a value as the command line would have it: a list for an option of several values, else one text."""
    if getattr(param, "multiple", False) or param.nargs == -1:
        return [str(part) for part in value] if isinstance(value, list) else [str(value)]
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, bool) else str(value)
