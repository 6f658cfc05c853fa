"""Reads the audit log from where the last reading stopped."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from features.utc import since_1970, utc
from serving import lines

#: The log is read by about this many bytes at a time, and no line of it is longer than `LONGEST_LINE`.
CHUNK_BYTES, LONGEST_LINE = 4 * 1024 * 1024, 64 * 1024 * 1024

#: File → how many of its bytes were read.
Position = Mapping[str, int]


@dataclass(frozen=True)
class Decided:
    """A logged decision. `as_of` and the event time of each view are µs since 1970. `fields` are the entity, the
    request and the features of the record."""

    decision_id: str
    risk: str
    version: str
    as_of: int
    outcome: str
    score: float
    features: Mapping[str, Any]
    views: Mapping[str, int]
    fields: Mapping[str, Any]


def read(folder: Path, position: Position) -> Iterator[tuple[list[Decided], Position]]:
    """The decisions after `position`, in the order of the log, some at a time, with the position after them. A line
    that is no decision is passed over. Of a file that was removed, nothing is remembered."""
    files = sorted(folder.glob(f"*{lines.SUFFIX}"))
    position = {file.name: min(position.get(file.name, 0), file.stat().st_size) for file in files}
    for file in files:
        with file.open("rb") as log:
            log.seek(position[file.name])
            while chunk := lines.whole_lines(log, CHUNK_BYTES, final=False, longest=LONGEST_LINE):
                position = position | {file.name: position[file.name] + len(chunk)}
                log.seek(position[file.name], os.SEEK_SET)
                decided = map(_decided, chunk.split(b"\n"))
                yield [decision for decision in decided if decision], position


def _decided(line: bytes) -> Decided | None:
    try:
        record = from_json(line)
        event_times = record.get("event_times") or {}
        return Decided(
            record["decision_id"],
            record["risk"],
            record["model"]["version"],
            since_1970(utc(record["as_of"])),
            record["decision"],
            float(record["score"]),
            record["features"],
            {view: since_1970(utc(time)) for view, time in event_times.items() if time},
            {**record["entity"], **record["request"], **record["features"]},
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
