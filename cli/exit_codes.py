"""What a command exits with."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of `python -m jobs`, `python generate_data.py` and `python app.py`."""

    OK = 0
    """The command did its work."""
    FAILED = 1
    """The data, a name, a file or a setting is wrong, or a comparison found a difference."""
    USAGE = 2
    """The command line is wrong: an unknown command or option, or a value that cannot be."""
    BUSY = 3
    """Another process holds the lock. Nothing was changed."""
    INTERRUPTED = 130
    """Ctrl-C."""
