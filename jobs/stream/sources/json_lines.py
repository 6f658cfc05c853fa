"""Files of JSON lines as a source. A file may grow, and it may be rotated, replaced, or cut, at any time."""

import fcntl
import os
import time
from collections.abc import Iterable
from operator import itemgetter
from pathlib import Path
from typing import IO

from jobs.stream.sources import compressed, marks
from jobs.stream.sources.chunks import lines_of, longest
from jobs.stream.sources.compressed import COMPRESSED, Compressed, plain
from jobs.stream.sources.marks import Mark, mark_of
from jobs.stream.sources.protocol import Line, Position
from serving.lines import SUFFIX, whole_lines

#: A file that has not changed for this long, ns, is known by its length and the time of its change. Within this time, a
#: file system may give two changes the same time.
_SETTLED_NS = 2 * 10**9
#: A rotated file that has not changed for this long, ns, gets no second half of its last line, nor of its bytes.
_ABANDONED_NS = 60 * 10**9
#: A file that is missing is looked for under another name this often.
SEARCH_SECONDS = 1.0
#: One read goes over the files again as often as this, where what it found elsewhere has to be read.
_MOST_PASSES = 8
DAMAGED = "the compressed file is damaged, and what follows here is lost. Send the lost events again"
GONE = (
    "another content has taken the place of the file, and the old one is not beside it: what followed here in the old "
    "one, and was not read, is lost. Rotate by renaming, into the same folder, and send the lost events again"
)


class JsonLines:
    """A file of JSON lines that grows, or a folder of such files, which are read in the order of their names.

    A line is read once it ends with a newline; with `final`, the last line needs none. A file is known by its content:
    where another content lies under its name, the source looks for the old one beside it, reads that to its end, and
    then the new one from its beginning. Where the old one is gone, a line with a fault says so.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self.name = path, name
        self._folder = path if path.is_dir() else path.parent
        #: File → its status and offset when its content was compared last, if it had not changed for a while.
        self._settled: dict[str, tuple[int, ...]] = {}
        #: File → device and inode when this process compared its content last.
        self._known: dict[str, tuple[int, int]] = {}
        #: File → when it is looked for again, once it is missing.
        self._next_search: dict[str, float] = {}
        self._compressed = Compressed()

    def read(self, position: Position, most_bytes: int, final: bool) -> tuple[list[Line], Position]:
        """As `Source.read`."""
        known = dict(position)
        for _ in range(_MOST_PASSES):
            before = dict(known)
            for name in self._names(known):
                if lines := self._read_file(name, known, most_bytes, final):
                    return lines, known
            if known == before:
                break
        return [], known

    def behind(self, position: Position) -> int:
        """As `Source.behind`."""
        return sum(_unread(self._folder / name, mark_of(position.get(name))) for name in self._names(position))

    def _names(self, known: Position) -> list[str]:
        """The files to read, by name in the folder. What was rotated comes first, as it is older."""
        names = [self._path.name]
        if self._path.is_dir():
            self._folder, growing = self._path, {file.name for file in self._path.glob(f"*{SUFFIX}")}
            days = {file.stem for file in self._path.glob(f"*{SUFFIX}{COMPRESSED}")}
            # A file that is being compressed is still there. One that was read before is followed first.
            names = sorted([*growing, *(f"{day}{COMPRESSED}" for day in days - growing - known.keys())], key=plain)
        rotated = [name for name in known if name not in names]
        return [*sorted(rotated, key=lambda name: mark_of(known[name]).get("changed", 0)), *names]

    def _read_file(self, name: str, known: Position, most_bytes: int, final: bool) -> list[Line]:
        """The next lines of one file. Its mark in `known` changes, and where its content went elsewhere, others do."""
        mark = mark_of(known.get(name))
        try:
            if _is_compressed(name):
                return self._read_compressed(name, known, most_bytes)
            with (self._folder / name).open("rb") as log:
                # `append` holds the lock until its lines are on disk or taken back, so this reads only lines that stay.
                fcntl.flock(log, fcntl.LOCK_SH)
                status = os.fstat(log.fileno())
                if self._settled.get(name) == _told(status, mark):
                    return []
                if _is_successor(mark) and self._find_later(name, known):
                    return []  # they come first
                is_abandoned = not self._is_source(name) and not _has_changed_since(status, _ABANDONED_NS)
                log.seek(mark["offset"])
                chunk = whole_lines(log, most_bytes, final or is_abandoned, longest(mark))
                if chunk and not mark["offset"] and self._has_moved_to(name, known):
                    return self._read_file(name, known, most_bytes, final)
                fcntl.flock(log, fcntl.LOCK_UN)  # the comparison may have a lot to read
                # After the read: the file may be cut at any time.
                if marks.continues(log, mark, self._known.get(name) == (status.st_dev, status.st_ino)):
                    self._known[name] = (status.st_dev, status.st_ino)
                    return self._take(name, known, chunk, log)
        except FileNotFoundError:
            if name not in known:
                return []
            if _is_successor(mark):
                self._find_later(name, known)
                return []
        return self._follow(name, known)

    def _take(self, name: str, known: Position, chunk: bytes, log: IO[bytes]) -> list[Line]:
        """The lines of what was read after the mark."""
        mark, status = mark_of(known.get(name)), os.fstat(log.fileno())
        if not chunk:
            if time.time_ns() - status.st_ctime_ns > _SETTLED_NS:
                self._settled[name] = _told(status, mark)
            return []
        lines, skips = lines_of(name, mark, chunk)
        known[name] = marks.after(mark, log, chunk) | skips
        return lines

    def _read_compressed(self, name: str, known: Position, most_bytes: int) -> list[Line]:
        """What a compressed file has after its mark. A rotated one is forgotten at its end, once something of its
        successor was read: until then it would be taken for a later file. A file of the source is never forgotten."""
        file = self._folder / name
        if name not in known:
            self._has_moved_to(name, known)
        mark = mark_of(known.get(name))
        if not compressed.is_read(file, mark):
            read = self._compressed.read(file, mark, most_bytes, longest(mark))
            if read is None:
                return self._follow(name, known)
            chunk, after = read
            if chunk:
                lines, skips = lines_of(name, mark, chunk)
                known[name] = after | skips
                return lines
            if after["left"]:
                if _has_changed_since(file.stat(), _ABANDONED_NS):
                    return []  # somebody is writing it
                known[name] = after | {"left": 0}
                return [Line(b"", f"{name} at byte {mark['offset']}", DAMAGED)]
            known[name] = after
        is_awaited = any(_is_successor(mark_of(known[source])) for source in known if file.name.startswith(source))
        if not is_awaited and not self._is_source(name):
            del known[name]
        return []

    def _follow(self, name: str, known: Position) -> list[Line]:
        """Find the content that a file had, and read it where it is now. Returns a line with a fault where it is gone
        and may have had more than was read."""
        file, mark = self._folder / name, mark_of(known[name])
        is_there, faults = file.exists(), list[Line]()
        if not is_there and time.monotonic() < self._next_search.get(name, 0.0):
            return []
        self._next_search[name] = time.monotonic() + SEARCH_SECONDS
        others = marks.candidates(file, [self._path])
        successor = next((other for other in others if marks.is_at(other, mark)), None)
        later = marks.newer(file, mark, [self._path, *map(self._folder.joinpath, known)])
        is_source, has_more = self._is_source(name), mark.get("left", 0) > 0
        is_begun_again = is_source and (name == self._path.name or marks.is_rotated(file))
        if is_begun_again and not (is_there or has_more or successor or later):
            return []  # it may come back, or another file may take its place
        del known[name]
        if successor is not None:
            place = str(successor.relative_to(self._folder))
            if place in known and not marks.is_at(successor, mark_of(known[place])):
                faults = self._follow(place, known)  # a file of an earlier rotation had the name
            known[place] = max(mark, mark_of(known.get(place)), key=itemgetter("offset"))
        elif has_more or (is_there and is_source):
            faults = [Line(b"", f"{name} at byte {mark['offset']}", GONE)]
        self._take_in((other for other in later if other != successor), known)
        if is_begun_again and "changed" in mark:
            known[name] = {"offset": 0, "changed": mark["changed"]}
        return faults

    def _find_later(self, name: str, known: Position) -> bool:
        """Take in the files that had the name since, and were rotated before anything of them was read."""
        rotated = [self._folder / other for other in known if not self._is_source(other)]
        if not all(map(Path.exists, rotated)):
            return True  # one is under a third name by now, and would be taken for another
        return self._take_in(marks.newer(self._folder / name, known[name], [self._path, *rotated]), known)

    def _take_in(self, files: Iterable[Path], known: Position) -> bool:
        names = [name for file in files if (name := str(file.relative_to(self._folder))) not in known]
        known |= {name: {"offset": 0} for name in names}
        return bool(names)

    def _has_moved_to(self, name: str, known: Position) -> bool:
        """Whether a new file is one that had another name. Its mark moves along."""
        for other in list(known):
            mark = mark_of(known[other])
            is_here = mark["offset"] and marks.is_at(self._folder / name, mark)
            if is_here and not marks.is_at(self._folder / other, mark):
                known[name] = known.pop(other)
                return True
        return False

    def _is_source(self, name: str) -> bool:
        return name == self._path.name or (self._path.is_dir() and "/" not in name and plain(name).endswith(SUFFIX))


def _has_changed_since(status: os.stat_result, age_ns: int) -> bool:
    return time.time_ns() - status.st_mtime_ns <= age_ns


def _told(status: os.stat_result, mark: Mark) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_ctime_ns, mark["offset"]


def _is_successor(mark: Mark) -> bool:
    """Whether the mark is of a file that nothing was read of, and says when the file before it had last changed."""
    return not mark["offset"] and "changed" in mark


def _is_compressed(name: str) -> bool:
    return name.endswith(COMPRESSED)


def _unread(file: Path, mark: Mark) -> int:
    try:
        if _is_compressed(file.name):
            return compressed.unread(file, mark)
        return max(0, file.stat().st_size - mark["offset"])
    except FileNotFoundError:
        return 0
