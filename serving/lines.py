"""Files of JSON lines: how this project appends to them and reads them. Threads and processes may do both at once.

A line counts once it ends with a newline and holds a JSON object. A reader passes over everything else: the line that a
crash cut, and the line that somebody is still writing.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from pydantic_core import from_json, to_json

import files
from errors import RootBroken

SUFFIX = ".jsonl"
#: A file is read backwards by this many bytes at a time.
BLOCK_BYTES = 64 * 1024
#: With less space on its disk, a log may end in the middle of a line.
LEAST_FREE_BYTES = 64 * 1024 * 1024


def append(
    path: Path,
    records: Iterable[Mapping[str, Any]],
    to_disk: bool = False,
    note: Callable[[int, int], object] = lambda first, after: None,
) -> None:
    """Append all records or none, a line each. With `to_disk` they survive a power cut once this returns. `note` is
    called before, under the lock, with the first byte of the lines and the byte after them. Raises OSError, and then
    the file is as it was."""
    text = b"".join(to_json(record) + b"\n" for record in records)
    log = _open(path)
    try:
        fcntl.flock(log, fcntl.LOCK_EX)
        size = os.fstat(log).st_size
        if size and os.pread(log, 1, size - 1) != b"\n":
            text = b"\n" + text  # a crash cut the last line: this closes it, so that it spoils no other
        note(size, size + len(text))
        try:
            write_all(log, text)
            if to_disk:
                os.fsync(log)
        except OSError:
            os.ftruncate(log, size)
            raise
    finally:
        os.close(log)


def check_writable(folder: Path) -> None:
    """Raises RootBroken where files cannot be added to a folder. It is made with its first file."""
    place = folder
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise RootBroken(f"{place} is a file, and a folder is needed. Move it away.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise RootBroken(f"{place} cannot be written. Let this process read and write it.")
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE_BYTES:
        raise RootBroken(f"The disk of {place} has {free // 2**20} MB left. Free space on it.")


def appended(log: IO[bytes]) -> int:
    """The size of an open file when nobody appends to it: a writer that fails takes back what is beyond."""
    fcntl.flock(log, fcntl.LOCK_SH)
    try:
        return os.fstat(log.fileno()).st_size
    finally:
        fcntl.flock(log, fcntl.LOCK_UN)


def read(path: Path, offset: int = 0, prefix: bytes = b"", part: bytes = b"") -> Iterator[dict[str, Any]]:
    """The records of a file from a byte offset on, in order. A file that does not exist has none. Only lines that begin
    with `prefix` and have `part` in them are parsed."""
    try:
        with path.open("rb") as log:
            log.seek(offset)
            whole = (line for line in log if line.endswith(b"\n") and line.startswith(prefix) and part in line)
            yield from filter(None, map(_record, whole))
    except FileNotFoundError:
        return


def read_folder(folder: Path) -> Iterator[dict[str, Any]]:
    """The records of all files of a folder, in the order of the files' names."""
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        yield from read(file)


def whole_lines(log: IO[bytes], most_bytes: int, final: bool, longest: int) -> bytes:
    """The bytes from where an open file stands to the end of a line, about `most_bytes` of them; none where the first
    line has no end yet. A longer line is read whole; of one with more than `longest` bytes, a part is read. With
    `final`, the end of the file ends a line."""
    chunk = log.read(most_bytes)
    while (end := chunk.rfind(b"\n") + 1) == 0:
        more = log.read(most_bytes)
        if len(chunk) > longest:
            return chunk
        if not more:
            return chunk if final else b""
        chunk += more
    if final and len(chunk) < most_bytes:
        return chunk
    return chunk[:end]


def read_backwards(path: Path, first: int, after: int, prefix: bytes = b"") -> Iterator[dict[str, Any]]:
    """The records whose lines are in a range of bytes, from `first` to before `after`, newest first. It reads only as
    much of the file as the caller takes records. Only lines that begin with `prefix` are parsed."""
    try:
        with path.open("rb") as log:
            end, rest = min(after, os.fstat(log.fileno()).st_size), b""
            while end > first:
                begin = max(first, end - BLOCK_BYTES)
                # One byte more where the range begins: only after a newline there, it begins with a whole line.
                log.seek(begin - 1 if begin == first and first else begin)
                head, *whole = (log.read(end - log.tell()) + rest).split(b"\n")
                end, rest = begin, head + b"\n" if whole else head
                if begin == 0 and whole:
                    whole = [head, *whole]
                yield from filter(None, (_record(line) for line in reversed(whole[:-1]) if line.startswith(prefix)))
    except FileNotFoundError:
        return


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = from_json(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_APPEND)
    except FileNotFoundError:
        files.make_folder(path.parent)
        log = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        files.sync(path.parent)  # a file survives a power cut only if its name does
        return log


def write_all(log: int, text: bytes) -> None:
    """Write to an open file, however many writes that takes. Raises OSError, and then a part may be written."""
    while text:
        text = text[os.write(log, text) :]
