"""`tdbs env`: versions and devices, for a bug report."""

from tdbs.cli.common import JsonOption, reported
from tdbs.cli.screen import print_json, show


@reported
def command(as_json: JsonOption = False) -> None:
    """Versions are of tdbs, Python and the packages that it uses.

    \b
    Example:
      tdbs env --json
    """
    from tdbs.analysis.environment import environment
    from tdbs.reports.terminal import key_value_table

    found = environment()
    if as_json:
        print_json(found)
        return
    packages = found.pop("packages")
    show(key_value_table({**found, **{name: version or "not installed" for name, version in packages.items()}}))
