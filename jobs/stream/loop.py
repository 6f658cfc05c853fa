"""A stream job from its history on, until the source ends or somebody stops it. One process at a time works on a
domain."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import takewhile
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypeVar

from errors import Busy, FeaturesNotReady, NoData, RootBroken
from features.domains import Stream
from features.utc import EPOCH, MICROSECOND, since_1970
from features.windows import events
from features.windows.events import Row
from features.windows.raw import CREATED
from features.windows.state import LiveTable
from files import fault, fingerprint, is_file_fault, listing, locked
from jobs import sql
from jobs.raw import offline_log, places
from jobs.raw.relations import open_rows
from jobs.stream.job import StreamJob
from jobs.stream.sources import Source
from jobs.stream.state import HISTORY
from root import Root
from serving.store import Store

if TYPE_CHECKING:  # only a process that sends traces imports the library
    from telemetry.spans import Spans

#: The job reads a source without new lines again after the first of these, then after twice as long, up to the second.
POLL_SECONDS, IDLE_SECONDS = 0.005, 0.05
STATUS_SECONDS = 10
RETRY_SECONDS = 1
#: After a fault of a file, such as a full disk, the job starts again this much later.
RESTART_SECONDS = 5
_DAMAGED = "Move it away: the job computes the states from the events again."
#: Rows of the history in a batch.
HISTORY_BATCH = 100_000
Report = Callable[[str], object]
T = TypeVar("T")


def run(
    root: Root,
    stream: Stream,
    source: Source,
    store: Store,
    hash_key: bytes,
    once: bool,
    stop: Event,
    report: Report,
    metrics: int | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    spans: "Spans | None" = None,
) -> None:
    """Process the history, then what the source has, then what is added to it until `stop` is set; with `once`, nothing
    that is added. `hash_key` seals the events. `report` gets lines for a person. `metrics` is the port for Prometheus.
    `spans` sends a trace of each batch.
    Raises Busy, BadInput, and with `once` FeaturesNotReady where the online store cannot be written.

    After a fault of a file, such as a full disk, the job starts again from its state file, which has all that it
    committed, until the fault is mended. With `once`, the fault is raised as RootBroken.
    """
    with state_lock(root, stream):
        while True:
            try:
                with closing(StreamJob(root, stream, source, store, hash_key, clock)) as job, _served(job, metrics):
                    return _follow(root, job, once, stop, report, clock, spans)
            except Exception as error:
                if not is_file_fault(error):
                    raise
                path = None if isinstance(error, OSError) else root.stream_state(stream.domain)
                message = fault(error, path, _DAMAGED)
                if once:
                    raise RootBroken(message) from error
                report(f"{stream.domain}: root_broken: {message} The job starts again every {RESTART_SECONDS} s.")
                if stop.wait(RESTART_SECONDS):
                    return None


def _follow(
    root: Root,
    job: StreamJob,
    once: bool,
    stop: Event,
    report: Report,
    clock: Callable[[], datetime],
    spans: "Spans | None",
) -> None:
    domain = job.stream.domain
    if clock_fault := job.clock_fault():
        report(f"{domain}: {clock_fault}")
    retry = partial(_retry, stop=stop, report=report, once=once)
    retry(job.recover)
    if count := retry(lambda: seed(root, job, clock(), stop)):
        report(f"{domain}: {count:,} events of the history processed: those that a window reaches")
    reported_at, pause, counts = time.monotonic(), POLL_SECONDS, dict(vars(job.status.counts))
    job.status.line(0, reported_at)
    while not stop.is_set():
        begin, before_step = time.perf_counter_ns(), job.status.counts.events
        has_moved = retry(lambda: job.step(final=once))
        if spans is not None and has_moved:
            _send(spans, job, begin, job.status.counts.events - before_step)
        if job.is_flush_due():
            job.flush_part()
        if time.monotonic() - reported_at > STATUS_SECONDS:
            reported_at, before, counts = time.monotonic(), counts, dict(vars(job.status.counts))
            line = job.status.line(job.behind(), reported_at)
            if counts != before:  # a stream without events prints nothing
                report(line)
            if bool(clock_fault) < bool(clock_fault := job.clock_fault()):
                report(f"{domain}: {clock_fault}")
        if not has_moved and once:
            break
        pause = POLL_SECONDS if has_moved else min(2 * pause, IDLE_SECONDS)
        if not has_moved:
            stop.wait(pause)
    report(job.status.line(job.behind(), time.monotonic()))


def _send(spans: "Spans", job: StreamJob, begin: int, events: int) -> None:
    """A trace of the batch that began at `begin`: from when the service accepted its oldest event, until it was
    online."""
    end, committed = time.perf_counter_ns(), job.status.committed_ns
    oldest = min(begin, end - int(job.status.oldest_seconds * 1e9))
    parts = [("batch", begin, committed), ("online", committed, end)]
    spans.add(f"event {job.stream.domain}", parts, oldest, end, end, {"risk.events": events})


def _served(job: StreamJob, metrics: int | None) -> AbstractContextManager[object]:
    return nullcontext() if metrics is None else job.status.served(metrics)


def state_lock(root: Root, stream: Stream) -> AbstractContextManager[None]:
    """Holds the state file of a domain: no other process works on it meanwhile. Raises Busy."""
    busy = Busy(f"Another stream job is at work on {stream.domain} in {root}. Stop it first.")
    return locked(root.stream_state(stream.domain).with_suffix(".lock"), busy)


def _retry(work: Callable[[], T], stop: Event, report: Report, once: bool) -> T | None:
    """Try again for as long as the online store cannot be written, which is reported once. The job keeps what it has to
    write there. Returns None where `stop` is set meanwhile. With `once`, raises FeaturesNotReady at the first time."""
    reported = ""
    while True:
        try:
            return work()
        except FeaturesNotReady as error:
            if once:
                raise
            if error.message != reported:
                report(f"{error.name}: {error.message} The job tries again every {RETRY_SECONDS} s.")
                reported = error.message
            if stop.wait(RETRY_SECONDS):
                return None


def seed(root: Root, job: StreamJob, now: datetime, stop: Event) -> int:
    """Process the raw table, whose events are older than the first live one: windows reach back to them. Returns how
    many events were new.

    Without a change in the table's files since the last time, this does nothing. Events that are already processed
    change nothing. New states, also those of a new definition, need the events of the offline log as well. An older
    version may have written these, or the states, with what is sealed today.
    """
    raw, before = job.stream.raw, job.state.meta(HISTORY)
    if before is None and raw.sealed_columns:
        offline_log.seal(root.offline_log(raw.name), raw, job.hash_key)
        job.state.shrink()
    current = fingerprint(listing(*_files_or_none(places.history_files, root, raw.name)))
    if before == current:
        return 0
    files = _files_or_none(places.history_files if before else places.raw_files, root, raw.name)
    reached = min(LiveTable(table).reached(since_1970(now)) for table in job.stream.tables)
    batches = read_history(job.stream, files, now, reached) if files else iter(())
    count = job.seed(takewhile(lambda _: not stop.is_set(), batches))
    job.flush()
    if not stop.is_set():
        job.finish_history(current)
    return count


def _files_or_none(find: Callable[[Root, str], list[Path]], root: Root, table: str) -> list[Path]:
    try:
        return find(root, table)
    except NoData:
        return []


def read_history(stream: Stream, files: list[Path], now: datetime, reached: int) -> Iterator[list[Row]]:
    """Checked rows of files, in batches, oldest first: every version of every event that has a timestamp from `reached`
    (µs since 1970) on and none after `now`. `created` says when a version was known, µs since 1970. Raises BadInput."""
    raw = stream.raw
    names = [raw.time, *(c.name for c in raw.columns)]
    first = EPOCH + max(reached, 0) * MICROSECOND
    with sql.connect() as connection:
        open_rows(connection, raw, files, now + timedelta(microseconds=1), None)
        # `open_rows` names the column that dates an event `event_timestamp`.
        columns = {name: sql.identifier("event_timestamp" if name == raw.time else name) for name in names}
        selected = ", ".join(f"{column} AS {sql.identifier(name)}" for name, column in columns.items())
        timestamps = [columns[name] for name in events.timestamp_columns(raw, stream.tables)]
        newest = ", ".join(f"coalesce({column}, {sql.timestamp(EPOCH)})" for column in timestamps)
        key = sql.identifier(raw.id_column)
        # The events are chosen whole: of a version of which no window reaches a timestamp, another may be reached.
        reached_ids = f"SELECT {key} FROM raw_version WHERE greatest({newest}) >= {sql.timestamp(first)}"
        result = connection.execute(
            f"SELECT {selected}, epoch_us(known) AS known FROM raw_version WHERE {key} IN ({reached_ids}) "
            f"ORDER BY event_timestamp, {key}, known"
        )
        while rows := result.fetchmany(HISTORY_BATCH):
            yield [events.row_of(raw)(dict(zip([*names, CREATED], row, strict=True))) for row in rows]
