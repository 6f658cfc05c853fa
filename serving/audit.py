"""The audit log: every decision is one JSON line, in a file for each UTC day. Lines are appended and never changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from errors import AuditUnavailable
from features.risk import Risk
from files import explained, fault
from serving import lines

#: `latest` looks for records in the last bytes of a file, this many.
TAIL_BYTES = 256 * 1024


def append(folder: Path, day: datetime, records: Iterable[Mapping[str, Any]]) -> None:
    """Append all records to the file of the day, or none. Raises AuditUnavailable: the service must not give a decision
    that it cannot log."""
    try:
        lines.append(_file(folder, day), records)
    except OSError as error:
        raise AuditUnavailable(f"The decision could not be logged. {fault(error, folder)}") from error


def record(risk: Risk, row: Mapping[str, Any], decision: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the log: the risk, the entity, the rest of the request's row (identifiers are keyed hashes), and the
    decision with its internal features. `python -m jobs parity` reads the features again from it."""
    entity = {name: value for name, value in row.items() if name in risk.entity_keys}
    request = {name: value for name, value in row.items() if name not in risk.entity_keys}
    return {"risk": risk.name, "entity": entity, "request": request, **decision}


def latest(folder: Path, risk: Risk, day: datetime, most: int) -> list[dict[str, Any]]:
    """The newest records of a risk, at most `most`, newest first. It looks at the ends of the files of `day` and of the
    day before. Raises AuditUnavailable."""
    prefix = to_json({"risk": risk.name})[:-1]
    files = (_file(folder, of_day) for of_day in (day, day - timedelta(days=1)))
    newest_first = (lines.read_backwards(file, TAIL_BYTES, prefix) for file in files)
    with explained(folder, AuditUnavailable, "Move it away."):
        return list(islice(chain.from_iterable(newest_first), most))


def _file(folder: Path, day: datetime) -> Path:
    return folder / f"{day.date()}{lines.SUFFIX}"
