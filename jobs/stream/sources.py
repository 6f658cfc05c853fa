"""Where a stream job reads events: one small port, which an adapter of a broker can fill as well.

A position says how far was read. It is committed with what became of the events, so nothing is read twice or never.
"""

import fcntl
from pathlib import Path
from typing import NamedTuple, Protocol

from errors import BadParameter
from root import Root

#: File, or partition of a topic → how far it was read.
Position = dict[str, int]


class Line(NamedTuple):
    """`at` says where it stands, for a person who looks for it."""

    text: bytes
    at: str


class Source(Protocol):
    name: str

    def read(self, position: Position, most: int, final: bool) -> tuple[list[Line], Position]:
        """The next events after a position, some `most` bytes of them, and the position after these; none if none are
        there. `final`: nothing will be added any more."""

    def behind(self, position: Position) -> int:
        """How many bytes are there to read."""


class JsonLines:
    """A file of JSON lines, or a folder of them in the order of their names, as they grow. A file that became shorter
    was begun anew. A line counts once it has its end, or with `final`."""

    def __init__(self, path: Path, name: str) -> None:
        self._path, self.name = path, name

    def read(self, position: Position, most: int, final: bool) -> tuple[list[Line], Position]:
        after = dict(position)
        for file in self._files():
            size, offset = file.stat().st_size, position.get(file.name, 0)
            if size == offset:
                continue
            if size < offset:
                after[file.name] = offset = 0
            chunk = _whole_lines(file, offset, most, final)
            if chunk:
                after[file.name] = offset + len(chunk)
                return _lines(file.name, offset, chunk), after
        return [], after

    def behind(self, position: Position) -> int:
        return sum(max(0, file.stat().st_size - position.get(file.name, 0)) for file in self._files())

    def _files(self) -> list[Path]:
        if self._path.is_dir():
            return sorted(self._path.glob("*.jsonl"))
        return [self._path] if self._path.exists() else []


def _whole_lines(file: Path, offset: int, most: int, final: bool) -> bytes:
    """From an offset on, up to the end of a line; empty where the first has none yet."""
    with file.open("rb") as opened:
        # Whoever appends may take it back, if the disk is full: only what was kept is read.
        fcntl.flock(opened, fcntl.LOCK_SH)
        opened.seek(offset)
        chunk = opened.read(most)
        while (end := chunk.rfind(b"\n") + 1) == 0:
            more = opened.read(most)
            if not more:
                return chunk if final else b""
            chunk += more
        if final and len(chunk) < most:
            return chunk
        return chunk[:end]


def _lines(name: str, offset: int, chunk: bytes) -> list[Line]:
    lines = []
    for text in chunk.split(b"\n"):
        if text.strip():
            lines.append(Line(text, f"{name} at byte {offset}"))
        offset += len(text) + 1
    return lines


def opened(root: Root, source: str, stream: str) -> Source:
    """`log`, the events that the service accepts; or `jsonl:PATH`. Raises BadParameter."""
    kind, _, path = source.partition(":")
    if source == "log":
        return JsonLines(root.event_log(stream), source)
    if kind != "jsonl" or not path:
        raise BadParameter(f"There is no source {source[:60]!r}. Choose log, or jsonl:PATH of a file or a folder.")
    place = Path(path).expanduser().resolve()
    if not place.exists() and not place.parent.is_dir():
        raise BadParameter(f"{place} is not there, nor is its folder. Give a file of JSON lines, or a folder of them.")
    return JsonLines(place, f"jsonl:{place}")
