"""The online store is removed, made again or replaced by an old copy; the clock goes back. No key with events reads as
a new one: a request gets an error until the stream job has written its states again."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import coupon_root
import pytest
from constants import override
from pydantic_core import to_json
from stream_world import Batches

import settings
from errors import FeaturesNotReady
from features.coupon import COUPON as RISK
from features.domains import stream_of
from jobs.stream import loop
from jobs.stream.job import StreamJob
from jobs.stream.online import states
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow
COUPON, KEYS = stream_of("coupon"), 5
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.fixture(scope="module", autouse=True)
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A root with the views of this one domain. Its registry has its paths, so all tests have this root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(tmp_path_factory.mktemp("applied")))
        override(patch, states, CHECK_SECONDS=0.0)
        coupon_root.apply()
        yield


@pytest.fixture
def store() -> FeastStore:
    remove_store()
    settings.root().stream_state("coupon").unlink(missing_ok=True)
    shutil.rmtree(settings.root().path / "events", ignore_errors=True)
    coupon_root.apply()
    return FeastStore(settings.FEATURE_REPO)


def online_file() -> Path:
    return settings.root().path / "online.db"


def remove_store() -> None:
    for file in settings.root().path.glob("online.db*"):
        file.unlink()


def attempts(device: int, count: int, at: datetime = NOW, name: str = "c") -> list[dict[str, str]]:
    return [
        {"msg_id": f"{name}{device}-{n}", "device_id": f"d{device}", "location_code": f"L{device}",
         "coupon_code": f"1234-5678-{device:04}-{n:04}", "response": "INVALID",
         "create_time": (at - n * SECOND).isoformat()}
        for n in range(count)
    ]  # fmt: skip


def first_batch() -> list[dict[str, str]]:
    """Device n has n + 1 attempts."""
    return [event for device in range(KEYS) for event in attempts(device, device + 1)]


@contextmanager
def stream_job(store: FeastStore, *batches: list[dict[str, str]], now: datetime = NOW) -> Iterator[StreamJob]:
    """A job that has processed its history, of which there is none."""
    many = [[to_json(event) for event in batch] for batch in batches]
    with closing(StreamJob(settings.root(), COUPON, Batches(*many), store, settings.hash_key(), lambda: now)) as job:
        job.recover()
        loop.seed(settings.root(), job, now, Event())
        yield job


def counts(store: FeastStore, now: datetime = NOW) -> list[Any]:
    """The attempts of each device, and of one that has none; the error's name where there is one."""
    read = list[Any]()
    for device in range(KEYS + 1):
        row = {"msg_id": "x", "device_id": f"d{device}", "location_code": "L9", "coupon_prefix": "9999-9999-9999-"}
        try:
            read.append(store.online(RISK, row, now + SECOND)["device_attempts_1h"])
        except FeaturesNotReady as error:
            read.append(error.name)
    return read


RIGHT = [1, 2, 3, 4, 5, 0]


def remove() -> None:
    remove_store()


def remove_and_apply() -> None:
    remove_store()
    coupon_root.apply()


def empty_the_tables() -> None:
    with closing(sqlite3.connect(online_file(), isolation_level=None)) as db:
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE name LIKE '%_state'").fetchall():
            db.execute(f'DELETE FROM "{table}"')


def drop_a_table() -> None:
    with closing(sqlite3.connect(online_file(), isolation_level=None)) as db:
        (table,) = db.execute("SELECT name FROM sqlite_master WHERE name LIKE '%device_attempts_state'").fetchone()
        db.execute(f'DROP TABLE "{table}"')


LOSSES = [remove, remove_and_apply, empty_the_tables, drop_a_table]


@pytest.mark.parametrize("is_new", [False, True], ids=["the running job", "the next job"])
@pytest.mark.parametrize("lose", LOSSES)
def test_states_that_were_lost_are_an_error_until_the_job_has_written_them(store: Any, lose: Any, is_new: bool) -> None:
    more = attempts(0, 1, NOW + SECOND / 2, "more")
    with stream_job(store, first_batch(), more) as job:
        job.step()
        assert counts(store) == RIGHT
        lose()
        assert set(counts(store)) == {"features_not_ready"}
        if not is_new:
            job.step()
    if is_new:
        with stream_job(store, first_batch(), more) as job:
            job.step()
    assert counts(store) == [2, *RIGHT[1:]]


def test_a_batch_written_before_the_job_notices_makes_no_other_key_new(store: Any, monkeypatch: Any) -> None:
    with stream_job(store, first_batch(), attempts(0, 1, NOW + SECOND / 2, "more")) as job:
        job.step()
        monkeypatch.setattr(job._online_states, "check", lambda: None)
        remove_and_apply()
        job.step()
        assert set(counts(store)) == {"features_not_ready"}
        monkeypatch.undo()
        job.step()
        assert counts(store) == [2, *RIGHT[1:]]


def test_an_old_copy_of_the_store_is_brought_up_to_date(store: Any, tmp_path: Path) -> None:
    with stream_job(store, first_batch(), attempts(3, 2, NOW + SECOND / 2, "more")) as job:
        job.step()
        with closing(sqlite3.connect(online_file())) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(online_file(), tmp_path / "copy")
        job.step()
        assert counts(store) == [1, 2, 3, 6, 5, 0]
        remove_store()
        shutil.copy(tmp_path / "copy", online_file())
        assert counts(store)[3] == 4
        job.step()
        assert counts(store) == [1, 2, 3, 6, 5, 0]


def test_a_rewrite_that_is_cut_short_is_an_error_until_it_is_done(store: Any, monkeypatch: Any) -> None:
    with stream_job(store, first_batch()) as job:
        job.step()
        remove_and_apply()
        override(monkeypatch, states, PAGE_STATES=2)
        write, calls = store.write_table, list[str]()

        def fail(view: str, table: Any) -> None:
            calls.append(view)
            if len(calls) == 3:
                raise FeaturesNotReady("The disk is full.")
            write(view, table)

        monkeypatch.setattr(store, "write_table", fail)
        with pytest.raises(FeaturesNotReady, match="The disk is full"):
            job.step()
        assert "features_not_ready" in counts(store)
        job.step()
        assert counts(store) == RIGHT


def test_states_without_their_history_are_an_error(store: Any) -> None:
    """A job is killed while it processes the history: other keys may have events that it has not seen."""
    with closing(
        StreamJob(settings.root(), COUPON, Batches(first_batch()), store, settings.hash_key(), lambda: NOW)
    ) as job:
        job.recover()
        job.step()
        assert counts(store)[-1] == "features_not_ready"
        loop.seed(settings.root(), job, NOW, Event())
        job.step()
        assert counts(store) == RIGHT


def test_a_run_that_ends_at_once_leaves_a_store_that_answers(store: Any, monkeypatch: Any) -> None:
    override(monkeypatch, states, CHECK_SECONDS=3600.0)
    source: Any = Batches(first_batch())
    loop.run(
        settings.root(), COUPON, source, store, settings.hash_key(), True, Event(), lambda line: None, clock=lambda: NOW
    )
    assert counts(store) == RIGHT


@pytest.mark.parametrize("ahead", [timedelta(minutes=3), timedelta(days=2)])
def test_a_state_that_is_dated_in_the_future_is_an_error_that_names_the_clock(store: Any, ahead: timedelta) -> None:
    lines = list[str]()
    with stream_job(store, first_batch()) as job:
        job.step()
    with stream_job(store, first_batch(), attempts(4, 1, NOW + ahead, "ahead"), now=NOW + ahead) as job:
        job.step()
    assert counts(store) == [1, 2, 3, 4, "features_not_ready", 0]
    row = {"msg_id": "x", "device_id": "d4", "location_code": "L9", "coupon_prefix": "9999-9999-9999-"}
    with pytest.raises(FeaturesNotReady, match=r"clock of this machine says 2026-03-01 12:00:00 UTC. Set the clock"):
        store.online(RISK, row, NOW)
    for as_of in (NOW, NOW - SECOND):
        with pytest.raises(FeaturesNotReady, match="Set the clock"):
            store.vectors("coupon", [row], as_of, NOW)
    (past,) = store.vectors("coupon", [row], NOW, NOW + ahead)
    assert past.features["device_attempts_1h"] == 0
    source = Batches(first_batch(), [])
    loop.run(
        settings.root(), COUPON, source, store, settings.hash_key(), True, Event(), lines.append, clock=lambda: NOW
    )
    assert "Set the clock" in lines[0]
    assert counts(store, NOW + ahead)[4] >= 1


def test_clocks_that_differ_by_seconds_are_no_error_and_lose_no_event(store: Any) -> None:
    """The state answers from two seconds before its newest event on."""
    with stream_job(store, attempts(0, 30, NOW + 40 * SECOND), now=NOW + 40 * SECOND) as job:
        job.step()
    assert counts(store) == [27, 0, 0, 0, 0, 0]
