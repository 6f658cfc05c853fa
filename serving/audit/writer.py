"""Appends to the audit log: in one chain, across the files of its days, from any number of threads and processes.

Who appends holds a lock on the folder. The newest file gets all records. The first record of a later day begins a file
of its own: the file before it is synced and made read-only, and that is how another process sees that there is a newer
one. So the files, one after the other, are the chain."""

import fcntl
import logging
import os
import re
import stat
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock

import files
from serving import lines
from serving.audit import heads
from serving.audit.chain import START, Head, last, linked
from serving.commit import GroupCommit
from serving.lines import SUFFIX

logger = logging.getLogger(__name__)

#: So many logs stay open in a process. It has one; a test has many.
MOST_OPEN = 4
#: The rights of the newest file, and of those before it.
WRITABLE, CLOSED = 0o640, 0o440
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
#: It gets the day of the file, the first byte of the new lines and the byte after them.
Note = Callable[[str, int, int], object]
_open: "OrderedDict[Path, Log]" = OrderedDict()
_opening = Lock()


def opened(folder: Path) -> "Log":
    """The log in a folder. It stays open, so that its descriptor learns of every write that failed."""
    with _opening:
        log = _open.pop(folder, None) or Log(folder)
        _open[folder] = log
        oldest = _open.popitem(last=False)[1] if len(_open) > MOST_OPEN else None
    if oldest:
        oldest.close()
    return log


def days(folder: Path) -> list[str]:
    """The days that have a file, in order. Raises OSError."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(n.removesuffix(SUFFIX) for n in names if n.endswith(SUFFIX) and _DAY.fullmatch(n[: -len(SUFFIX)]))


class Log:
    """The log in one folder. Every method may be called by several threads at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mutex = Lock()  # a lock on a file does not keep threads apart that share its descriptor
        self._locked = self._folder_inode = self._file = self._inode = -1
        self._day, self._path = "", folder
        #: The end of the file after our last append, and the last record then.
        self._size, self._head = -1, START
        self._closing = Lock()
        self._commit = GroupCommit(self._sync)

    def append(self, at: datetime, records: Sequence[bytes], note: Note) -> Callable[[], None]:
        """Append all records or none; each is an object of JSON. `note` is called before, under the lock. Returns a
        function that waits until they are on the disk. It raises OSError where they may be lost in a power cut; they
        stay in the log then. Raises OSError, and then the log is as it was."""
        with self._mutex:
            self._lock()
            try:
                self._turn_to(f"{at.date()}", at)
                fcntl.flock(self._file, fcntl.LOCK_EX)  # it holds readers off
                try:
                    self._write(records, note)
                finally:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
            finally:
                fcntl.flock(self._locked, fcntl.LOCK_UN)
            return self._commit.ticket()

    def ticket(self) -> Callable[[], None]:
        """A function that waits until the disk has what this and other processes have appended. It raises OSError."""
        with self._mutex:
            if self._file < 0 and (newest := max(days(self._folder), default="")):
                self._open(newest)
            return self._commit.ticket()

    def head(self, at: datetime) -> tuple[str, Head]:
        """The day of the newest file, and the last record. Raises OSError."""
        with self._mutex:
            self._lock()
            try:
                newest = max(days(self._folder), default="")
                if newest:
                    self._turn_to(newest, at)
                return self._day, self._head
            finally:
                fcntl.flock(self._locked, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the files. The next append opens them again. Raises OSError."""
        with self._mutex:
            self._leave()
            if self._locked >= 0:
                os.close(self._locked)
                self._locked = -1

    def _write(self, records: Sequence[bytes], note: Note) -> None:
        size, head, text = self._size, self._head, []
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            text.append(b"")  # a crash cut the last line: this closes it, so that it spoils no other
        for record in records:
            line, head = linked(record, head)
            text.append(line)
        whole = b"\n".join([*text, b""])
        after = size + len(whole)
        note(self._day, size, after)
        try:
            lines.write_all(self._file, whole)
        except OSError:
            os.ftruncate(self._file, size)
            raise
        self._size, self._head = after, head

    def _lock(self) -> None:
        """Lock the folder that is there now. It is made where it is missing."""
        while True:
            if self._locked < 0:
                files.make_folder(self._folder)
                self._locked = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
                self._folder_inode = os.fstat(self._locked).st_ino
            fcntl.flock(self._locked, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.stat(self._folder).st_ino == self._folder_inode:
                    return
            os.close(self._locked)  # it was moved or removed
            self._locked = -1

    def _turn_to(self, day: str, at: datetime) -> None:
        """Let `_file` be the newest file, at least of this day, and `_head` its last record."""
        if day > self._day or not self._is_newest():
            self._open_newest(day, at)
        size = os.fstat(self._file).st_size
        if size != self._size:  # another process has appended
            self._head, self._size = self._last_record(size), size

    def _is_newest(self) -> bool:
        """Whether the open file is still the one at its path, and nobody has begun a newer one."""
        try:
            state = os.stat(self._path)
        except FileNotFoundError:
            return False
        return self._file >= 0 and state.st_ino == self._inode and bool(state.st_mode & stat.S_IWUSR)

    def _open_newest(self, day: str, at: datetime) -> None:
        self._leave()
        newest = max(days(self._folder), default=day)
        self._open(newest)
        if newest < day:
            head = self._last_record(os.fstat(self._file).st_size)
            os.fchmod(self._file, CLOSED)
            self._leave()
            if head.number:
                self._publish(head, newest, at)
            self._open(day)

    def _open(self, day: str) -> None:
        self._day, self._path = day, self._folder / f"{day}{SUFFIX}"
        flags = os.O_RDWR | os.O_APPEND
        try:
            if not self._path.stat().st_mode & stat.S_IWUSR:
                self._path.chmod(WRITABLE)  # a crash came between the end of a day and the file of the next
            self._file = os.open(self._path, flags)
        except FileNotFoundError:
            self._file = os.open(self._path, flags | os.O_CREAT, WRITABLE)
            os.fsync(self._locked)  # a file survives a power cut only if its name does
        self._inode, self._size = os.fstat(self._file).st_ino, -1

    def _leave(self) -> None:
        """Close the file, once the disk has all of it."""
        if self._file >= 0:
            self._commit.ticket()()
            with self._closing:
                os.close(self._file)
                self._file = -1

    def _sync(self) -> None:
        with self._closing:
            if self._file < 0:
                return
            file = os.dup(self._file)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def _publish(self, head: Head, day: str, at: datetime) -> None:
        """A head that cannot be published stops no decision."""
        path = heads.published(self._folder)
        try:
            heads.publish(path, head, day, at)
        except OSError as error:
            logger.warning("The head of %s could not be published. %s", day, files.fault(error, path))

    def _last_record(self, size: int) -> Head:
        """The last record of the open file, or of the newest file before it that has any."""
        if head := last(self._file, size):
            return head
        for day in reversed([day for day in days(self._folder) if day < self._day]):
            with open(self._folder / f"{day}{SUFFIX}", "rb") as earlier:
                if head := last(earlier.fileno(), os.fstat(earlier.fileno()).st_size):
                    return head
        *_, newest = [None, *heads.read(heads.published(self._folder))]  # all files were pruned
        return Head(newest["records"], newest["digest"]) if newest else START
