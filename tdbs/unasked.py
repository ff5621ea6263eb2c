"""Keep libraries from asking: standard input is empty while they start, or open foreign files.

transformers asks on a terminal, or on piped input, whether to run a folder's code; trackers ask for keys. An answer
meant for something else, or `yes |`, must not decide that.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def nothing_asked() -> Iterator[None]:
    """Let standard input be empty: a question there ends with EOFError."""
    given = sys.stdin
    with open(os.devnull, encoding="utf-8") as empty:
        sys.stdin = empty
        try:
            yield
        finally:
            sys.stdin = given
