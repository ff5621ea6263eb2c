"""Shards become updates: caps, strategies, plan, TokenDrop, batches, training.

The package is named as the project's folders are, the function as its command is, and both are `tdbs.train`: so the
package can be called, and calls `tdbs.train.trainer.train`.
"""

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    """A package that is the function `train` as well."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Train; see `tdbs.train.trainer.train`."""
        from tdbs.train.trainer import train

        return train(*arguments, **options)


sys.modules[__name__].__class__ = _CallablePackage
