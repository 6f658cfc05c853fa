"""The audit log: every decision is one JSON line, in a file for each UTC day. Lines are appended and never changed, and
each holds the digest of the one before it (`chain.py`).

Beside its folder is a folder of ranges, `decisions.index/<day>.<risk>`, which say where the lines of a risk are. It may
be removed: then pages do not show the decisions of before."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from errors import AuditUnavailable
from features.risk import Risk
from files import explained, fault
from serving import lines, ranges, strict_json
from serving.audit.record import context, decision_of, features_by_view, record
from serving.audit.writer import days, opened

__all__ = [
    "append", "context", "days", "decision_of", "features_by_view", "index", "latest", "logged", "on_disk", "record",
    "since",
]  # fmt: skip

#: Before the first range of a day, `latest` looks for records in this many bytes: an older version wrote no ranges.
TAIL_BYTES = 256 * 1024


def append(folder: Path, day: datetime, records: Iterable[Mapping[str, Any]]) -> Callable[[], None]:
    """Append all records to the newest file, or none; `day` is now, and begins a file if it is later. Returns a
    function that waits until the disk has them. Both raise AuditUnavailable: the service must not give a decision that
    it cannot log."""
    names, texts = set[str](), list[bytes]()
    for made in records:  # a record is written when it is made: then it is in the processor's cache
        if "risk" in made:
            names.add(made["risk"])
        texts.append(strict_json.written(made))

    def note(of_file: str, first: int, after: int) -> None:
        for name in names:
            ranges.add(_ranges(folder, of_file, name), first, after)

    try:
        wait = opened(folder).append(day, texts, note)
    except OSError as error:
        raise _unavailable(folder, error) from error
    return partial(_waited, folder, wait)


def on_disk(folder: Path) -> Callable[[], None]:
    """A function that waits until the disk has all that was appended. It raises AuditUnavailable."""

    return partial(_waited, folder, lambda: opened(folder).ticket()())


def _waited(folder: Path, wait: Callable[[], None]) -> None:
    try:
        wait()
    except OSError as error:
        raise _unavailable(folder, error) from error


def _unavailable(folder: Path, error: OSError) -> AuditUnavailable:
    return AuditUnavailable(f"This could not be logged, so it was not done. {fault(error, folder)}")


def latest(folder: Path, risk: Risk, day: datetime, most: int) -> list[dict[str, Any]]:
    """The newest records of a risk, at most `most`, newest first, from the day before `day` on. It reads about as many
    lines as it returns, whatever else is in the log. Raises AuditUnavailable."""
    with explained(folder, AuditUnavailable, "Move it away."):
        yesterday = f"{(day - timedelta(days=1)).date()}"
        new = reversed([name for name in days(folder) if name >= yesterday])
        newest_first = itertools.chain.from_iterable(_newest_first(folder, risk, name) for name in new)
        return list(itertools.islice(newest_first, most))


def since(folder: Path, risk: Risk, earliest: datetime, day: datetime) -> Iterator[dict[str, Any]]:
    """The records of a risk from `earliest` on to the end of `day`, newest first. Raises AuditUnavailable."""
    with explained(folder, AuditUnavailable, "Move it away."):
        for name in reversed([name for name in days(folder) if name >= f"{earliest.date()}"]):
            for line in _newest_first(folder, risk, name):
                if earliest <= datetime.fromisoformat(line["as_of"]) <= day:
                    yield line


def logged(folder: Path, risk: Risk, as_of: datetime) -> Iterator[dict[str, Any]]:
    """The records of a risk that are dated `as_of`. A file has decisions of its day, and those of before that a job
    made while it was the newest."""
    dated = {"as_of": as_of.isoformat()}
    for day in days(folder):
        if day >= f"{as_of.date()}":
            for line in lines.read(_file(folder, day), prefix=_prefix(risk), part=strict_json.written(dated)[1:-1]):
                if line.get("as_of") == dated["as_of"]:
                    yield line


def index(folder: Path) -> Path:
    """The folder with what helps readers of the log."""
    return folder.with_name(f"{folder.name}.index")


def _newest_first(folder: Path, risk: Risk, day: str) -> Iterator[dict[str, Any]]:
    file, lowest = _file(folder, day), None
    for first, after in ranges.newest_first(_ranges(folder, day, risk.name)):
        yield from lines.read_backwards(file, first, after, _prefix(risk))
        lowest = first
    if lowest is None:
        lowest = file.stat().st_size if file.exists() else 0
    yield from lines.read_backwards(file, max(0, lowest - TAIL_BYTES), lowest, _prefix(risk))


def _prefix(risk: Risk) -> bytes:
    """How a line of a risk begins."""
    return strict_json.written({"risk": risk.name})[:-1]


def _file(folder: Path, day: str) -> Path:
    return folder / f"{day}{lines.SUFFIX}"


@lru_cache(maxsize=64)
def _ranges(folder: Path, day: str, risk: str) -> Path:
    return index(folder) / f"{day}.{risk}"
