"""What help texts and docstrings say of a field of a settings record."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """What help texts and docstrings say of a field; it stands in the field's annotation."""

    help: str
    default: str | None = None  # in words, if the value is found later
    flag: str | None = None  # on the command line, if that is not the field's name
    choices: tuple[str, ...] = ()  # all values, if the field's type does not have them
    alias: str | None = None  # the field's longer name, for Python and the command line
    listed: bool = False  # whether its values are separated by commas, and the option may be repeated

    @property
    def text(self) -> str:
        """The help with the default, if that has words of its own."""
        return self.help if self.default is None else f"{self.help} [default: {self.default}]"
