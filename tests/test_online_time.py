"""In the online store time never goes back: from any writer, in any order, and after any crash."""

import os
import random
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count, permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore
from feast.data_source import PushMode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kill import die_at_size
from processes import exit_code, forked
from small import (
    BOTH,
    DRIVER,
    NOON,
    OURS,
    SECOND,
    STOCK_FAILS,
    batch,
    feature_store,
    frame,
    push_view,
    trips,
    write_batch,
)

pytestmark = pytest.mark.slow


@pytest.fixture(params=OURS)
def store(tmp_path: Path, request: pytest.FixtureRequest) -> FeatureStore:
    return small(tmp_path, request.param)


def small(root: Path, kind: str) -> FeatureStore:
    """A repository with this online store, and the view of trips behind a push source."""
    store = feature_store(root, kind)
    store.apply([DRIVER, push_view(root)])
    return store


def write(store: FeatureStore, rows: pd.DataFrame, root: Path) -> None:
    store.write_to_online_store("stats", rows)


def push(store: FeatureStore, rows: pd.DataFrame, root: Path) -> None:
    store.push("stats_push", rows, to=PushMode.ONLINE)


def materialize(store: FeatureStore, rows: pd.DataFrame, root: Path) -> None:
    rows.to_parquet(root / "rows.parquet")
    store.materialize(NOON - 60 * SECOND, NOON + 60 * SECOND)


WRITERS = [write, push, materialize]


@pytest.mark.parametrize("store", STOCK_FAILS, indirect=True)
@pytest.mark.parametrize("late", WRITERS)
@pytest.mark.parametrize("early", WRITERS)
def test_an_older_event_never_replaces_a_newer_one(store, tmp_path, early, late):
    early(store, frame((1, NOON, NOON, 20)), tmp_path)
    late(store, frame((1, NOON - SECOND, NOON + SECOND, 10), (2, NOON - SECOND, NOON, 5)), tmp_path)
    assert trips(store, 1, 2) == [20, 5]


@pytest.mark.parametrize("store", STOCK_FAILS, indirect=True)
@pytest.mark.parametrize("writer", [write, push])
def test_the_version_created_last_of_one_event_wins(store, tmp_path, writer):
    writer(store, frame((1, NOON, NOON + SECOND, 20)), tmp_path)
    writer(store, frame((1, NOON, NOON, 10)), tmp_path)
    assert trips(store, 1) == [20]


@pytest.mark.parametrize("store", STOCK_FAILS, indirect=True)
def test_the_newest_row_of_a_batch_wins_wherever_it_is(store):
    rows = [(1, NOON, None, 10), (1, NOON + SECOND, None, 20), (1, NOON - SECOND, None, 30)]
    write_batch(store, *rows)
    assert trips(store, 1) == [20]


@pytest.mark.parametrize("store", STOCK_FAILS, indirect=True)
def test_any_permutation_of_writes_leaves_the_same_row(store):
    writes = [(NOON, None, 9), (NOON, NOON, 1), (NOON, NOON, 2), (NOON, NOON, None)]
    orders = list(permutations(writes))
    for driver, order in enumerate(orders):
        for row in order:
            write_batch(store, (driver, *row))
    assert trips(store, *range(len(orders))) == [trips(store, 0)[0]] * len(orders)


next_driver = count(1000)
seconds = st.integers(0, 2)
row_lists = st.lists(st.tuples(seconds, st.none() | seconds, st.none() | st.integers(-1, 1)), min_size=1, max_size=6)


@given(row_lists, st.randoms(use_true_random=False), st.integers(1, 6))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_and_batches_of_arrival_do_not_matter(store, rows, shuffle, size):
    """The oracle is the greatest of all rows. A missing `created` is the oldest, and null is the greatest value."""
    newest = max(rows, key=lambda w: (w[0], -1 if w[1] is None else w[1], 9 if w[2] is None else w[2]))
    shuffle.shuffle(rows)
    driver = next(next_driver)
    writes = [(driver, NOON + e * SECOND, None if c is None else NOON + c * SECOND, v) for e, c, v in rows]
    for start in range(0, len(writes), size):
        write_batch(store, *writes[start : start + size])
    assert trips(store, driver) == [newest[2]]


def run_all(*functions: Callable[[], None]) -> None:
    """Run each function in a child process, forked from this one with its open store."""
    with ExitStack() as stack:
        children = [stack.enter_context(forked(function)) for function in functions]
        assert [exit_code(child) for child in children] == [0] * len(children)


@pytest.mark.parametrize("store", STOCK_FAILS, indirect=True)
def test_processes_that_write_at_once_leave_the_newest_rows(store):
    def writer(seed: int) -> None:
        rows = [(driver, NOON + second * SECOND, None, second) for driver in range(3) for second in range(12)]
        random.Random(seed).shuffle(rows)
        for row in rows:
            write_batch(store, row)

    write_batch(store, (0, NOON, None, 0))  # a connection that is open when the process forks
    run_all(*(lambda seed=seed: writer(seed) for seed in range(3)))
    assert trips(store, *range(3)) == [11] * 3


@pytest.mark.parametrize("store", STOCK_FAILS, indirect=True)
def test_a_reader_sees_no_value_that_is_rolled_back(store):
    """Threads of Feast's store share a connection, so they read what is not committed."""
    write_batch(store, (1, NOON, NOON, 10))
    values = []

    def fail(_: int) -> None:
        values.append(trips(store, 1))
        raise RuntimeError("the writer fails")

    stats = store.get_feature_view("stats")
    with pytest.raises(RuntimeError, match="the writer fails"):
        store._get_provider().online_write_batch(
            store.config, stats, batch((1, NOON + SECOND, NOON, 20)), progress=fail
        )
    assert [trips(store, 1)] == values


def table(first: int, rows: int, trips: int) -> pa.Table:
    """Rows of `rows` drivers from `first` on, dated `trips` seconds after noon."""
    return pa.table(
        {
            "driver_id": np.arange(first, first + rows),
            "trips": np.full(rows, trips),
            "event_timestamp": pa.array([NOON + trips * SECOND] * rows),
        }
    )


def write_table(store: FeatureStore, rows: pa.Table) -> None:
    view = store.get_feature_view("stats", allow_registry_cache=True)
    store._get_provider().online_store.write_table(store.config, view, rows)


def test_pushes_and_reads_go_on_while_a_large_batch_is_written(store):
    """No read or push fails with "database is locked", and every row is one that was written."""
    write_table(store, table(0, 100, 1))
    failures: list[BaseException] = []
    is_done = threading.Event()

    def guarded(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    def read() -> None:
        while not is_done.is_set():
            assert set(trips(store, *range(100))) <= {1, 2, 3}

    def pusher(driver: int) -> None:
        for second in range(10):
            write(store, frame((driver, NOON + second * SECOND, NOON, second)), Path())

    threads = [threading.Thread(target=guarded, args=(function,)) for function in (read, read, lambda: pusher(-3))]
    # The forks come before the threads: a fork copies a lock that another thread holds, and nobody releases the copy.
    with forked(pusher, -1) as one_child, forked(pusher, -2) as other_child:
        for thread in threads:
            thread.start()
        guarded(lambda: [write_table(store, table(0, 20_000, trips)) for trips in (2, 3)])
        codes = [exit_code(child) for child in (one_child, other_child)]
    is_done.set()
    for thread in threads:
        thread.join()
    assert codes == [0, 0]
    assert failures == []
    assert trips(store, 0, 19_999, -1, -2, -3) == [3, 3, 9, 9, 9]


@pytest.mark.parametrize("store", ["wide"], indirect=True)
def test_a_kill_in_a_batch_leaves_the_old_values_and_a_rerun_the_new(store, tmp_path):
    write_table(store, table(0, 100, 1))
    log = tmp_path / "online.db-wal"
    before = log.stat().st_size if log.exists() else 0

    def write_until_killed() -> None:
        die_at_size(before + 2**20)  # rows are on disk then, and the batch is not complete
        write_table(store, table(-500_000, 500_100, 2))

    with forked(write_until_killed) as child:
        assert exit_code(child) == -signal.SIGXFSZ, "the batch was complete before the kill"
    other = feature_store(tmp_path, "wide")
    assert trips(other, 0, 99, -500_000) == [1, 1, None]
    write_table(other, table(0, 100, 2))
    assert trips(other, 0, 99) == [2, 2]


@pytest.mark.parametrize("kind", BOTH)
def test_an_acknowledged_write_outlives_a_kill(kind, tmp_path):
    store = small(tmp_path, kind)

    def write_and_die() -> None:
        write_batch(store, (7, NOON, None, 70))
        os.kill(os.getpid(), signal.SIGKILL)

    with forked(write_and_die) as child:
        assert exit_code(child) == -signal.SIGKILL
    assert trips(feature_store(tmp_path, kind), 7) == [70]


@pytest.mark.parametrize("store", ["wide"], indirect=True)
def test_a_file_removed_under_a_running_process_is_made_again(store, tmp_path):
    """An acknowledged write lies in the file that other processes open."""
    write_batch(store, (7, NOON, NOON, 70))
    for file in tmp_path.glob("online.db*"):
        file.unlink()
    write_batch(store, (8, NOON, NOON, 80))
    assert trips(feature_store(tmp_path, "wide"), 7, 8) == [None, 80]
