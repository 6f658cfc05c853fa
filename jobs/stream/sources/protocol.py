"""What a source is: where a stream job reads events. An adapter of a broker can implement it as well.

A position says how far a job has read. The job commits it in the same transaction as the changes that the events made.
So it reads no line twice and skips none.
"""

from typing import Any, NamedTuple, Protocol

#: File, or partition of a topic → how far it was read, as JSON, in a form that only the source knows.
Position = dict[str, Any]


class Line(NamedTuple):
    """`at` says where the line stands, for a person who looks for it. `fault` says why it cannot be an event, if the
    source knows that; then `text` may be a part of the line, or empty."""

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
