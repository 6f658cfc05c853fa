"""The audit log: every decision, one JSON line, in a file a day. Appended to, never changed."""

import fcntl
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from errors import AuditUnavailable
from features.declaration import Risk


def append(directory: Path, day: datetime, records: Iterable[Mapping[str, Any]]) -> None:
    """Append the records to `<directory>/<day>.jsonl`, whole lines or none, beside other threads and processes.

    Raises AuditUnavailable: a decision that cannot be logged must not be given.
    """
    lines = b"".join(to_json(record) + b"\n" for record in records)
    try:
        log = _open(f"{directory}/{day.date()}.jsonl")
        try:
            fcntl.flock(log, fcntl.LOCK_EX)
            before = os.fstat(log).st_size
            if before and os.pread(log, 1, before - 1) != b"\n":
                lines = b"\n" + lines  # a machine that stopped in mid-line spoils that line only
            try:
                _write_all(log, lines)
            except OSError:
                os.ftruncate(log, before)
                raise
        finally:
            os.close(log)
    except OSError as error:
        raise AuditUnavailable(
            f"The decision could not be logged at {directory} ({error.strerror}). Free the disk."
        ) from error


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return _open(path)


def _write_all(log: int, lines: bytes) -> None:
    while lines:
        lines = lines[os.write(log, lines) :]


def record(risk: Risk, row: Mapping[str, Any], decision: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the log: the decision as given, of which risk, about whom, and what else was said (identifiers as
    keyed hashes): enough to ask for its features again (`jobs/parity.py`)."""
    entity = {name: value for name, value in row.items() if name in risk.entity_keys}
    request = {name: value for name, value in row.items() if name not in risk.entity_keys}
    return {"risk": risk.name, "entity": entity, "request": request, **decision}
