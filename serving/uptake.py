"""Whether somebody takes in what the service accepts: what stands in the event log, against how far the stream job has
read it."""

import json
import sqlite3
from contextlib import closing, suppress
from datetime import datetime, timedelta
from pathlib import Path

from pydantic_core import from_json

from features.events import ACCEPTED
from features.moments import utc


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
    """File → how far the job has read the event log, in bytes (`jobs/stream_state.py` writes it)."""
    if not state.exists():
        return {}
    # An error says that the job is making its tables just now, and has read nothing.
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as job, suppress(sqlite3.OperationalError):
        found = job.execute("SELECT value FROM meta WHERE name = 'position log'").fetchone()
        return json.loads(found[0]) if found else {}
    return {}


def _accepted_at(file: Path, offset: int) -> datetime | None:
    """Of the first event from there on; half a line, which somebody is writing or a crash left, is none."""
    with file.open("rb") as opened:
        opened.seek(offset)
        for line in opened:
            with suppress(ValueError):
                return utc(from_json(line)[ACCEPTED])
    return None
