"""The audit log: every decision, one JSON line, in a file a day. Appended to, never changed."""

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from errors import AuditUnavailable
from features.risk import Risk
from serving import lines

#: So much of the end of a file is looked through for the newest records.
TAIL_BYTES = 256 * 1024


def append(directory: Path, day: datetime, records: Iterable[Mapping[str, Any]]) -> None:
    """Append the records to `<directory>/<day>.jsonl`, whole lines or none, beside other threads and processes.

    Raises AuditUnavailable: a decision that cannot be logged must not be given.
    """
    text = b"".join(to_json(record) + b"\n" for record in records)
    try:
        lines.append(f"{directory}/{day.date()}.jsonl", text)
    except OSError as error:
        raise AuditUnavailable(
            f"The decision could not be logged at {directory} ({error.strerror}). Free the disk."
        ) from error


def record(risk: Risk, row: Mapping[str, Any], decision: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the log: the decision as given, of which risk, about whom, and what else was said (identifiers as
    keyed hashes): enough to ask for its features again (`jobs/parity.py`)."""
    entity = {name: value for name, value in row.items() if name in risk.entity_keys}
    request = {name: value for name, value in row.items() if name not in risk.entity_keys}
    return {"risk": risk.name, "entity": entity, "request": request, **decision}


def latest(directory: Path, risk: Risk, day: datetime, most: int) -> list[dict[str, Any]]:
    """The newest records of a risk, newest first, from the ends of the files of `day` and the day before. A half line,
    which a crash left or somebody is writing, is passed over."""
    begins, found = to_json({"risk": risk.name})[:-1], list[dict[str, Any]]()
    for of in (day, day - timedelta(days=1)):
        for line in reversed(_tail(f"{directory}/{of.date()}.jsonl")):
            if len(found) == most:
                return found
            if line.startswith(begins):
                with suppress(ValueError):
                    found.append(from_json(line))
    return found


def _tail(path: str) -> list[bytes]:
    try:
        with open(path, "rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - TAIL_BYTES))
            return log.read(TAIL_BYTES).split(b"\n")
    except FileNotFoundError:
        return []
