"""Where a stream job reads events. `Source` is a small interface, which an adapter of a broker can implement as well.

A position says how far a job has read. The job commits it in the same transaction as the changes that the events made.
So it reads no line twice and skips none.
"""

from pathlib import Path
from typing import NamedTuple, Protocol

from errors import BadParameter
from root import Root
from serving.lines import SUFFIX, read_whole_lines

#: File, or partition of a topic → how far it was read, in bytes or in the broker's own units.
Position = dict[str, int]


class Line(NamedTuple):
    """`at` says where the line stands, for a person who looks for it. `fault` says why it cannot be an event, if the
    source knows that."""

    text: bytes
    at: str
    fault: str = ""


class Source(Protocol):
    """What a stream job reads: an adapter of a log, a file or a broker."""

    name: str

    def read(self, position: Position, most_bytes: int, final: bool) -> tuple[list[Line], Position]:
        """The next lines after a position, about `most_bytes` of them, and the position after them. The list is empty
        where there are no new lines. `final` says that nothing will be added any more."""

    def behind(self, position: Position) -> int:
        """How many bytes after the position there are to read."""


class JsonLines:
    """A file of JSON lines that grows, or a folder of such files, which are read in the order of their names.

    A line is read once it ends with a newline; with `final`, the last line needs none. A file that is shorter than the
    position is read again from its beginning.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self.name = path, name

    def read(self, position: Position, most_bytes: int, final: bool) -> tuple[list[Line], Position]:
        """As `Source.read`."""
        next_position = dict(position)
        for file in self._files():
            size, offset = file.stat().st_size, position.get(file.name, 0)
            if size == offset:
                continue
            if size < offset:
                next_position[file.name] = offset = 0
            chunk = read_whole_lines(file, offset, most_bytes, final)
            if chunk:
                next_position[file.name] = offset + len(chunk)
                return _split(file.name, offset, chunk), next_position
        return [], next_position

    def behind(self, position: Position) -> int:
        """As `Source.behind`."""
        return sum(max(0, file.stat().st_size - position.get(file.name, 0)) for file in self._files())

    def _files(self) -> list[Path]:
        if self._path.is_dir():
            return sorted(self._path.glob(f"*{SUFFIX}"))
        return [self._path] if self._path.exists() else []


def _split(file_name: str, offset: int, chunk: bytes) -> list[Line]:
    """The lines of a chunk that begins at an offset of its file, without the blank ones."""
    lines = []
    for text in chunk.split(b"\n"):
        if text.strip():
            lines.append(Line(text, f"{file_name} at byte {offset}"))
        offset += len(text) + 1
    return lines


def open_source(root: Root, source: str, stream: str) -> Source:
    """The source that `--source` names: `log`, the events that the service accepts for `stream`, or `jsonl:PATH`.
    Raises BadParameter."""
    kind, _, path = source.partition(":")
    if source == "log":
        return JsonLines(root.event_log(stream), source)
    if kind != "jsonl" or not path:
        raise BadParameter(f"There is no source {source[:60]!r}. Choose log, or jsonl:PATH of a file or a folder.")
    place = Path(path).expanduser().resolve()
    if not place.exists() and not place.parent.is_dir():
        raise BadParameter(
            f"{place} does not exist, and its folder does not either. Give a file of JSON lines, or a folder of them."
        )
    return JsonLines(place, f"jsonl:{place}")
