"""A small stream of its own, a sink of ten lines, and a source of batches that are given: for tests of the job."""

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import oracle
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import from_json, to_json

import settings
from features.domains import Stream
from features.utc import since_1970
from features.windows.aggregation import Aggregation
from features.windows.raw import Column, RawTable
from features.windows.state import LiveTable
from features.windows.tables import AggregationTable
from jobs.raw import offline_log
from jobs.stream.job import StreamJob
from jobs.stream.sources import Line, Position
from serving.store import Store, StoredRow

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
BEGIN = datetime(2026, 3, 1, 8, tzinfo=UTC)
NOW = BEGIN + DAY

RAW = RawTable(
    "swipes", time="at", id="id", is_live=True,
    columns=(
        Column("id", "string"), Column("who", "string"), Column("place", "string"),
        Column("kind", "string", pattern="good|bad"), Column("x", "float", is_optional=True, minimum=0),
        Column("outcome", "timestamp", is_optional=True),
    ),
)  # fmt: skip
PEOPLE = AggregationTable(
    "people", RAW, "who",
    (Aggregation("swipes_5m", "count", None, 5 * MINUTE), Aggregation("bad_1h", "count", None, HOUR, {"kind": "bad"}),
     Aggregation("spent_6h", "sum", "x", 6 * HOUR), Aggregation("places_1h", "count_distinct", "place", HOUR),
     Aggregation("last_3", "last_n_sum", "x", 6 * HOUR, n=3)),
)  # fmt: skip
PAIRS = AggregationTable(
    "pairs", RAW, "who", (Aggregation("here_10m", "count", None, 10 * MINUTE, hop=timedelta(0)),), also=("place",)
)
PLACES = AggregationTable(
    "places",
    RAW,
    "place",
    (
        Aggregation("went_bad_3h", "rate", "outcome", 3 * HOUR),
        Aggregation("bad_of_2", "last_n_rate", "outcome", 3 * HOUR, n=2),
    ),
)
STREAM = Stream("small", RAW, (PEOPLE, PAIRS, PLACES))


Event = dict[str, Any]
#: Events as a producer sends them, or lines as they are.
Batch = Sequence[Event | bytes]


def event(nth: int, second: float, **changes: Any) -> Event:
    """As a producer sends it: `second` seconds after the beginning."""
    values = {"id": f"e{nth}", "at": (BEGIN + second * SECOND).isoformat(), "who": f"w{nth % 3}"}
    return values | {"place": f"p{nth % 2}", "kind": "bad" if nth % 4 == 0 else "good", "x": nth / 7} | changes


class Sink:
    """Keeps what a store keeps: the row of each key that is newest by event time, then by `created`."""

    def __init__(self, path: str | Path = ":memory:") -> None:
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
        for name in ("online", "reserved"):
            self.db.execute(
                f"CREATE TABLE IF NOT EXISTS {name} "
                "(view, key, dated, created, state, PRIMARY KEY (view, key)) WITHOUT ROWID"
            )

    def write_table(self, view: str, table: pa.Table) -> None:
        for row in table.to_pylist():
            values = {view, f"{view.removesuffix('_state')}_seen", "event_timestamp", "created"}
            key = json.dumps([value for column, value in row.items() if column not in values])
            name = "reserved" if row[view].startswith(b"{") else "online"
            self.db.execute(
                f"INSERT INTO {name} VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET dated = excluded.dated, "
                "created = excluded.created, state = excluded.state "
                "WHERE (excluded.dated, excluded.created) >= (dated, created)",
                (view, key, row["event_timestamp"].isoformat(), row["created"].isoformat(), row[view]),
            )

    def write_tables(self, tables: Mapping[str, pa.Table]) -> None:
        for view, table in tables.items():
            self.write_table(view, table)

    def kept(self, view: str, names: Sequence[str], keys: Sequence[tuple[Any, ...]]) -> list[StoredRow | None]:
        """The rows under reserved keys; the commit timestamp of a batch is the date of its row."""
        query = "SELECT dated, state FROM reserved WHERE view = ? AND key = ?"
        rows = [self.db.execute(query, (view, json.dumps(list(key)))).fetchone() for key in keys]
        dates = [since_1970(datetime.fromisoformat(row[0])) if row else 0 for row in rows]
        return [(date, (row[1], date)) if row else None for date, row in zip(dates, rows, strict=True)]

    def rows(self) -> set[tuple[Any, ...]]:
        return set(self.db.execute("SELECT view, key, dated, state FROM online"))


class StoppingSink(Sink):
    """Stops the job at its first state. What marks the store comes before the states."""

    def __init__(self, stop: threading.Event) -> None:
        super().__init__()
        self.stop = stop

    def write_table(self, view: str, table: pa.Table) -> None:
        super().write_table(view, table)
        if self.rows():
            self.stop.set()


class Batches:
    """A source of batches."""

    name = "batches"

    def __init__(self, *batches: Batch) -> None:
        self.batches = batches

    def read(self, position: Position, most: int, final: bool) -> tuple[list[Line], Position]:
        n = position.get("n", 0)
        if n == len(self.batches):
            return [], position
        texts = [line if isinstance(line, bytes) else to_json(line) for line in self.batches[n]]
        return [Line(text, f"line {i} of batch {n}") for i, text in enumerate(texts)], {"n": n + 1}

    def behind(self, position: Position) -> int:
        return len(self.batches) - position.get("n", 0)


def new_job(batches: Iterable[Batch], sink: Sink, stream: Stream = STREAM, now: datetime = NOW) -> StreamJob:
    """A job before it has recovered. The caller closes it."""
    return StreamJob(settings.root(), stream, Batches(*batches), cast(Store, sink), settings.hash_key(), lambda: now)


def recovered_job(batches: Iterable[Batch], sink: Sink, stream: Stream = STREAM, now: datetime = NOW) -> StreamJob:
    """A job that has recovered. The caller closes it."""
    job = new_job(batches, sink, stream, now)
    job.recover()
    return job


def take_in(
    batches: Sequence[Batch],
    sink: Sink | None = None,
    stream: Stream = STREAM,
    now: datetime = NOW,
    restarts: bool = False,
) -> Sink:
    """Take in batch after batch; the sink. With `restarts`, by a new job each."""
    sink = sink or Sink()
    job = recovered_job(batches, sink, stream, now)
    while job.step(final=True):
        if restarts:
            job.close()
            job = recovered_job(batches, sink, stream, now)
    job.close()
    return sink


def result(sink: Sink, stream: Stream = STREAM) -> dict[str, Any]:
    """All that must be the same however a run went. It leaves out stamps, which may differ."""
    with closing(sqlite3.connect(settings.root().stream_state(stream.domain))) as db:
        numbers = dict(db.execute("SELECT producer, ranges FROM received"))
        (counts,) = db.execute("SELECT value FROM meta WHERE name = 'counts'").fetchone()
        states = {t.name: set(db.execute(f'SELECT key, state, newest FROM "state of {t.name}"')) for t in stream.tables}
        waiting = db.execute("SELECT count(*) FROM to_log").fetchone()
        events = {row[1:] for row in db.execute("SELECT * FROM event")}
    return {
        "online": sink.rows(), "states": states, "events": events, "counts": from_json(counts),
        "numbers": numbers, "waiting": waiting, "log": logged(stream), "dead": sorted(map(str, dead_letters(stream))),
        "newest logged states": newest_logged(stream),
    }  # fmt: skip


def logged(stream: Stream = STREAM) -> list[Event]:
    """The rows of the offline log as they lie there."""
    files = offline_log.files(settings.root().offline_log(stream.raw.name))
    tables = [pq.read_table(file, partitioning=None) for file in files]
    return sorted((row for table in tables for row in table.drop_columns(["created"]).to_pylist()), key=str)


def newest_logged(stream: Stream) -> dict[tuple[Any, ...], bytes]:
    """Of each key, the state that was logged last."""
    newest: dict[tuple[Any, ...], tuple[datetime, bytes]] = {}
    for table in stream.tables:
        view = f"{table.name}_state"
        for file in offline_log.files(settings.root().states(view)):
            for row in pq.read_table(file, partitioning=None).to_pylist():
                key = (view, *(row[name] for name in table.keys))
                newest[key] = max(newest.get(key, (NOW - 9999 * DAY, b"")), (row["created"], row[view]))
    return {key: state for key, (_, state) in newest.items()}


def dead_letters(stream: Stream = STREAM) -> list[dict[str, Any]]:
    files = sorted(settings.root().dead_letters(stream.raw.name).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def count(name: str, stream: Stream = STREAM) -> int:
    with closing(sqlite3.connect(settings.root().stream_state(stream.domain))) as db:
        (counts,) = db.execute("SELECT value FROM meta WHERE name = 'counts'").fetchone()
    return int(from_json(counts)[name])


def expected(table: AggregationTable, events: Iterable[Event], timestamp: datetime) -> dict[Any, Mapping[str, Any]]:
    """Key → the oracle's values at a timestamp, of events as they were sent."""
    rows: dict[str, Event] = {}
    for sent in events:
        row = {"x": None, "outcome": None, **sent, "key": tuple(sent[name] for name in table.keys)}
        row = {c: datetime.fromisoformat(v) if c in ("at", "outcome") and v else v for c, v in row.items()}
        rows[sent["id"]] = {
            **rows.get(sent["id"], {}),
            **{c: v for c, v in row.items() if v is not None or sent["id"] not in rows},
        }
    return {key: oracle.values(table, rows.values(), key, timestamp) for key in {row["key"] for row in rows.values()}}


def online_values(live: LiveTable, sink: Sink, timestamp: datetime) -> dict[Any, Mapping[str, Any]]:
    """Key → the values that the online rows of a table have at a timestamp."""
    rows = sink.db.execute("SELECT key, state FROM online WHERE view = ?", (f"{live.table.name}_state",))
    return {tuple(json.loads(key)): live.values(live.from_json(state), timestamp) for key, state in rows}
