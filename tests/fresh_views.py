"""The views of a root, in a process that has imported those of another."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def fresh_views() -> Iterator[None]:
    """The views read $RISK_DATA once, when they are imported. Inside they are imported anew, and afterwards, too: tests
    of other roots may share the process."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "views"]:
            del sys.modules[name]

    forget()
    try:
        yield
    finally:
        forget()
