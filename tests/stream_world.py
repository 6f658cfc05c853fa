"""A small stream of its own, a sink of ten lines and a source that is told what to give: for tests of the job."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta

import oracle
import pyarrow.parquet as pq
from pydantic_core import from_json, to_json

import settings
from features.domains import Stream
from features.windows.aggregation import Aggregation, AggregationTable
from features.windows.raw import Column, RawTable
from jobs.raw import offline_log
from jobs.stream.job import StreamJob
from jobs.stream.sources import Line

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
PLACES = AggregationTable("places", RAW, "place", (Aggregation("went_bad_3h", "rate", "outcome", 3 * HOUR),))
STREAM = Stream("small", RAW, (PEOPLE, PAIRS, PLACES))


def event(nth, second, **more):
    """As a producer sends it: so many seconds after the beginning."""
    told = {"id": f"e{nth}", "at": (BEGIN + second * SECOND).isoformat(), "who": f"w{nth % 3}"}
    return told | {"place": f"p{nth % 2}", "kind": "bad" if nth % 4 == 0 else "good", "x": nth / 7} | more


class Sink:
    """Keeps what a store keeps: of each key the row that is newest by event time, then by `created`."""

    def __init__(self, path=":memory:"):
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS online "
            "(view, key, dated, created, state, PRIMARY KEY (view, key)) WITHOUT ROWID"
        )

    def write_table(self, view, table):
        for row in table.to_pylist():
            key = json.dumps([v for c, v in row.items() if c in RAW_KEYS])
            given = (view, key, row["event_timestamp"].isoformat(), row["created"].isoformat(), row[view])
            self.db.execute(
                "INSERT INTO online VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET dated = excluded.dated, "
                "created = excluded.created, state = excluded.state "
                "WHERE (excluded.dated, excluded.created) >= (dated, created)",
                given,
            )

    def rows(self):
        return set(self.db.execute("SELECT view, key, dated, state FROM online"))


RAW_KEYS = {key for table in STREAM.tables for key in table.keys}


class Told:
    """A source of batches, each of events or of bytes."""

    name = "told"

    def __init__(self, *batches):
        self.batches = batches

    def read(self, position, most, final):
        n = position.get("n", 0)
        if n == len(self.batches):
            return [], position
        lines = [one if isinstance(one, bytes) else to_json(one) for one in self.batches[n]]
        return [Line(text, f"line {i} of batch {n}") for i, text in enumerate(lines)], {"n": n + 1}

    def behind(self, position):
        return len(self.batches) - position.get("n", 0)


def job_of(batches, sink, stream=STREAM, now=NOW):
    """A job that has recovered, which whoever asks must close."""
    job = StreamJob(settings.root(), stream, Told(*batches), sink, lambda: now)
    job.recover()
    return job


def take_in(batches, sink=None, stream=STREAM, now=NOW, history=(), restarts=False):
    """Take in batch after batch; the sink. With `restarts`, by a new job each."""
    sink = sink or Sink()
    job = job_of(batches, sink, stream, now)
    if history:
        job.seed([history])
    while job.step(final=True):
        if restarts:
            job.close()
            job = job_of(batches, sink, stream, now)
    job.close()
    return sink


def kept(sink, stream=STREAM):
    """All that is to be the same however a run went: stamps, which may differ, are left out."""
    db = sqlite3.connect(settings.root().stream_state(stream.domain))
    numbers = dict(db.execute("SELECT producer, ranges FROM received"))
    (counts,) = db.execute("SELECT value FROM meta WHERE name = 'counts'").fetchone()
    states = {t.name: set(db.execute(f"SELECT key, state, newest FROM {t.name}")) for t in stream.tables}
    waiting = db.execute("SELECT count(*) FROM to_log").fetchone()
    seen = set(db.execute("SELECT * FROM seen"))
    db.close()
    return {
        "online": sink.rows(), "states": states, "seen": seen, "counts": from_json(counts), "numbers": numbers,
        "waiting": waiting, "log": logged(stream), "dead": sorted(map(str, dead_letters(stream))),
        "newest logged states": newest_logged(stream),
    }  # fmt: skip


def logged(stream=STREAM):
    """The rows of the offline log as they lie there."""
    tables = [
        pq.read_table(f, partitioning=None) for f in offline_log.files(settings.root().offline_log(stream.raw.name))
    ]
    return sorted((row for table in tables for row in table.drop_columns(["created"]).to_pylist()), key=str)


def newest_logged(stream):
    """Of each key, the state that was logged last."""
    found = {}
    for table in stream.tables:
        view = f"{table.name}_state"
        for file in offline_log.files(settings.root().states(view)):
            for row in pq.read_table(file, partitioning=None).to_pylist():
                key = (view, *(row[name] for name in table.keys))
                found[key] = max(found.get(key, (NOW - 9999 * DAY, b"")), (row["created"], row[view]))
    return {key: state for key, (_, state) in found.items()}


def dead_letters(stream=STREAM):
    files = sorted(settings.root().dead_letters(stream.raw.name).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def count(name, stream=STREAM):
    db = sqlite3.connect(settings.root().stream_state(stream.domain))
    (counts,) = db.execute("SELECT value FROM meta WHERE name = 'counts'").fetchone()
    return from_json(counts)[name]


def expected(table, events, moment):
    """Key → the oracle's values at a moment, of events as they were sent."""
    rows = {}
    for e in events:
        row = {"x": None, "outcome": None, **e, "key": tuple(e[name] for name in table.keys)}
        row = {c: datetime.fromisoformat(v) if c in ("at", "outcome") and v else v for c, v in row.items()}
        rows[e["id"]] = {
            **rows.get(e["id"], {}),
            **{c: v for c, v in row.items() if v is not None or e["id"] not in rows},
        }
    return {key: oracle.values(table, rows.values(), key, moment) for key in {row["key"] for row in rows.values()}}


def answered(live, sink, moment):
    """Key → what the online rows of a table answer at a moment."""
    found = sink.db.execute("SELECT key, state FROM online WHERE view = ?", (f"{live.table.name}_state",))
    return {tuple(json.loads(key)): live.values(live.from_json(state), moment) for key, state in found}
