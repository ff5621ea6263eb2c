"""Training on shards: strategies, plans, TokenDrop, learning rates, the loop.

The folder and the function have one name, so `tdbs.train` is both: a package that can be called. The call, its
signature and its documentation are those of `tdbs.train.trainer.train`. That module needs torch, so it is imported when
one of them is used.
"""

import inspect
import sys
import textwrap
from collections.abc import Callable
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that is also the function `train`."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Train; see `tdbs.train.trainer.train`."""
        return _function()(*arguments, **options)

    @property
    def __signature__(self) -> inspect.Signature:
        """What `inspect.signature(tdbs.train)` returns."""
        return inspect.signature(_function())

    @property
    def __doc__(self) -> str:  # type: ignore[override]  # a plain attribute in a module
        """What `help(tdbs.train)` prints: the function's docstring, with its signature below the first line."""
        first, _, rest = (inspect.getdoc(_function()) or "").partition("\n")
        call = textwrap.fill(f"train{self.__signature__}", width=100, subsequent_indent="    ")
        return f"{first}\n\n{call}\n{rest}"


def _function() -> Callable[..., Any]:
    from tdbs.train.trainer import train

    return train


sys.modules[__name__].__class__ = _CallablePackage
