"""What the service knows of the stream job: how far it has read the event log, and which numbered events it received.

The job writes both into its SQLite file (`jobs/stream/state.py`), under the names below; this module only reads."""

import json
import sqlite3
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from features.utc import utc
from features.windows import numbering
from features.windows.events import ACCEPTED

#: Table (name, value) of single values, and the name of the position in a source: JSON, file → bytes read.
META, POSITION = "meta", "position {source}"
#: Table (producer, ranges) of the numbers received, JSON ranges with both ends.
RECEIVED = "received"
#: The source that reads the event log, by its name in a position.
EVENT_LOG = "log"


def oldest_waiting(log: Path, state: Path, now: datetime) -> timedelta | None:
    """How long the oldest event has been waiting that was accepted and not taken in; None if none is. `log` is the
    event log's folder, `state` the job's file."""
    position = _position(state)
    for file in sorted(log.glob("*.jsonl")):
        read = position.get(file.name, 0)
        if read < file.stat().st_size and (accepted_at := _accepted_at(file, read)):
            return now - accepted_at
    return None


def _position(state: Path) -> dict[str, int]:
    """File → how far the job has read the event log, in bytes (`jobs/stream/state.py` writes it)."""
    position: dict[str, int] = {}
    # An error says that the job is making its tables just now, and has read nothing.
    with suppress(sqlite3.OperationalError):
        position = _told(state, f"SELECT value FROM {META} WHERE name = ?", POSITION.format(source=EVENT_LOG)) or {}
    return position


def missing(state: Path, producer: str, last: int) -> numbering.Ranges:
    """Of the numbers 1 to `last` of a producer, those that the stream job has not taken in, as ranges with both ends.
    `state` is the job's file."""
    return numbering.missing(_told(state, f"SELECT ranges FROM {RECEIVED} WHERE producer = ?", producer) or [], last)


def _told(state: Path, query: str, name: str) -> Any:
    """JSON that the job's file keeps under a name, None where there is none."""
    if not state.exists():
        return None
    with closing(sqlite3.connect(f"{state.as_uri()}?mode=ro", uri=True, timeout=30)) as job:
        found = job.execute(query, (name,)).fetchone()
    return json.loads(found[0]) if found else None


def _accepted_at(file: Path, offset: int) -> datetime | None:
    """Of the first event from there on; half a line, which somebody is writing or a crash left, is none."""
    with file.open("rb") as opened:
        opened.seek(offset)
        for line in opened:
            with suppress(ValueError):
                return utc(from_json(line)[ACCEPTED])
    return None
