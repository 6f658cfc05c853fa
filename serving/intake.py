"""What serving knows of the stream job: how far the job has read the event log, which numbered events it received, and
what its consumer group is called on Kafka.

The job writes both into its SQLite file (`jobs/stream/state.py`), under the names below. This module only reads."""

import json
import sqlite3
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

from errors import RootBroken
from features import numbers
from features.domains import Stream
from features.utc import utc
from features.windows.events import ACCEPTED
from features.windows.state import LiveTable
from files import explained, read_only
from serving import lines

#: Table (name, value) of single values, and the name of the position in a source: JSON, file → how far it was read.
META, POSITION = "meta", "position {source}"
#: Table (producer, ranges) of the numbers received, JSON ranges with both ends.
RECEIVED = "received"
#: The source that reads the event log, by its name in a position.
EVENT_LOG = "log"


def version_of(stream: Stream) -> str:
    """Of the definitions of a stream's live tables."""
    versions = [(table.name, LiveTable(table).version) for table in stream.tables]
    return f"{crc32(repr(sorted(versions)).encode()):08x}"


def group_of(topic: str, stream: Stream) -> str:
    """The consumer group of the workers that read a topic. The names of what another engine has begin with it."""
    return f"{topic}.{stream.domain}-{version_of(stream)}"


def oldest_waiting(log: Path, state: Path, now: datetime) -> timedelta | None:
    """How long the oldest event has been waiting that the service accepted and the job has not processed. None if no
    event is waiting. `log` is the folder of the event log, `state` the job's file."""
    position = _position(state)
    for file in sorted(log.glob(f"*{lines.SUFFIX}")):
        offset = _offset(position.get(file.name, 0))
        if offset < file.stat().st_size and (event := next(lines.read(file, offset), None)):
            return now - utc(event[ACCEPTED])
    return None


def is_processed(file: Path, state: Path) -> bool:
    """Whether the job has read a whole file of the event log. `state` is the job's file. Raises RootBroken."""
    mark = _position(state).get(file.name)
    return mark is not None and _offset(mark) >= file.stat().st_size


def waiting_bytes(log: Path, state: Path) -> int:
    """How many bytes of events the service accepted and the job has not processed."""
    position = _position(state)
    files = log.glob(f"*{lines.SUFFIX}")
    return sum(max(0, file.stat().st_size - _offset(position.get(file.name, 0))) for file in files)


def missing(state: Path, producer: str, last: int) -> numbers.Ranges:
    """The numbers from 1 to `last` of a producer that the job has not received, as ranges with both ends. `state` is
    the job's file."""
    received = _value(state, f"SELECT ranges FROM {RECEIVED} WHERE producer = ?", producer)
    return numbers.missing_numbers(received or [], last)


def _offset(mark: Any) -> int:
    """How many bytes of a file the job has read, from what the position says of it: a number, or an object."""
    return int(mark if isinstance(mark, int) else mark["offset"])


def _position(state: Path) -> dict[str, Any]:
    """File → how far the job has read it."""
    position = _value(state, f"SELECT value FROM {META} WHERE name = ?", POSITION.format(source=EVENT_LOG))
    return position or {}


def _value(state: Path, query: str, name: str) -> Any:
    """The JSON value that the job's file keeps under a name, or None. Raises RootBroken."""
    if not state.exists():
        return None
    damaged = "Stop the stream job, move it away and start the job again: it computes the states from the events."
    with explained(state, RootBroken, damaged), read_only(state) as connection:
        try:
            row = connection.execute(query, (name,)).fetchone()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            row = None  # the job is creating its tables, so it has read nothing
    return json.loads(row[0]) if row else None
