"""Where the lines of one risk are in a day's audit log: a file of byte ranges, one for each append. With it, a reader
finds the newest lines of a risk whatever else is in the log."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import files

#: The first byte of an append, and the byte after its last.
_RANGE = struct.Struct("<QQ")
#: Ranges that are read at a time.
BLOCK_RANGES = 4096


def add(path: Path, first: int, after: int) -> None:
    """Add a range. The caller holds the lock on the log, and adds the range before it appends the lines: so the lines
    of the log are in ranges, also after a crash. Raises OSError."""
    flags = os.O_RDWR | os.O_APPEND
    try:
        index = os.open(path, flags)
    except FileNotFoundError:
        files.make_folder(path.parent)
        index = os.open(path, flags | os.O_CREAT, 0o640)
    try:
        size = os.fstat(index).st_size
        if size % _RANGE.size:  # a crash cut the last range
            os.ftruncate(index, size - size % _RANGE.size)
        os.write(index, _RANGE.pack(first, after))
    finally:
        os.close(index)


def newest_first(path: Path) -> Iterator[tuple[int, int]]:
    """The ranges of a file, the newest first, each without what newer ones have: a range that was added for an append
    that failed may overlap with the next. A file that does not exist has none."""
    try:
        index = path.open("rb")
    except FileNotFoundError:
        return
    with index:
        end, lowest = os.fstat(index.fileno()).st_size // _RANGE.size, 2**64
        while end:
            begin = max(0, end - BLOCK_RANGES)
            index.seek(begin * _RANGE.size)
            block = index.read((end - begin) * _RANGE.size)
            for first, after in reversed(list(_RANGE.iter_unpack(block))):
                if first < min(after, lowest):
                    yield first, min(after, lowest)
                    lowest = first
            end = begin
