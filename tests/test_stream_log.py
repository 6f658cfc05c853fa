"""The offline log has each event once, by the day on which it happened, whatever was compacted or interrupted. The
history and the log are one to a batch, and to a stream that begins again."""

import os
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from constants import override
from stream_world import (
    BEGIN,
    DAY,
    HOUR,
    NOW,
    PEOPLE,
    RAW,
    STREAM,
    Batches,
    Sink,
    StoppingSink,
    event,
    logged,
    recovered_job,
    result,
    take_in,
)  # fmt: skip

import settings
from features.domains import Stream
from jobs import sql
from jobs.raw import offline_log, places
from jobs.raw.relations import open_rows
from jobs.stream import loop
from jobs.stream.job import StreamJob, prepare

#: The folders of the day before `BEGIN`, and of its day.
DAYS = ["year=2026/month=02/day=28", "year=2026/month=03/day=01"]
TIMESTAMP = pa.timestamp("us", "UTC")


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


def flushed_job(count: int, sink: Sink) -> StreamJob:
    """A job that has processed and logged batches of one event each. The caller closes it."""
    job = recovered_job([[event(n, 60 * n)] for n in range(count)], sink)
    while job.step():
        job.flush()
    return job


def log_folder() -> Path:
    return settings.root().offline_log(RAW.name)


def files() -> list[Path]:
    """All files of the log, also those whose rows are in another."""
    return sorted(log_folder().rglob("*.parquet"))


def ids() -> list[str]:
    return sorted(row["id"] for row in logged())


def test_an_event_is_in_the_folder_of_its_day_with_its_commit_timestamp() -> None:
    take_in([[event(0, 0), event(1, -12 * 3600)]])
    assert sorted(str(f.parent.relative_to(log_folder())) for f in files()) == DAYS
    table = pa.concat_tables([pq.read_table(f, partitioning=None) for f in files()])
    assert set(table["created"].to_pylist()) == {NOW}
    assert table.schema.field("at").type == TIMESTAMP


def test_many_files_become_few_and_keep_every_row_once() -> None:
    job = flushed_job(40, Sink())
    assert ids() == sorted(f"e{n}" for n in range(40))
    assert len(list(offline_log.files(log_folder()))) <= offline_log.MOST_FILES
    job.close()


def test_a_large_file_is_not_written_again_for_a_few_rows(tmp_path: Path) -> None:
    def write(first: int, rows: int) -> None:
        table = pa.table({"at": pa.array([BEGIN] * rows, TIMESTAMP), "n": range(first, first + rows)})
        offline_log.write(tmp_path / "log", table, "at", first, first + rows - 1)

    write(0, 100_000)
    (large,) = (tmp_path / "log").rglob("*.parquet")
    written = large.stat().st_mtime_ns
    for n in range(100_000, 100_030):
        write(n, 1)
    current = list(offline_log.files(tmp_path / "log"))
    assert large in current
    assert (large.stat().st_mtime_ns, len(current) <= offline_log.MOST_FILES) == (written, True)
    numbers = [n for file in current for n in pq.read_table(file, partitioning=None)["n"].to_pylist()]
    assert sorted(numbers) == list(range(100_030))


def test_merged_files_stay_for_their_readers_and_are_removed_later() -> None:
    sink = Sink()
    job = flushed_job(30, sink)
    before = len(files())
    assert before > len(list(offline_log.files(log_folder())))
    for file in files():
        os.utime(file, (time.time() - offline_log.KEPT_SECONDS - 1,) * 2)
    job.close()
    take_in([[event(n, 60 * n)] for n in range(31)], sink)
    assert len(files()) <= offline_log.MOST_FILES + 1
    assert ids() == sorted(f"e{n}" for n in range(31))


def test_merged_files_may_overlap(tmp_path: Path) -> None:
    """A crash between two files leaves them so: one part is then within both."""
    table = offline_log.schema(RAW).empty_table()
    for name in ("1-3", "2-2", "2-4"):
        pq.write_table(table, tmp_path / f"{name}.parquet")
        os.utime(tmp_path / f"{name}.parquet", (0, 0))
    offline_log.compact(tmp_path / "x.parquet", RAW.time)
    assert sorted(file.stem for file in tmp_path.iterdir()) == ["1-3", "2-4"]


def test_a_column_that_is_declared_later_is_null_in_older_rows(tmp_path: Path) -> None:
    at = pa.array([BEGIN], TIMESTAMP)
    for n in range(12):
        later = {"new": [1.5]} if n > 4 else {}
        offline_log.write(tmp_path / "log", pa.table({"at": at, "n": [n]} | later), "at", n, n)
    tables = [pq.read_table(file, partitioning=None) for file in offline_log.files(tmp_path / "log")]
    rows = [row for table in tables for row in table.to_pylist()]
    assert sorted((row["n"], row.get("new")) for row in rows) == [(n, 1.5 if n > 4 else None) for n in range(12)]


def write_history(*events: dict[str, Any]) -> None:
    """Write events to the raw table's file, which is the history of the stream."""
    rows = [{**e, "at": datetime.fromisoformat(e["at"]), "outcome": None} for e in events]
    types = {"at": TIMESTAMP, "outcome": TIMESTAMP}
    table = pa.table({name: pa.array([row[name] for row in rows], types.get(name)) for name in rows[0]})
    path = settings.root().raw_table(RAW.name).with_suffix(".parquet")
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path)


def test_a_batch_reads_history_and_log_and_an_event_in_both_once() -> None:
    take_in([[event(1, 60), event(2, 120)]])
    write_history(event(0, 0), event(1, 60))
    with sql.connect() as connection:
        open_rows(connection, RAW, places.raw_files(settings.root(), RAW.name), NOW + DAY, None)
        assert connection.execute("SELECT id FROM raw_row ORDER BY id").fetchall() == [("e0",), ("e1",), ("e2",)]


def run(sink: Sink, *batches: Sequence[Any], stop: Event | None = None, now: datetime = BEGIN + 3 * HOUR) -> list[str]:
    """Run the job until the batches end. Returns the lines that it reported."""
    lines: list[str] = []
    source: Any = Batches(*batches)
    store: Any = sink
    loop.run(settings.root(), STREAM, source, store, b"", True, stop or Event(), lines.append, clock=lambda: now)
    return lines


def test_history_and_stream_end_in_the_states_of_the_stream_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [event(n, 300 * n) for n in range(30)]
    write_history(*events[:20])
    sink = Sink()
    assert "20 events of the history" in run(sink, events[15:])[0]
    both = result(sink)
    assert (len(logged()), both["counts"]["duplicates"]) == (10, 5)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "alone"))
    alone = result(take_in([events]))
    same = ("online", "states", "events", "newest logged states")
    assert {name: both[name] for name in same} == {name: alone[name] for name in same}


def test_of_a_history_that_grew_only_the_new_events_are_processed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, sink = [event(n, 300 * n) for n in range(30)], Sink()
    write_history(*events[:10])
    run(sink, events[20:])
    assert len(run(sink, events[20:])) == 1  # the status line alone: the history did not change
    write_history(*events[:20])
    assert "10 events of the history" in run(sink, events[20:])[0]
    both = result(sink)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "alone"))
    assert both["states"] == result(take_in([events]))["states"]


def test_a_history_that_was_interrupted_is_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    override(monkeypatch, loop, HISTORY_BATCH=3)
    write_history(*(event(n, 300 * n) for n in range(10)))
    stop = Event()
    sink = StoppingSink(stop)
    assert "3 events of the history" in run(sink, stop=stop)[0]
    assert "7 events of the history" in run(sink)[0]
    assert len(run(sink)) == 1


def test_a_stream_that_never_ran_has_a_file_after_an_interrupted_prepare() -> None:
    short = Stream("short", RAW, (PEOPLE,))
    folder = settings.root().states("people_state") / "year=1970/month=01/day=01"
    folder.mkdir(parents=True)
    prepare(settings.root(), short)
    assert pq.read_table(folder / "0-0.parquet", partitioning=None).num_rows == 0


def test_the_number_of_an_invalid_line_is_received_too() -> None:
    lines = [
        event(0, 0, producer="till", number=1),
        b'{"producer": "till", "number": 3}',
        event(1, 5, producer="x", number=2),
    ]
    source = Batches(lines, [event(2, 9, producer="till", number=2)])
    with closing(StreamJob(settings.root(), STREAM, source, Sink(), b"", lambda: datetime.now(UTC))) as job:
        while job.step():
            pass
        assert job.state.received() == {"till": [[1, 3]], "x": [[2, 2]]}


def test_states_of_a_changed_definition_come_from_everything_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evening = [event(n, 70_000 + 600 * n) for n in range(20)]
    batches = [evening[:9], evening[9:]]
    with closing(recovered_job(batches, Sink())) as job:
        while job.step():
            pass
    wider = tuple(replace(a, window=a.window * 2) for a in PEOPLE.aggregations if a.window)
    changed = Stream("small", RAW, (replace(PEOPLE, aggregations=wider), *STREAM.tables[1:]))
    states = []
    for root in (tmp_path, tmp_path / "fresh"):  # the first has everything in its log, the second reads the batches
        monkeypatch.setenv("RISK_DATA", str(root))
        with closing(StreamJob(settings.root(), changed, Batches(*batches), Sink(), b"", lambda: NOW)) as job:
            job.recover()
            loop.seed(settings.root(), job, NOW + HOUR / 60, Event())
            while job.step():
                pass
            states.append({row[:2] for row in job._states.since(PEOPLE.name, 0)})
    assert states[0] == states[1]
    assert len(states[0]) == 3
