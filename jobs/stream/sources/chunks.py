"""What was read of a file of JSON lines, as lines."""

from jobs.stream.sources.marks import Mark
from jobs.stream.sources.protocol import Line

#: A longer line is no event: the service takes requests of half of this. What the job keeps in memory has a bound, too.
LONGEST_LINE_BYTES = 1024 * 1024
TOO_LONG = f"the line is longer than {LONGEST_LINE_BYTES:,} bytes"


def longest(mark: Mark) -> int:
    """From how many bytes on a line after a mark is read in parts, as `whole_lines` takes it."""
    return 0 if mark.get("skips") else LONGEST_LINE_BYTES


def lines_of(name: str, mark: Mark, chunk: bytes) -> tuple[list[Line], Mark]:
    """The lines of a chunk after a mark in a file; and `skips` for the mark after it, where the chunk ends in a line
    that is too long."""
    skipped = chunk.find(b"\n") + 1 or len(chunk) if mark.get("skips") else 0
    is_long = b"\n" not in chunk and (len(chunk) > LONGEST_LINE_BYTES or bool(skipped))
    return _split(name, mark["offset"] + skipped, chunk[skipped:]), {"skips": True} if is_long else {}


def _split(file_name: str, offset: int, chunk: bytes) -> list[Line]:
    """The lines of a chunk that begins at an offset of its file, without the blank ones."""
    lines = []
    for text in chunk.split(b"\n"):
        at = f"{file_name} at byte {offset}"
        if len(text) > LONGEST_LINE_BYTES:
            lines.append(Line(text[:LONGEST_LINE_BYTES], at, TOO_LONG))
        elif text.strip():
            lines.append(Line(text, at))
        offset += len(text) + 1
    return lines
