"""The offline log: each event once, by the day on which it happened, whatever was compacted or broken off."""

import os
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from threading import Event

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stream_world import BEGIN, DAY, HOUR, NOW, PEOPLE, RAW, STREAM, Sink, Told, event, job_of, kept, logged, take_in

import settings
from features.domains import Stream
from jobs.raw import offline_log, places
from jobs.raw.relations import open_rows
from jobs.stream import loop
from jobs.stream.job import StreamJob, prepare

DAYS = [f"year=2026/month=0{month}/day={day}" for month, day in [(2, 28), (3, "01")]]


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


def flushed(count, sink, **more):
    """A job that has logged so many batches of one event each, which whoever asks must close."""
    job = job_of([[event(n, 60 * n, **more)] for n in range(count)], sink)
    while job.step():
        job.flush()
    return job


def files():
    return sorted(settings.root().offline_log(RAW.name).rglob("*.parquet"))


def ids():
    return sorted(row["id"] for row in logged())


def test_an_event_is_logged_with_when_it_was_taken_in_in_the_folder_of_its_day():
    take_in([[event(0, 0), event(1, -12 * 3600)]])
    assert sorted(str(f.parent.relative_to(settings.root().offline_log(RAW.name))) for f in files()) == DAYS
    table = pa.concat_tables([pq.read_table(f, partitioning=None) for f in files()])
    assert set(table["created"].to_pylist()) == {NOW}
    assert table.schema.field("at").type == pa.timestamp("us", "UTC")


def test_many_files_become_few_and_keep_every_row_once():
    job = flushed(40, Sink())
    assert ids() == sorted(f"e{n}" for n in range(40))
    assert len(list(offline_log.files(settings.root().offline_log(RAW.name)))) <= offline_log.MOST_FILES
    job.close()


def test_a_large_file_is_not_written_again_for_the_sake_of_a_few_rows(tmp_path):
    def log(first, rows):
        at = pa.array([BEGIN] * rows, pa.timestamp("us", "UTC"))
        offline_log.write(
            tmp_path / "log", pa.table({"at": at, "n": range(first, first + rows)}), "at", first, first + rows - 1
        )

    log(0, 100_000)
    (large,) = (tmp_path / "log").rglob("*.parquet")
    written = large.stat().st_mtime_ns
    for n in range(100_000, 100_030):
        log(n, 1)
    left = list(offline_log.files(tmp_path / "log"))
    assert large in left
    assert (large.stat().st_mtime_ns, len(left) <= offline_log.MOST_FILES) == (written, True)
    assert sorted(n for f in left for n in pq.read_table(f, partitioning=None)["n"].to_pylist()) == list(range(100_030))


def test_files_that_are_in_another_stay_a_while_for_who_reads_them_and_go_even_if_it_is_in_another_too(monkeypatch):
    sink = Sink()
    job = flushed(30, sink)
    before = len(files())
    assert before > len(list(offline_log.files(settings.root().offline_log(RAW.name))))
    for file in files():
        os.utime(file, (time.time() - 61,) * 2)
    job.close()
    take_in([[event(n, 60 * n)] for n in range(31)], sink)
    assert len(files()) <= offline_log.MOST_FILES + 1
    assert ids() == sorted(f"e{n}" for n in range(31))


def test_a_column_that_is_declared_later_is_empty_in_older_rows(tmp_path):
    at = pa.array([BEGIN], pa.timestamp("us", "UTC"))
    for n in range(12):
        new = {"new": [1.5]} if n > 4 else {}
        offline_log.write(tmp_path / "log", pa.table({"at": at, "n": [n]} | new), "at", n, n)
    rows = [row for f in offline_log.files(tmp_path / "log") for row in pq.read_table(f, partitioning=None).to_pylist()]
    assert sorted((row["n"], row.get("new")) for row in rows) == [(n, 1.5 if n > 4 else None) for n in range(12)]


def history(*told):
    """The raw table as batches bring it."""
    rows = [{**one, "at": datetime.fromisoformat(one["at"]), "outcome": None} for one in told]
    types = {"at": pa.timestamp("us", "UTC"), "outcome": pa.timestamp("us", "UTC")}
    table = pa.table({c: pa.array([row[c] for row in rows], types.get(c)) for c in rows[0]})
    path = settings.root().raw_table(RAW.name).with_suffix(".parquet")
    path.parent.mkdir(exist_ok=True)
    pq.write_table(table, path)


def test_batches_read_history_and_log_as_one_and_an_event_in_both_once():
    take_in([[event(1, 60), event(2, 120)]])
    history(event(0, 0), event(1, 60))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        open_rows(connection, RAW, places.raw_files(settings.root(), RAW.name), NOW + DAY, None)
        assert connection.execute("SELECT id FROM raw_row ORDER BY id").fetchall() == [("e0",), ("e1",), ("e2",)]


def run(sink, *batches, stop=None, now=BEGIN + 3 * HOUR):
    told = []
    loop.run(settings.root(), STREAM, Told(*batches), sink, True, stop or Event(), told.append, clock=lambda: now)
    return told


def test_history_and_stream_make_the_state_that_the_stream_alone_would_have_made(tmp_path, monkeypatch):
    whole = [event(n, 300 * n) for n in range(30)]
    history(*whole[:20])
    sink = Sink()
    told = run(sink, whole[15:])
    assert "20 events of the history" in told[0]
    united = kept(sink)
    assert (len(logged()), united["counts"]["duplicates"]) == (10, 5)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "alone"))
    alone = kept(take_in([whole]))
    same = ("online", "states", "seen", "newest logged states")
    assert {name: united[name] for name in same} == {name: alone[name] for name in same}


def test_history_that_changed_is_taken_in_anew_and_nothing_of_it_twice(tmp_path, monkeypatch):
    whole, sink = [event(n, 300 * n) for n in range(30)], Sink()
    history(*whole[:10])
    run(sink, whole[20:])
    assert len(run(sink, whole[20:])) == 1  # nothing of the history: it is known
    history(*whole[:20])
    assert "10 events of the history" in run(sink, whole[20:])[0]
    united = kept(sink)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "alone"))
    assert united["states"] == kept(take_in([whole]))["states"]


def test_a_history_that_is_broken_off_is_gone_on_with(monkeypatch):
    monkeypatch.setattr("jobs.stream.loop.HISTORY_BATCH", 3)
    history(*(event(n, 300 * n) for n in range(10)))
    sink, stop = Sink(), Event()
    monkeypatch.setattr(Sink, "write_table", lambda *_: stop.set())
    assert "3 events of the history" in run(sink, stop=stop)[0]
    assert "7 events of the history" in run(sink)[0]
    assert len(run(sink)) == 1


def test_a_stream_that_never_ran_has_a_file_for_feast_even_if_the_first_attempt_was_broken_off():
    short = Stream("short", RAW, (PEOPLE,))
    folder = settings.root().states("people_state") / "year=1970/month=01/day=01"
    folder.mkdir(parents=True)
    prepare(settings.root(), short)
    assert pq.read_table(folder / "0-0.parquet", partitioning=None).num_rows == 0


def test_numbers_of_a_producer_are_kept_though_a_line_was_no_event():
    lines = [
        event(0, 0, producer="till", number=1),
        b'{"producer": "till", "number": 3}',
        event(1, 5, producer="x", number=2),
    ]
    job = StreamJob(
        settings.root(),
        STREAM,
        Told(lines, [event(2, 9, producer="till", number=2)]),
        Sink(),
        lambda: datetime.now(UTC),
    )
    while job.step():
        pass
    assert job.state.received() == {"till": [[1, 3]], "x": [[2, 2]]}
    job.close()


def test_a_definition_that_changed_has_its_states_made_anew_from_all_that_was_logged(tmp_path, monkeypatch):
    this_evening = [event(n, 70_000 + 600 * n) for n in range(20)]
    batches = [this_evening[:9], this_evening[9:]]
    with closing(job_of(batches, Sink())) as job:
        while job.step():
            pass
    wider = tuple(replace(a, window=a.window * 2) for a in PEOPLE.aggregations)
    changed = Stream("small", RAW, (replace(PEOPLE, aggregations=wider), *STREAM.tables[1:]))
    states = []
    for root in (tmp_path, tmp_path / "fresh"):  # begun anew on what was logged; and on nothing, all of it to come
        monkeypatch.setenv("RISK_DATA", str(root))
        with closing(StreamJob(settings.root(), changed, Told(*batches), Sink(), lambda: NOW)) as job:
            job.recover()
            loop.seed(settings.root(), job, NOW + HOUR / 60, Event())
            while job.step():
                pass
            states.append({row[:2] for row in job.state.states_since(PEOPLE.name, 0)})
    assert states[0] == states[1]
    assert len(states[0]) == 3
