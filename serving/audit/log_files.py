"""The files of a log, as the index reads them: from where it stopped to the last whole line."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import IO

from serving import lines
from serving.audit import tables
from serving.audit.terms import day_named

#: A transaction takes about this many bytes of a log.
CHUNK_BYTES = 8 * 1024 * 1024
#: A file is the one that was read if so many bytes at its beginning, and before the end of what was read, are the same.
END_BYTES = 512

#: Log and day of a file → how far it was read, what it looked like when that was its end, and a digest of its ends.
Known = Mapping[tuple[str, date], tuple[int, str, str]]


@dataclass(frozen=True)
class LogFile:
    """A file of a log, and how far the index has read it. `signature` is what it looks like; with the index's own, the
    file has nothing new."""

    log: str
    day: date
    path: Path
    size: int
    signature: str
    read_to: int = 0
    ends: str = ""
    is_read: bool = False


def known(db: sqlite3.Connection) -> Known:
    """What the index knows of each file."""
    rows = db.execute("SELECT log, day, read_to, signature, ends FROM file")
    return {(log, date.fromisoformat(day)): (read_to, signature, ends) for log, day, read_to, signature, ends in rows}


def listed(logs: Mapping[str, Path], known: Known) -> Iterator[LogFile]:
    """The files of the logs, each log in the order of days. Raises OSError."""
    for log, folder in logs.items():
        try:
            names = sorted(entry.name for entry in os.scandir(folder) if entry.name.endswith(lines.SUFFIX))
        except FileNotFoundError:
            continue
        for name in names:
            if day := day_named(name.removesuffix(lines.SUFFIX)):
                state = os.stat(folder / name)
                signature = f"{state.st_ino} {state.st_size} {state.st_mtime_ns}"
                read_to, read, ends = known.get((log, day), (0, "", ""))
                yield LogFile(log, day, folder / name, state.st_size, signature, read_to, ends, signature == read)


def read_on(db: sqlite3.Connection, file: LogFile, postings: str) -> LogFile:
    """Add the next chunk of a file to the index; the caller holds its transaction. Returns how far it is read now. Of
    another file in its place, it reads the beginning. Raises OSError."""
    try:
        log = file.path.open("rb")
    except FileNotFoundError:  # removed since it was listed
        return replace(file, is_read=True)
    with log:
        size = lines.appended(log)
        if file.read_to > size or (file.ends and file.ends != _ends(log, file.read_to)):
            tables.forget(db, file.log, file.day)
            file = replace(file, read_to=0)
        chunk = _chunk(log, file.read_to, size)
        tables.ADD[file.log](db, file.day, file.read_to, chunk, postings)
        read_to = file.read_to + len(chunk)
        is_read = len(chunk) < CHUNK_BYTES // 2 and not _chunk(log, read_to, size)
        row = (file.log, file.day.isoformat(), read_to, file.signature if is_read else "", _ends(log, read_to))
    db.execute("INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)", row)
    return replace(file, read_to=read_to, ends=row[-1], is_read=is_read)


def _chunk(log: IO[bytes], first: int, size: int) -> bytes:
    """Whole lines from byte `first` on, about CHUNK_BYTES; none where the last line has no end before `size`."""
    log.seek(first)
    chunk = b""
    while log.tell() < size:
        chunk += log.read(min(CHUNK_BYTES, size - log.tell()))
        if end := chunk.rfind(b"\n") + 1:
            return chunk[:end]
    return b""


def _ends(log: IO[bytes], read_to: int) -> str:
    log.seek(0)
    head = log.read(min(END_BYTES, read_to))
    log.seek(max(0, read_to - END_BYTES))
    return hashlib.sha256(head + log.read(read_to - log.tell())).hexdigest()
