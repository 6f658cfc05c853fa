"""The audit log: every decision is one JSON line, in a file for each UTC day. Lines are appended and never changed.

Beside its folder is a folder of ranges, `decisions.index/<day>.<risk>`, which say where the lines of a risk are. It may
be removed: then pages do not show the decisions of before."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from errors import AuditUnavailable
from features.risk import Risk
from files import explained, fault
from serving import lines, ranges
from serving.audit.record import context, decision_of, features_by_view, record

__all__ = ["append", "context", "decision_of", "features_by_view", "index", "latest", "logged", "record", "since"]

#: Before the first range of a day, `latest` looks for records in this many bytes: an older version wrote no ranges.
TAIL_BYTES = 256 * 1024


def append(folder: Path, day: datetime, records: Iterable[Mapping[str, Any]]) -> None:
    """Append all records to the file of the day, or none. Raises AuditUnavailable: the service must not give a decision
    that it cannot log."""
    records = list(records)
    names = {record["risk"] for record in records if "risk" in record}

    def note(first: int, after: int) -> None:
        for name in names:
            ranges.add(_ranges(folder, day, name), first, after)

    try:
        lines.append(_file(folder, day), records, note=note)
    except OSError as error:
        raise AuditUnavailable(f"The decision could not be logged. {fault(error, folder)}") from error


def latest(folder: Path, risk: Risk, day: datetime, most: int) -> list[dict[str, Any]]:
    """The newest records of a risk, at most `most`, newest first, of `day` and the day before. It reads about as many
    lines as it returns, whatever else is in the log. Raises AuditUnavailable."""
    newest_first = (_newest_first(folder, risk, of_day) for of_day in (day, day - timedelta(days=1)))
    with explained(folder, AuditUnavailable, "Move it away."):
        return list(islice(chain.from_iterable(newest_first), most))


def since(folder: Path, risk: Risk, earliest: datetime, day: datetime) -> Iterator[dict[str, Any]]:
    """The records of a risk from `earliest` on to the end of `day`, newest first. Raises AuditUnavailable."""
    with explained(folder, AuditUnavailable, "Move it away."):
        while day.date() >= earliest.date():
            for line in _newest_first(folder, risk, day):
                if datetime.fromisoformat(line["as_of"]) < earliest:
                    return
                yield line
            day -= timedelta(days=1)


def logged(folder: Path, risk: Risk, as_of: datetime) -> Iterator[dict[str, Any]]:
    """The records of a risk that are dated `as_of`."""
    for line in lines.read(_file(folder, as_of), prefix=_prefix(risk)):
        if line.get("as_of") == as_of.isoformat():
            yield line


def index(folder: Path) -> Path:
    """The folder with what helps readers of the log."""
    return folder.with_name(f"{folder.name}.index")


def _newest_first(folder: Path, risk: Risk, day: datetime) -> Iterator[dict[str, Any]]:
    file, lowest = _file(folder, day), None
    for first, after in ranges.newest_first(_ranges(folder, day, risk.name)):
        yield from lines.read_backwards(file, first, after, _prefix(risk))
        lowest = first
    if lowest is None:
        lowest = file.stat().st_size if file.exists() else 0
    yield from lines.read_backwards(file, max(0, lowest - TAIL_BYTES), lowest, _prefix(risk))


def _prefix(risk: Risk) -> bytes:
    """How a line of a risk begins."""
    return to_json({"risk": risk.name})[:-1]


def _file(folder: Path, day: datetime) -> Path:
    return folder / f"{day.date()}{lines.SUFFIX}"


def _ranges(folder: Path, day: datetime, risk: str) -> Path:
    return index(folder) / f"{day.date()}.{risk}"
