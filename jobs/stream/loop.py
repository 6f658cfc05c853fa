"""A stream job as a process: one for a domain at a time, from its history on, until the source ends or somebody says
stop."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from threading import Event
from typing import TypeVar

from errors import Busy, FeaturesNotReady, NoData
from features.domains import Stream
from features.utc import EPOCH, MICROSECOND, since_1970
from features.windows import events
from features.windows.events import Row
from features.windows.state import LiveTable
from files import fingerprint, listing, locked
from jobs import sql
from jobs.raw import places
from jobs.raw.relations import open_rows
from jobs.stream.job import StreamJob
from jobs.stream.sources import Source
from jobs.stream.state import HISTORY
from root import Root
from serving.store import Store

#: How long a source that had nothing is left alone: the shorter, the more recently it had something.
POLL_SECONDS, IDLE_SECONDS = 0.005, 0.05
STATUS_SECONDS = 10
RETRY_SECONDS = 1
HISTORY_BATCH = 100_000
Tell = Callable[[str], object]
T = TypeVar("T")


def run(
    root: Root,
    stream: Stream,
    source: Source,
    store: Store,
    once: bool,
    stop: Event,
    tell: Tell,
    metrics: int | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Take in what the source has, and what comes until `stop`, or with `once` no more. Raises Busy, BadInput."""
    with alone(root, stream), closing(StreamJob(root, stream, source, store, clock)) as job:
        if metrics is not None:
            job.status.serve(metrics)
        _patiently(job.recover, stop, tell)
        if taken := _patiently(lambda: seed(root, job, clock(), stop), stop, tell):
            tell(f"{stream.domain}: {taken:,} events of the history taken in")
        told, wait, counts = time.monotonic(), POLL_SECONDS, dict(vars(job.status.counts))
        job.status.line(0, told)
        while not stop.is_set():
            moved = _patiently(lambda: job.step(final=once), stop, tell)
            if job.is_flush_due():
                job.flush_a_part()
            if time.monotonic() - told > STATUS_SECONDS:
                told, before, counts = time.monotonic(), counts, dict(vars(job.status.counts))
                line = job.status.line(job.behind(), told)
                if counts != before:  # of many streams, most are often quiet
                    tell(line)
            if not moved and once:
                break
            wait = POLL_SECONDS if moved else min(2 * wait, IDLE_SECONDS)
            if not moved:
                stop.wait(wait)
        tell(job.status.line(job.behind(), time.monotonic()))


@contextmanager
def alone(root: Root, stream: Stream) -> Iterator[None]:
    """One process at a time works on a domain's state. Raises Busy."""
    busy = Busy(f"Another stream job is at work on {stream.domain} in {root}. Stop it first.")
    with locked(root.stream_state(stream.domain).with_suffix(".lock"), busy):
        yield


def _patiently(work: Callable[[], T], stop: Event, tell: Tell) -> T | None:
    """An online store that cannot be written is tried again: what is to be written there is kept."""
    while True:
        try:
            return work()
        except FeaturesNotReady as error:
            tell(f"{error.name}: {error.message} It is tried again.")
            if stop.wait(RETRY_SECONDS):
                return None


def seed(root: Root, job: StreamJob, now: datetime, stop: Event) -> int:
    """Take in the raw table, unless its files are those that were taken in: a state reaches back before the first live
    event. Events that were seen change nothing. New states, of new definitions too, take in the offline log as well."""
    raw, before = job.stream.raw, job.state.meta(HISTORY)
    here = fingerprint(listing(*_files_or_none(root, places.history_files, raw.name)))
    if before == here:
        return 0
    files = _files_or_none(root, places.history_files if before else places.raw_files, raw.name)
    reached = min(LiveTable(table).reached(since_1970(now)) for table in job.stream.tables)
    rows = history(job.stream, files, now, reached) if files else iter(())
    taken = job.seed(takewhile(lambda _: not stop.is_set(), rows))
    job.flush()
    if not stop.is_set():
        with job.state.batch():
            job.state.set_meta({HISTORY: here})
    return taken


def _files_or_none(root: Root, found: Callable[[Root, str], list[Path]], table: str) -> list[Path]:
    try:
        return found(root, table)
    except NoData:
        return []


def history(stream: Stream, files: list[Path], now: datetime, reached: int) -> Iterator[list[Row]]:
    """Checked rows up to `now`, in the form of live ones, oldest first, from where a window still reaches."""
    raw = stream.raw
    names = [raw.time, *(c.name for c in raw.columns)]
    first = EPOCH + max(reached, 0) * MICROSECOND
    with sql.connect() as connected:
        open_rows(connected, raw, files, now + timedelta(microseconds=1), None)
        at = {raw.time: "event_timestamp"}
        wanted = ", ".join(f"{at.get(name, sql.identifier(name))} AS {sql.identifier(name)}" for name in names)
        latest = ", ".join(
            f"coalesce({at.get(m, m)}, {sql.timestamp(EPOCH)})" for m in events.moments(raw, stream.tables)
        )
        found = connected.execute(
            f"SELECT {wanted} FROM raw_row WHERE greatest({latest}) >= {sql.timestamp(first)} "
            f"ORDER BY event_timestamp, {sql.identifier(raw.id or '')}"
        )
        while rows := found.fetchmany(HISTORY_BATCH):
            yield [events.row_of(raw)(dict(zip(names, row, strict=True))) for row in rows]
