"""Turns the lines of a source into events and dead letters. Pure.

Nearly all lines of a stream are valid and alike. So many lines are decoded and checked together, column by column, and
only a line that is not surely valid is looked at alone: `one` alone knows every form that a line may have, and every
reason why it is no event. Both give the same rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from features.domains import Stream
from features.windows.events import NUMBER, PRODUCER, Row
from features.windows.tiles import AHEAD_US
from jobs.stream.lines.one import OneLine
from jobs.stream.sources import Line

#: Fewer lines than this are looked at one by one, which is faster then.
LEAST_TOGETHER = 16


@dataclass
class Batch:
    """`rows` are the events; `dead` are dead letters, as JSON. `numbers` has producer and number of each line that has
    them, valid or not: the job has received an invalid line too, and its producer need not send it again."""

    rows: list[Row] = field(default_factory=list)
    dead: list[bytes] = field(default_factory=list)
    numbers: list[tuple[str, int]] = field(default_factory=list)


def parse(stream: Stream, lines: Sequence[Line], now: int, hash_key: bytes) -> Batch:
    """Parse lines that are received at `now`, in µs since 1970. An event with a timestamp further in the future than
    `AHEAD_US` is invalid, and so is a line that the source has a fault for, or that is not strict JSON.

    The events are sealed. In an invalid line nobody knows where the secret is, so a dead letter of a stream with sealed
    columns has a 9 for each digit."""
    line_reader, batch = OneLine(stream, now, hash_key), Batch()
    for line, checked in zip(lines, _checked(stream, lines, now + AHEAD_US, hash_key), strict=True):
        if checked is not None:
            row = checked
            batch.rows.append(row)
        else:
            row, dead = line_reader.read(line)
            if dead:
                batch.dead.append(dead)
            else:
                batch.rows.append(row)
        if row.get(PRODUCER) and row.get(NUMBER):
            batch.numbers.append((row[PRODUCER], row[NUMBER]))
    return batch


def _checked(stream: Stream, lines: Sequence[Line], latest: int, hash_key: bytes) -> Iterable[Row | None]:
    """The row of each line that is surely valid."""
    if len(lines) < LEAST_TOGETHER:
        return [None] * len(lines)
    # A worker on Flink checks a message at a time, and has no msgspec.
    from jobs.stream.lines.together import together

    return together(stream).rows([b"" if line.fault else line.text for line in lines], latest, hash_key)
