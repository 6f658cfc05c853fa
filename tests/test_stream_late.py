"""A late event counts where it happened, for as long as a window reaches it. A duplicate changes nothing."""

from pathlib import Path

import pyarrow as pa
import pytest
from stream_world import (
    BEGIN,
    DAY,
    HOUR,
    NOW,
    PEOPLE,
    PLACES,
    RAW,
    SECOND,
    STREAM,
    Sink,
    count,
    event,
    expected,
    logged,
    online_values,
    recovered_job,
    result,
    take_in,
)  # fmt: skip
from test_stream_log import run, write_history

import settings
from errors import FeaturesNotReady
from features.domains import Stream
from features.windows.aggregation import Aggregation
from features.windows.raw import Column, RawTable
from features.windows.state import LiveTable
from features.windows.tables import AggregationTable
from jobs.raw import offline_log

#: A stream whose only window is an hour.
SHORT = Stream("short", RAW, (AggregationTable("short", RAW, "who", (Aggregation("n", "count", None, HOUR),)),))


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


def count_in_window(sink: Sink, second: int) -> int:
    """The feature of `SHORT` for the key w0, at a second after the beginning."""
    values = online_values(LiveTable(SHORT.tables[0]), sink, BEGIN + second * SECOND)
    return int(values["w0",]["n"])


def iso(second: int) -> str:
    """A timestamp as a producer sends it."""
    return str(event(0, second)["at"])


def test_a_late_event_counts_where_it_happened() -> None:
    sink = take_in([[event(0, 3000)], [event(3, 1000)]], stream=SHORT)
    assert [count_in_window(sink, second) for second in (3001, 4000, 4900, 8000)] == [2, 2, 1, 0]
    assert count("late", SHORT) == 0


def test_an_event_that_no_window_reaches_is_logged_and_changes_no_feature() -> None:
    sink = Sink()
    before = take_in([[event(0, 9000)]], sink, SHORT).rows()
    assert take_in([[event(0, 9000)], [event(3, 1000)]], sink, SHORT).rows() == before
    assert (count("late", SHORT), count("events", SHORT), len(logged(SHORT))) == (1, 2, 2)


@pytest.mark.parametrize("size", [1, 2, 10])
def test_a_day_in_order_is_not_late_in_whatever_batches_it_is_read(size: int) -> None:
    day = [event(3 * n, 5000 * n) for n in range(10)]
    take_in([day[i : i + size] for i in range(0, 10, size)], stream=SHORT)
    assert count("late", SHORT) == 0


def test_duplicates_are_counted_in_a_batch_across_batches_and_restarts() -> None:
    once = result(take_in([[event(0, 0), event(3, 60)]]))
    sink = Sink()
    batches = [[event(0, 0), event(0, 0), event(3, 60)], [event(0, 0)], [event(3, 60)]]
    stream = Stream("again", RAW, STREAM.tables)
    again = result(take_in(batches, sink, stream, restarts=True), stream)
    assert (again["counts"].pop("duplicates"), once["counts"].pop("duplicates")) == (3, 0)
    same = ("online", "states", "events", "counts")
    assert {name: again[name] for name in same} == {name: once[name] for name in same}


def test_an_event_whose_id_is_a_number_counts_once() -> None:
    raw = RawTable("counted", (Column("id", "int"), Column("who", "string")), time="at", id="id", is_live=True)
    stream = Stream("counted", raw, (AggregationTable("counted", raw, "who", SHORT.tables[0].aggregations),))
    sent = [{"id": 2**60 + n, "who": "w0", "at": iso(n)} for n in (0, 1)]
    sink = take_in([sent, sent], stream=stream)
    values = online_values(LiveTable(stream.tables[0]), sink, BEGIN + HOUR / 2)
    assert (values["w0",]["n"], count("duplicates", stream)) == (2, 2)


@pytest.mark.parametrize("name", ["event", "meta", "seen", "event_id"])
def test_a_live_table_may_be_called_as_a_part_of_the_state_file(name: str) -> None:
    stream = Stream(f"of_{name}", RAW, (AggregationTable(name, RAW, "who", SHORT.tables[0].aggregations),))
    sink = take_in([[event(0, 0)], [event(3, 60)]], stream=stream, restarts=True)
    assert online_values(LiveTable(stream.tables[0]), sink, BEGIN + 61 * SECOND)["w0",]["n"] == 2


def test_a_file_of_last_month_that_is_read_twice_is_processed_once() -> None:
    old = [event(3 * n, 60 * n) for n in range(5)]
    sink = take_in([old], stream=SHORT, now=NOW + 30 * DAY)
    take_in([old, old], sink, SHORT, now=NOW + 31 * DAY)
    assert (count_in_window(sink, 600), count("duplicates", SHORT), len(logged(SHORT))) == (5, 5, 5)


def test_ids_are_forgotten_once_no_window_reaches_their_events() -> None:
    take_in([[event(3 * n, 7200 * n) for n in range(60)]], stream=SHORT, now=NOW + 30 * DAY)
    job = recovered_job([], Sink(), SHORT)
    assert len(job.state.events([f"e{3 * n}" for n in range(60)])) == 60 - 47
    job.close()


@pytest.mark.parametrize("order", [[0, 1, 1], [1, 0, 1], [1, 1, 0]])
def test_an_outcome_counts_from_its_own_timestamp_in_any_order_of_arrival(order: list[int]) -> None:
    plain = event(0, 0)
    versions = [plain, plain | {"outcome": iso(600)}]
    sink = take_in([[event(2, 10)], *([versions[i]] for i in order)])
    live = LiveTable(PLACES)
    for second in (700, 5000, 11_500, 20_000):
        timestamp = BEGIN + second * SECOND
        assert online_values(live, sink, timestamp) == expected(PLACES, [event(2, 10), versions[1]], timestamp)
    assert count("duplicates") == {0: 1}.get(order[0], 2)


def test_an_event_and_its_later_outcome_are_two_rows_that_count_once() -> None:
    sink = take_in([[event(0, 0)], [event(0, 0, outcome=iso(600))]])
    assert [row["outcome"] is not None for row in logged()] == [False, True]
    assert online_values(LiveTable(PEOPLE), sink, BEGIN + 601 * SECOND)["w0",]["bad_1h"] == 1


def test_versions_of_the_history_that_were_known_at_once_complete_each_other() -> None:
    parts = [event(n, n) | missing for n in range(20) for missing in ({"x": None}, {})]
    write_history(*parts, *reversed(parts))
    sink, live, timestamp = Sink(), LiveTable(PEOPLE), BEGIN + HOUR
    run(sink)
    assert online_values(live, sink, timestamp) == expected(PEOPLE, parts, timestamp)


@pytest.mark.parametrize("second", [24 * 3600 + 10, 24 * 3600 - 1])
def test_a_clock_may_be_some_seconds_ahead(second: int) -> None:
    take_in([[event(0, second)]])
    assert (count("events"), count("dead_letters")) == (1, 0)


def test_text_loses_the_blanks_around_it_as_in_a_batch() -> None:
    take_in([[event(0, 0, who=" w0 "), event(3, 0)]], stream=SHORT)
    assert {row["who"] for row in logged(SHORT)} == {"w0"}


def test_a_clock_that_goes_back_loses_nothing() -> None:
    sink = take_in([[event(0, 0)]], stream=SHORT, now=NOW)
    take_in([[event(0, 0)], [event(3, 60)]], sink, SHORT, now=NOW - 6 * HOUR)
    assert count_in_window(sink, 61) == 2
    assert len(logged(SHORT)) == 2


class FailingSink(Sink):
    """An online store whose next writes fail."""

    failures = 0

    def write_table(self, view: str, table: pa.Table) -> None:
        if self.failures:
            self.failures -= 1
            raise FeaturesNotReady("The disk is full.")
        super().write_table(view, table)


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_a_failed_online_write_is_repeated_and_nothing_counts_twice(
    failures: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    batches = [[event(0, 0), b"invalid"], [event(1, 60)], [event(0, 0)]]
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "plain"))
    plain = result(take_in(batches))
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "failing"))
    sink = FailingSink()
    job, sink.failures, errors = recovered_job(batches, sink), failures, 0
    has_moved = True
    while has_moved:
        try:
            has_moved = job.step(final=True)
        except FeaturesNotReady:
            errors += 1
    job.close()
    assert (result(sink), errors) == (plain, failures)


def test_what_failed_to_go_online_before_the_end_goes_online_at_the_start() -> None:
    batches, sink = [[event(0, 0)], [event(1, 60)]], FailingSink()
    job, sink.failures = recovered_job(batches, sink), 1
    with pytest.raises(FeaturesNotReady):
        job.step()
    job.close()
    assert sink.rows() == set()
    assert len(take_in(batches, sink).rows()) == 6


def test_events_of_many_days_of_the_past_are_few_files() -> None:
    days = [event(n, -n * 86_400) for n in range(0, 16_000, 4)]
    take_in([days, [event(10**6 + n, -n * 86_400) for n in range(0, 16_000, 4)]])
    files = list(offline_log.files(settings.root().offline_log(RAW.name)))
    assert len(files) < 110
    assert len(logged()) == 2 * len(days)
    assert sum("month=01/day=01" not in str(file) for file in files) > 10  # the young ones have days and months
