"""A later version of an event names only what it changes. Batches, training rows and live states then agree on the
event: column by column, the last value that was known."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import hypothesis.strategies as st
import oracle
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from stream_world import BEGIN, DAY, MINUTE, NOW, SECOND, Sink, count, logged, new_job, online_values

import settings
from features.domains import Stream
from features.utc import since_1970
from features.windows import Aggregation, AggregationTable, Column, RawTable
from features.windows.state import LiveTable
from jobs.batch.at_moments import records_at_moments
from jobs.batch.table import compute
from jobs.stream import loop
from jobs.stream.job import StreamJob

pytestmark = pytest.mark.slow

SALES = RawTable(
    "sales", time="at", id="id", is_live=True,
    columns=(
        Column("id", "string"), Column("who", "string"), Column("shop", "string", is_optional=True),
        Column("x", "float", is_optional=True, minimum=0), Column("outcome", "timestamp", is_optional=True),
    ),
)  # fmt: skip
WINDOW = 30 * DAY


def amounts(function: str, **more: Any) -> Aggregation:
    return Aggregation(f"x_{function}", function, "x", WINDOW, **more)


BUYERS = AggregationTable(
    "buyers", SALES, "who",
    (Aggregation("sales_30d", "count", None, WINDOW), Aggregation("sales_5m", "count", None, 5 * MINUTE),
     amounts("mean"), amounts("max"), amounts("sum"), amounts("last"), amounts("last_n_sum", n=2)),
)  # fmt: skip
SHOPS = AggregationTable(
    "shops", SALES, "shop",
    (Aggregation("sales_30d", "count", None, WINDOW), Aggregation("bad", "rate", "outcome", WINDOW), amounts("sum")),
)  # fmt: skip
BAD_SHOPS = AggregationTable(
    "bad_shops", SALES, "shop", (Aggregation("bad_30d", "count", None, WINDOW), amounts("mean")), time="outcome"
)
STREAM = Stream("sales", SALES, (BUYERS, SHOPS, BAD_SHOPS))

Version = dict[str, Any]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


def at(seconds: float) -> datetime:
    return BEGIN + seconds * SECOND


def sale(nth: int, seconds: float = 0, who: str = "w0", **columns: Any) -> Version:
    """A version as a producer sends it: without the columns that are not named."""
    sent = {"id": f"s{nth}", "who": who, "at": at(seconds).isoformat(), **columns}
    return sent | ({"outcome": at(columns["outcome"]).isoformat()} if "outcome" in columns else {})


class World:
    """A stream job with a clock that moves by a minute from batch to batch, and what the oracle knows."""

    def __init__(self, start: datetime = NOW) -> None:
        self.sink, self.now, self.versions = Sink(), start, list[oracle.Event]()

    def send(self, *batches: Sequence[Version]) -> None:
        """Process batches, by a new job each."""
        for batch in batches:
            self.now += MINUTE
            job = new_job([batch], self.sink, STREAM, self.now)
            self._finish(job)
            # Versions of one batch became known in their order, before the next batch.
            columns = dict.fromkeys(("shop", "x", "outcome"))
            for n, version in enumerate(batch):
                row = {**columns, **version, "created": self.now + n * timedelta(microseconds=1)}
                times = {name: row[name] and datetime.fromisoformat(row[name]) for name in ("at", "outcome")}
                self.versions.append({**row, **times})

    def _finish(self, job: StreamJob) -> None:
        job.recover()
        job._source.name = f"batches-{self.now}"  # type: ignore[attr-defined]
        job._position = {}
        while job.step(final=True):
            pass
        job.close()

    def expected(self, table: AggregationTable, timestamp: datetime, known: datetime) -> dict[str, Mapping[str, Any]]:
        """Key → the oracle's values."""
        events = self.events(table, known)
        return {key: oracle.values(table, events, key, timestamp) for key in keys_of(table)}

    def events(self, table: AggregationTable, known: datetime) -> list[oracle.Event]:
        return [{**event, "key": event[table.key]} for event in oracle.once(self.versions, known)]

    def live(self, table: AggregationTable, timestamp: datetime) -> dict[str, Mapping[str, Any]]:
        values = online_values(LiveTable(table), self.sink, timestamp)
        return {key: values.get((key,), table.empty) for key in keys_of(table)}

    def joined(self, table: AggregationTable, timestamp: datetime, known: datetime) -> dict[str, Mapping[str, Any]]:
        """Key → the point-in-time values, from what was known at a timestamp."""
        rows = [{table.key: key, "event_timestamp": timestamp} for key in keys_of(table)]
        frame = pd.DataFrame(rows).assign(**{f"{table.name}_seen": since_1970(known)})
        return dict(zip(keys_of(table), records_at_moments(settings.root(), table, frame), strict=True))

    def check(self) -> None:
        """Live states, point-in-time rows and the oracle agree now; so do the rows at ticks, at the next midnight."""
        self.check_live()
        midnight = self.now.replace(hour=0, minute=0) + DAY
        for table in STREAM.tables:
            assert self.joined(table, self.now, self.now) == self.live(table, self.now)
            compute(settings.root(), table, midnight, midnight)
            dated = [e for e in self.events(table, midnight) if e[table.event_time] and e["key"]]
            assert ticks(table) == oracle.rows(table, dated, None, midnight)

    def check_live(self) -> None:
        """Live states and the oracle agree now."""
        for table in STREAM.tables:
            assert self.live(table, self.now) == self.expected(table, self.now, self.now + SECOND)


def keys_of(table: AggregationTable) -> list[str]:
    return ["w0", "w1"] if table.key == "who" else ["p0", "p1"]


def ticks(table: AggregationTable) -> list[dict[str, Any]]:
    files = sorted(settings.root().feature_table(table.name).rglob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    plain = [{("key" if n == table.key else n): v for n, v in row.items() if n != "created"} for row in rows]
    return sorted(plain, key=lambda row: (row["event_timestamp"], row["key"]))


SALE = sale(0, shop="p0", x=100.0)
CASES: dict[str, list[list[Version]]] = {
    "an outcome that names the order alone": [[SALE, sale(1, 60, shop="p0", x=300.0)], [sale(0, outcome=600)]],
    "an outcome in the batch of its event": [[SALE, sale(0, outcome=600)]],
    "an outcome before its event": [[sale(0, outcome=600)], [SALE]],
    "an outcome that corrects the amount": [[SALE], [sale(0, x=40.0, outcome=600)]],
    "an outcome twice": [[SALE], [sale(0, outcome=600)], [sale(0, outcome=600)]],
    "three versions, each with one column": [[sale(0)], [sale(0, shop="p0")], [sale(0, x=5.0)], [sale(0, outcome=9)]],
    "a key that is filled in later": [[sale(0, x=5.0, outcome=600)], [sale(0, shop="p1")]],
    "a key that is corrected": [[SALE, sale(1, 60, shop="p0", x=7.0)], [sale(0, shop="p1")]],
    "another person": [[SALE, sale(1, 60, x=7.0)], [sale(0, who="w1")]],
    "a correction in the batch of its event": [[SALE, sale(0, x=40.0)]],
    "a correction that is taken back": [[SALE], [sale(0, x=40.0)], [sale(0, x=100.0)]],
    "an event time that is corrected": [[sale(0, 90, x=1.0), sale(1, 60, x=7.0)], [sale(0, 30, shop="p0")]],
    "an outcome that is corrected": [[SALE], [sale(0, outcome=600)], [sale(0, outcome=500)]],
    "the largest amount becomes smaller": [[SALE, sale(1, 60, x=50.0)], [sale(0, x=10.0)]],
    "two corrections in a batch, and one that is taken back": [
        [SALE],
        [sale(0, x=5.0), sale(0, shop="p1"), sale(0, x=6.0)],
        [sale(0, x=9.0), sale(0, x=6.0)],
    ],
    "another person, shop, amount and time": [
        [sale(0, 90, shop="p0", x=1.0), sale(1, 95, shop="p0", x=2.0)],
        [sale(0, 30, "w1", shop="p1", x=9.0)],
    ],
    "a correction, an outcome, and then the order": [[sale(0, x=4.0)], [sale(0, outcome=600)], [SALE]],
    "a late order with a correction": [[sale(1, 86_000, shop="p0", x=1.0)], [SALE], [sale(0, x=3.0)]],
    "a null that is sent": [[SALE], [{**sale(0, outcome=600), "shop": None, "x": None}]],
}


@pytest.mark.parametrize("batches", CASES.values(), ids=CASES)
def test_a_later_version_changes_only_the_columns_that_it_fills(batches: list[list[Version]]) -> None:
    world = World()
    for batch in batches:
        world.send(batch)
        world.check_live()
    world.check()


def test_an_outcome_without_shop_and_amount_leaves_them_as_they_were() -> None:
    world = World()
    world.send([SALE, sale(1, 60, shop="p0", x=300.0)], [sale(0, outcome=600)])
    buyer, shop = world.live(BUYERS, world.now)["w0"], world.live(SHOPS, world.now)["p0"]
    assert (buyer["x_mean"], buyer["x_max"], shop["sales_30d"], shop["bad"]) == (200.0, 300.0, 2, 0.5)
    assert (count("events", STREAM), len(logged(STREAM))) == (3, 3)


seconds = st.sampled_from([0.0, 60.0, 86_000.0]) | st.integers(0, 86_000).map(float)
versions = st.builds(
    lambda nth, second, who, columns: sale(nth, second, who, **columns),
    st.integers(0, 3), seconds, st.sampled_from(["w0", "w0", "w1"]),
    st.fixed_dictionaries(
        {},
        optional={
            "shop": st.sampled_from(["p0", "p1"]), "x": st.integers(0, 999).map(lambda n: n / 8), "outcome": seconds
        },
    ),
)  # fmt: skip


@given(batches=st.lists(st.lists(versions, min_size=1, max_size=5), min_size=1, max_size=5))
@example(batches=[[sale(0, 5, x=1.0)], [sale(0, 3, x=2.0)], [sale(0, 5, x=1.0)]])
@examples(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_versions_in_any_order_and_batches_agree_with_the_oracle(
    batches: list[list[Version]], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RISK_DATA", str(tmp_path_factory.mktemp("root")))
    world = World()
    world.send(*batches)
    world.check()
    known = NOW + MINUTE  # what was known after the first batch is what a row of that timestamp has
    for table in STREAM.tables:
        assert world.joined(table, known, known) == world.expected(table, known, known + SECOND)


OLDER_FILES = {
    "with ids alone": "DROP TABLE event; CREATE TABLE seen (id TEXT, moment TEXT, time INTEGER)",
    "with packed events": "DROP TABLE event; CREATE TABLE event (id TEXT PRIMARY KEY, newest INTEGER, packed BLOB); "
    "CREATE TABLE event_key (columns TEXT, key BLOB, id TEXT); DELETE FROM meta WHERE name = 'event columns'",
    "before the raw table had a column": "UPDATE meta SET value = '[]' WHERE name = 'event columns'",
}


@pytest.mark.parametrize("changes", OLDER_FILES.values(), ids=OLDER_FILES)
def test_a_state_file_of_another_form_is_built_again_from_the_log(changes: str) -> None:
    world = World()
    world.send([SALE, sale(1, 60, shop="p0", x=300.0)])
    with closing(sqlite3.connect(settings.root().stream_state(STREAM.domain))) as db:
        db.executescript(changes)
    job = new_job([], world.sink, STREAM, world.now)
    job.recover()
    assert loop.seed(settings.root(), job, world.now, Event()) == 2
    job.close()
    world.send([sale(0, outcome=600)])
    world.check()
