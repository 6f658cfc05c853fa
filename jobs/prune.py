"""Removes what is older than the time to keep: logs, states, decisions, acts, dead letters, models and policies that
nobody uses. Days and files are removed whole. A run that is killed is finished by the next."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from errors import BadParameter, ModelNotTrained
from features.domains import streams, tables
from features.utc import EPOCH, MICROSECOND
from features.windows import AggregationTable
from features.windows.aggregation import FOR_EVER
from files import sync
from model import history, shelf
from root import Root
from serving import audit, intake
from serving.lines import SUFFIX
from serving.old_policies import old_policies
from serving.shadow import setting

#: The first day of a file's name: `2026-01-31.jsonl`, or `2026-01-31.daily` beside the audit log.
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)\.")
_PARTITION = re.compile(r"year=(\d{4})/month=(\d\d)/day=(\d\d)$")
#: `<first>-<last>.jsonl`, by commit timestamps in µs.
_COMMITS = re.compile(r"\d+-(\d+)")
#: How a version of a model begins: `20261126T145731-…`.
_VERSION = re.compile(r"(\d{8}T\d{6})-")
VERSIONS = "model versions"
#: The file without rows that shows a reader the schema.
_EMPTY = "0-0.parquet"


@dataclass(frozen=True)
class Old:
    """A file or folder that may go. `kind` is for people. `size_bytes` is that of its content, and `written_ns` when it
    was last written."""

    kind: str
    path: Path
    size_bytes: int
    written_ns: int


def old(root: Root, keep: timedelta, now: datetime) -> Iterator[Old]:
    """What `prune` would remove, in a fixed order. Raises BadParameter if a window of a feature needs more days, and
    RootBroken if the state of a stream cannot be read."""
    least = _longest_window()
    if keep < least:
        raise BadParameter(f"A feature looks back over {least.days} days. Keep at least {least.days}d.")
    cutoff = now - keep
    for kind, path in _candidates(root, cutoff):
        parts = path.rglob("*") if path.is_dir() else [path]
        yield Old(
            kind, path, sum(part.stat().st_size for part in parts if part.is_file()), path.stat().st_mtime_ns
        )  # fmt: skip


def remove(root: Root, item: Old) -> None:
    """Remove a file or folder, and its folder where that is empty then. The removal survives a power cut. What somebody
    has written since it was found stays, and a version that somebody has chosen since."""
    if not item.path.exists() or item.path.stat().st_mtime_ns != item.written_ns:
        return
    if item.kind == VERSIONS:
        with shelf.locked(root.models, item.path.parent.name):
            if item.path.name in _chosen(root, item.path.parent):
                return
            (item.path / shelf.CARD).unlink(missing_ok=True)  # first: without it, nobody takes the rest for a version
            shutil.rmtree(item.path)
    elif item.path.is_dir():
        shutil.rmtree(item.path)
    else:
        item.path.unlink(missing_ok=True)
    folder = item.path.parent
    while "=" in folder.name and not any(folder.iterdir()):  # year=/month=/day= of a partition
        folder.rmdir()
        folder = folder.parent
    sync(folder)


def _longest_window() -> timedelta:
    """The longest reach of a feature, without those that look back for ever: these keep what they need in states."""
    reaches = (a.reach for t in tables() if isinstance(t, AggregationTable) for a in t.aggregations)
    return max((reach for reach in reaches if reach != FOR_EVER), default=timedelta(0))


def _candidates(root: Root, cutoff: datetime) -> Iterator[tuple[str, Path]]:
    for name, stream in streams().items():
        log, state = root.event_log(name), root.stream_state(stream.domain)
        yield from (("event log", day) for day in _days(log, cutoff) if intake.is_processed(day, state))
        yield from (("offline log", part) for part in _partitions(root.offline_log(name), cutoff))
        for folder in sorted(root.keyed_logs(name).glob("*/partition=*")):
            yield from (("keyed log", part) for part in _partitions(folder, cutoff))
        yield from (("dead letters", file) for file in _dead_letters(root.dead_letters(name), cutoff))
    for view in sorted(root.path.glob("states/*")):
        yield from (("states", part) for part in _partitions(view, cutoff))
    yield from (("decisions", day) for day in _chained(root.decisions, cutoff))
    yield from (("decisions", day) for day in _days(root.outcomes, cutoff))
    yield from (("decisions of shadows", day) for day in _days(root.shadow, cutoff))
    yield from (("acts on cases", day) for day in _chained(root.cases, cutoff))
    for model in sorted(path for path in root.models.glob("*") if path.is_dir()):
        yield from ((VERSIONS, version) for version in _versions(root, model, cutoff))
    yield from old_policies(root, cutoff)


def _chained(log: Path, cutoff: datetime) -> Iterator[Path]:
    """The old days of a log and of its index, without the newest day: the next record continues its chain."""
    newest = max(audit.days(log), default="")
    for folder in (log, audit.index(log)):
        yield from (day for day in _days(folder, cutoff) if not day.name.startswith(f"{newest}."))


def _days(folder: Path, cutoff: datetime) -> Iterator[Path]:
    """The files of days that ended before the cutoff."""
    for file in sorted(folder.glob("*")):
        match = _DAY.match(file.name)
        if match and date.fromisoformat(match[1]) < cutoff.date():
            yield file


def _partitions(folder: Path, cutoff: datetime) -> Iterator[Path]:
    """The files of partitions that ended before the cutoff. The partition of the first day of a month may have rows of
    the whole month, and that of the first day of a year rows of the whole year."""
    for partition in sorted(folder.glob("year=*/month=*/day=*")):
        match = _PARTITION.search(partition.as_posix())
        if match is None:
            continue
        year, month, day = map(int, match.groups())
        after = date(year, month, day) + timedelta(days=1)
        if day == 1:
            after = date(year + 1, 1, 1) if month in (1, 12) else date(year, month + 1, 1)
        if after <= cutoff.date():
            yield from sorted(file for file in partition.glob("*") if file.name != _EMPTY)


def _dead_letters(folder: Path, cutoff: datetime) -> Iterator[Path]:
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        match = _COMMITS.fullmatch(file.stem)
        if match and EPOCH + int(match[1]) * MICROSECOND < cutoff:
            yield file


def _versions(root: Root, model: Path, cutoff: datetime) -> Iterator[Path]:
    """The versions that were made before the cutoff, without those that are chosen, and those that served later than
    the cutoff. What a killed run left of a version counts as one."""
    needed = {*_chosen(root, model), *_served_since(_served(model), cutoff)}
    for version in sorted(model.iterdir()):
        made = _made(version.name)
        if made and made < cutoff and version.name not in needed:
            yield version


def _chosen(root: Root, model: Path) -> set[str]:
    """The current version of a model, the one to roll back to, and the one in its shadow."""
    shadow = setting.read(root.shadow, model.name)
    return {*_served(model)[-2:], *([shadow.model] if shadow and shadow.model else [])}


def _served(model: Path) -> list[str]:
    try:
        return history.served(model, shelf.current_version(model.parent, model.name))
    except ModelNotTrained:
        return []


def _served_since(served: list[str], cutoff: datetime) -> Iterator[str]:
    """The versions that may have served after the cutoff: a version served until the next one was made."""
    for version, successor in zip(served, [*served[1:], None], strict=False):
        ended = _made(successor) if successor else None
        if ended is None or ended >= cutoff:
            yield version


def _made(version: str) -> datetime | None:
    match = _VERSION.match(version)
    return datetime.strptime(match[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) if match else None
