"""A late event lands where it belongs as long as a window reaches it; a double one changes nothing; what is no event
goes to the dead letters with its reason, and the stream goes on."""

import pytest
from pydantic_core import to_json
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
    answered,
    count,
    dead_letters,
    event,
    expected,
    job_of,
    kept,
    logged,
    take_in,
)  # fmt: skip

from errors import FeaturesNotReady
from features.domains import Stream
from features.windows.aggregation import Aggregation, AggregationTable
from features.windows.state import LiveTable

SHORT = Stream("short", RAW, (AggregationTable("short", RAW, "who", (Aggregation("n", "count", None, HOUR),)),))


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


def n_of(sink, second, who="w0"):
    return answered(LiveTable(SHORT.tables[0]), sink, BEGIN + second * SECOND)[(who,)]["n"]


def at(second):
    return event(0, second)["at"]


def test_a_late_event_counts_where_it_happened():
    sink = take_in([[event(0, 3000)], [event(3, 1000)]], stream=SHORT)
    assert [n_of(sink, second) for second in (3001, 4000, 4900, 8000)] == [2, 2, 1, 0]
    assert count("late", SHORT) == 0


def test_an_event_that_no_window_reaches_is_counted_and_logged_and_changes_nothing_else():
    sink = Sink()
    before = take_in([[event(0, 9000)]], sink, SHORT).rows()
    assert take_in([[event(0, 9000)], [event(3, 1000)]], sink, SHORT).rows() == before
    assert (count("late", SHORT), count("events", SHORT), len(logged(SHORT))) == (1, 2, 2)


@pytest.mark.parametrize("size", [1, 2, 10])
def test_a_day_that_came_in_order_is_not_late_however_it_was_read(size):
    day = [event(3 * n, 5000 * n) for n in range(10)]
    take_in([day[i : i + size] for i in range(0, 10, size)], stream=SHORT)
    assert count("late", SHORT) == 0


def test_a_double_event_is_counted_in_a_batch_across_batches_and_across_restarts():
    once = kept(take_in([[event(0, 0), event(3, 60)]]))
    sink = Sink()
    thrice = [[event(0, 0), event(0, 0), event(3, 60)], [event(0, 0)], [event(3, 60)]]
    stream = Stream("again", RAW, STREAM.tables)
    again = kept(take_in(thrice, sink, stream, restarts=True), stream)
    assert (again["counts"].pop("duplicates"), once["counts"].pop("duplicates")) == (3, 0)
    same = ("online", "states", "seen", "counts")
    assert {name: again[name] for name in same} == {name: once[name] for name in same}


def test_a_file_of_last_month_told_twice_is_taken_in_once():
    old = [event(3 * n, 60 * n) for n in range(5)]
    sink = take_in([old], stream=SHORT, now=NOW + 30 * DAY)
    take_in([old, old], sink, SHORT, now=NOW + 31 * DAY)
    assert (n_of(sink, 600), count("duplicates", SHORT), len(logged(SHORT))) == (5, 5, 5)


def test_what_was_seen_is_forgotten_once_no_window_reaches_it():
    take_in([[event(3 * n, 7200 * n) for n in range(60)]], stream=SHORT, now=NOW + 30 * DAY)
    job = job_of([], Sink(), SHORT)
    assert len(job.state.processed([f"e{3 * n}" for n in range(60)])) == 60 - 47
    job.close()


@pytest.mark.parametrize("order", [[0, 1, 1], [1, 0, 1], [1, 1, 0]])
def test_what_became_of_an_event_counts_from_its_own_moment_in_whatever_order_it_was_told(order):
    plain = event(0, 0)
    told = [plain, plain | {"outcome": at(600)}]
    sink = take_in([[event(2, 10)], *([told[i]] for i in order)])
    live = LiveTable(PLACES)
    for second in (700, 5000, 11_500, 20_000):
        moment = BEGIN + second * SECOND
        assert answered(live, sink, moment) == expected(PLACES, [event(2, 10), told[1]], moment)
    assert count("duplicates") == {0: 1}.get(order[0], 2)


def test_an_event_without_outcome_and_later_with_it_are_two_rows_of_the_log_that_count_once():
    sink = take_in([[event(0, 0)], [event(0, 0, outcome=at(600))]])
    assert [row["outcome"] is not None for row in logged()] == [False, True]
    assert answered(LiveTable(PEOPLE), sink, BEGIN + 601 * SECOND)[("w0",)]["bad_1h"] == 1


BAD = {
    "dated after it came": event(0, 24 * 3600 + 11),
    "an outcome to come": event(0, 0, outcome="2026-03-05T00:00:00Z"),
    "no zone": event(0, 0, at="2026-03-01T00:00:00"),
    "before 1970": event(0, 0, at="1969-12-31T23:59:59Z"),
    "the end of the calendar": event(0, 0, at="0001-01-01T00:00:00+23:00"),
    "no id": {k: v for k, v in event(0, 0).items() if k != "id"},
    "an empty key": event(0, 0, who=""),
    "a blank key": event(0, 0, who=" \t"),
    "a NUL, at which SQLite would cut it": event(0, 0, id="a\0b"),
    "half a character": b'{"id": "\\ud800"}',
    "too long a key": event(0, 0, who="w" * 10_001),
    "another word": event(0, 0, kind="ugly"),
    "a number as text": event(0, 0, x="1"),
    "too large": event(0, 0, x=9.1e9),
    "under the least": event(0, 0, x=-0.1),
    "not a number": b'{"x": NaN}',
    "nothing": b"null",
    "a list": b"[]",
    "half a line": to_json(event(0, 0))[:40],
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"id": "\xff\xfe"}',
    "a number of 5,000 digits": b'{"producer": "till", "number": ' + b"9" * 5000 + b"}",
    "a number beyond all": b'{"producer": "till", "number": 1000000000000}',
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_line_that_is_no_event_goes_to_the_dead_letters_and_the_stream_goes_on(bad):
    take_in([[bad, event(1, 5)], [bad], [event(2, 6)]], restarts=True)
    dead = dead_letters()
    text = (bad if isinstance(bad, bytes) else to_json(bad)).decode(errors="replace")
    assert [(one["at"], one["line"] == text) for one in dead] == [
        ("line 0 of batch 0", True),
        ("line 0 of batch 1", True),
    ]
    assert 5 < len(dead[0]["reason"]) < 200
    assert (count("dead_letters"), count("events"), len(logged())) == (2, 2, 2)


@pytest.mark.parametrize("second", [24 * 3600 + 10, 24 * 3600 - 1])
def test_a_clock_that_is_some_seconds_ahead_is_borne(second):
    take_in([[event(0, second)]])
    assert (count("events"), count("dead_letters")) == (1, 0)


def test_text_keeps_no_blanks_around_it_as_the_batches_read_it():
    take_in([[event(0, 0, who=" w0 "), event(3, 0)]], stream=SHORT)
    assert {row["who"] for row in logged(SHORT)} == {"w0"}


def test_a_clock_that_goes_back_loses_nothing():
    sink = take_in([[event(0, 0)]], stream=SHORT, now=NOW)
    take_in([[event(0, 0)], [event(3, 60)]], sink, SHORT, now=NOW - 6 * HOUR)
    assert n_of(sink, 61) == 2
    assert len(logged(SHORT)) == 2


class Refusing(Sink):
    """An online store that refuses to write so many times."""

    refusals = 0

    def write_table(self, view, table):
        if self.refusals:
            self.refusals -= 1
            raise FeaturesNotReady("The disk is full.")
        super().write_table(view, table)


@pytest.mark.parametrize("refusals", [1, 2, 5])
def test_what_an_online_store_refuses_is_written_once_it_can_be_and_nothing_is_counted_twice(
    refusals, monkeypatch, tmp_path
):
    batches = [[event(0, 0), b"bad"], [event(1, 60)], [event(0, 0)]]
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "plain"))
    plain = kept(take_in(batches))
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "refused"))
    sink = Refusing()
    job, sink.refusals, refused = job_of(batches, sink), refusals, 0
    moved = True
    while moved:
        try:
            moved = job.step(final=True)
        except FeaturesNotReady:
            refused += 1
    job.close()
    assert (kept(sink), refused) == (plain, refusals)


def test_what_was_refused_when_the_job_ended_is_written_when_it_begins_again():
    batches, sink = [[event(0, 0)], [event(1, 60)]], Refusing()
    job, sink.refusals = job_of(batches, sink), 1
    with pytest.raises(FeaturesNotReady):
        job.step()
    job.close()
    assert sink.rows() == set()
    assert len(take_in(batches, sink).rows()) == 6
