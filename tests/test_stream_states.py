"""The states of new events wait in memory for the next flush. A job that was killed computes them again."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from constants import override
from stream_world import DAY, NOW, STREAM, Batch, Sink, event, new_job, recovered_job, result, take_in

import settings
from features.windows import events
from jobs.stream import job as stream_job
from jobs.stream.job import StreamJob
from jobs.stream.state import StateFile

#: Batches of new events, some of them late, duplicates, and lines that are no events.
NEW: list[Batch] = [
    [event(20 * n + i, 700 * n + 31 * i - (4000 if i == 7 else 0)) for i in range(20)] + [event(20 * n, 700 * n), b"no"]
    for n in range(5)
]
CORRECTED: Batch = [event(3, 93, x=99.0), event(31, 1_041, who="w7"), event(500, 3_600)]
OUTCOME: Batch = [event(62, 2_162, outcome="2026-03-01T08:50:00Z")]
NOTHING = events.row_of(STREAM.raw)({})
HISTORY = [NOTHING | event(n, 0, at=1_772_352_000_000_000 - n * 60_000_000) for n in range(600, 604)]


def rows(stamps: bool = False) -> dict[str, set[tuple[Any, ...]]]:
    """Table → the rows of states that are in the state file."""
    columns = "key, state, newest, stamp" if stamps else "key, state, newest"
    with closing(sqlite3.connect(settings.root().stream_state(STREAM.domain))) as db:
        return {t.name: set(db.execute(f'SELECT {columns} FROM "state of {t.name}"')) for t in STREAM.tables}


def kill(job: StreamJob) -> None:
    """What is in memory only is lost."""
    job.state.close()


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))


@pytest.mark.parametrize("middle", [[], [CORRECTED], [OUTCOME], [CORRECTED, NEW[4], OUTCOME]])
def test_a_killed_job_computes_its_states_again(
    middle: list[Batch], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [*NEW[:3], *middle, *NEW[3:]]
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "whole"))
    whole = result(take_in(batches))
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "killed"))
    sink = Sink()
    for n in range(len(batches) + 1):
        job = new_job(batches, sink)
        assert not any(job._states._waiting.values())
        job.recover()
        if n % 2:
            job.flush()
        job.step()
        kill(job)
    job = recovered_job(batches, sink)
    assert not job.step(final=True)
    job.close()
    assert result(sink) == whole


def test_new_events_wait_and_whatever_else_is_written_at_once() -> None:
    job = recovered_job([*NEW[:2], CORRECTED, NEW[2]], Sink())
    job.step()
    job.step()
    assert not any(rows().values())
    job.step()
    written = rows()
    assert {key for key, *_ in written["people"]} == {b'["w0"]', b'["w1"]', b'["w2"]', b'["w7"]'}
    job.step()
    assert rows() == written
    job.seed([HISTORY])
    assert rows() != written
    assert not any(job._states._waiting.values())
    kill(job)


def test_a_killed_job_gives_its_states_the_version_of_their_batch() -> None:
    job = recovered_job(NEW[:3], sink := Sink())
    while job.step():
        pass
    kill(job)
    assert not any(rows().values())
    job = new_job(NEW[:3], sink)
    stamps = {row[3] for table in rows(stamps=True).values() for row in table}
    first = int(NOW.timestamp() * 1e6)
    assert stamps <= {first, first + 1, first + 2}
    assert max(stamps) == first + 2
    kill(job)


def test_a_state_that_waits_is_read_after_the_cache_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = result(take_in(NEW))
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "small"))
    override(monkeypatch, stream_job, MOST_STATES=0)
    assert result(take_in(NEW)) == whole


def test_states_of_a_batch_that_was_rolled_back_are_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    job = recovered_job(NEW, Sink())
    job.step()
    with monkeypatch.context() as patch:
        patch.setattr(StateFile, "set_position", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            job.step()
    job.close()
    closed = rows()
    job = recovered_job([NEW[0]], Sink())
    assert rows() == closed
    kill(job)
    settings.root().stream_state(STREAM.domain).unlink()
    take_in(NEW[:1])
    assert rows() == closed


def test_an_event_is_not_forgotten_before_its_states_are_written() -> None:
    job = recovered_job([[event(1, -5 * 86_400.0)], NEW[0]], sink := Sink(), now=NOW + DAY)
    job.step()
    job.step()
    job.flush_part()  # begins a flush
    kill(job)
    job = recovered_job([[event(1, -5 * 86_400.0)], NEW[0]], sink, now=NOW + DAY)
    job.close()
    written = rows()
    settings.root().stream_state(STREAM.domain).unlink()
    take_in([[event(1, -5 * 86_400.0)], NEW[0]], now=NOW + DAY)
    assert rows() == written
