"""Lines that are appended to a file beside other threads and processes: whole, or not at all."""

import fcntl
import os
from pathlib import Path


def append(path: str, lines: bytes, to_disk: bool = False) -> None:
    """With `to_disk` they survive a power cut once this returns. Raises OSError, and nothing was appended."""
    log = _opened(path, to_disk)
    try:
        fcntl.flock(log, fcntl.LOCK_EX)
        before = os.fstat(log).st_size
        if before and os.pread(log, 1, before - 1) != b"\n":
            lines = b"\n" + lines  # a machine that stopped in mid-line spoils that line only
        try:
            _write_all(log, lines)
            if to_disk:
                os.fsync(log)
        except OSError:
            os.ftruncate(log, before)
            raise
    finally:
        os.close(log)


def _opened(path: str, to_disk: bool) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_APPEND)
    except FileNotFoundError:
        folder = os.path.dirname(path)
        os.makedirs(folder, exist_ok=True)
        made = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        if to_disk:
            for place in (Path(folder), *Path(folder).parents[:2]):  # its name is to survive as well, and theirs
                opened = os.open(place, os.O_RDONLY)
                os.fsync(opened)
                os.close(opened)
        return made


def _write_all(log: int, lines: bytes) -> None:
    while lines:
        lines = lines[os.write(log, lines) :]
