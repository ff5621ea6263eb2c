"""Libraries are not to ask: while they open what others made, or start, standard input is empty.

transformers asks on a terminal, or whoever writes to it, whether to run a folder's code; trackers ask for keys. An
answer that was meant for nothing of the kind, or `yes |`, must not decide that.
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
