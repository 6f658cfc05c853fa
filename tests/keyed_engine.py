"""A stream whose tables have every kind of fold, and an engine of dicts of bytes that runs the pure steps over it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any
from zlib import crc32

from pydantic_core import from_json, to_json
from stream_world import BEGIN, DAY, HOUR, MINUTE, SECOND, Sink, recovered_job

import settings
from features.domains import Stream
from features.utc import since_1970
from features.windows import Aggregation, AggregationTable, Column, Derived, RawTable, keyed
from features.windows.state import LiveTable
from jobs.stream.lines import parse
from jobs.stream.sources import Line

SALES = RawTable(
    "sales", time="at", id="id", is_live=True,
    columns=(
        Column("id", "string"), Column("who", "string"), Column("shop", "string", is_optional=True),
        Column("price", "float", is_optional=True, minimum=-9e5, maximum=9e5),
        Column("pieces", "int", is_optional=True, minimum=-9, maximum=10_000),
        Column("outcome", "timestamp", is_optional=True),
    ),
    derived=(Derived("amount", "product", ("price", "pieces")),),
)  # fmt: skip


def of_amount(function: str, window: timedelta | None = 30 * DAY, **more: Any) -> Aggregation:
    return Aggregation(f"{function}_{len(more)}_{window}".replace(" ", "").replace(":", "").replace(",", ""),
                       function, "amount", window, **more)  # fmt: skip


COUNTS = tuple(Aggregation(f"n{n}", "count", None, window) for n, window in enumerate((5 * MINUTE, HOUR, 7 * DAY)))
BUYERS = AggregationTable(
    "buyers", SALES, "who",
    (*COUNTS, of_amount("mean"), of_amount("max"), of_amount("last", HOUR), of_amount("last_n_sum", n=2)),
)  # fmt: skip
LATE_BUYERS = AggregationTable(
    "late_buyers",
    SALES,
    "who",
    (Aggregation("shops", "count_distinct", "shop", DAY), of_amount("sum", DAY, delay=HOUR)),
)
SHOPS = AggregationTable(
    "shops",
    SALES,
    "shop",
    (
        COUNTS[1],
        Aggregation("bad", "rate", "outcome", 20 * DAY),
        of_amount("sum"),
        Aggregation("bad_of_2", "last_n_rate", "outcome", 20 * DAY, n=2),
    ),
)
BAD_SHOPS = AggregationTable("bad_shops", SALES, "shop", (COUNTS[2], of_amount("stddev")), time="outcome")
PAIRS = AggregationTable(
    "pairs", SALES, "who", (Aggregation("here", "count", None, 10 * MINUTE, hop=timedelta(0)),), also=("shop",)
)
EVER = AggregationTable("ever", SALES, "shop", (of_amount("last", None), of_amount("max", HOUR)))
STREAM = Stream("sales", SALES, (BUYERS, LATE_BUYERS, SHOPS, BAD_SHOPS, PAIRS, EVER))
NOW = BEGIN + 60 * DAY
Version = dict[str, Any]
#: Table → key as bytes → state.
States = dict[str, dict[bytes, bytes]]


def iso(second: float) -> str:
    return (BEGIN + second * SECOND).isoformat()


def sale(nth: int, second: float, **columns: Any) -> Version:
    return {"id": f"s{nth}", "who": "w0", "at": iso(second), **columns}


def rows_of(versions: Sequence[Version]) -> list[dict[str, Any]]:
    """Versions as the checks of a stream make them."""
    lines = [Line(to_json(version), "here") for version in versions]
    batch = parse(STREAM, lines, since_1970(NOW), settings.hash_key())
    assert batch.dead == []
    return batch.rows


class Engine:
    """Three partitions of the raw topic, and of each keyed topic; what is kept is bytes all the time. With `records`,
    the entries of a key are kept apart from the rest."""

    def __init__(self, records: bool = False) -> None:
        self.events: dict[str, bytes] = {}
        self.kept: dict[tuple[str, bytes], bytes] = {}
        self.records: dict[tuple[str, bytes], Entries] | None = {} if records else None
        self.groups = keyed.by_keys(SALES, STREAM.tables)
        self.topics: list[list[list[tuple[bytes, bytes]]]] = [[[], [], []] for _ in self.groups]
        self.states: States = {table.name: {} for table in STREAM.tables}
        self.versions: dict[tuple[str, bytes], int] = {}
        #: Place, version and state of each row that has changed a state.
        self.history: list[tuple[tuple[str, bytes], int, bytes]] = []

    def remember(self, row: dict[str, Any], offset: int) -> None:
        before = self.events.get(row["id"])
        event = None if before is None else keyed.event_from_bytes(SALES, before)
        kept, change = keyed.remember(SALES, event, row, offset)
        self.events[row["id"]] = keyed.event_to_bytes(kept)
        for group, topic in zip(self.groups, self.topics, strict=True):
            for key, row_of_key in group.rows(change) if change else []:
                name = to_json(key)
                topic[crc32(name) % 3].append((name, to_json(row_of_key)))

    def process(self, group: int, partition: int, begin: int, end: int) -> None:
        """Process rows of a partition of a keyed topic."""
        for offset, (name, text) in enumerate(self.topics[group][partition][begin:end], begin):
            for live in self.groups[group].live:
                if row := keyed.key_row(live, offset, *from_json(text)):
                    place = live.table.name, name
                    kept, state, self.versions[place] = keyed.step(live, self._loaded(live, place), [row])
                    self.kept[place], self.states[live.table.name][name] = keyed.to_bytes(live, kept), state
                    self.history.append((place, kept.version, state))

    def _loaded(self, live: LiveTable, place: tuple[str, bytes]) -> keyed.Kept:
        entries = None if self.records is None else self.records.setdefault(place, Entries())
        if place in self.kept:
            return keyed.from_bytes(live, self.kept[place], entries)
        return keyed.Kept(live.zero()) if entries is None else keyed.Kept(live.zero(), entries=entries)

    def process_all(self) -> None:
        for group, topic in enumerate(self.topics):
            for partition, rows in enumerate(topic):
                self.process(group, partition, 0, len(rows))


class Entries:
    """Not a dict: entries that an engine has elsewhere."""

    def __init__(self) -> None:
        self.by_number: dict[int, bytes] = {}
        self.get, self.pop = self.by_number.get, self.by_number.pop

    def __setitem__(self, number: int, entry: bytes) -> None:
        self.by_number[number] = entry


def embedded(batches: Sequence[Sequence[Version]]) -> States:
    """The states of the embedded stream job."""
    job = recovered_job(batches, Sink(), STREAM, NOW)
    while job.step(final=True):
        pass
    job.close()
    with closing(sqlite3.connect(settings.root().stream_state(STREAM.domain))) as db:
        return {t.name: dict(db.execute(f'SELECT key, state FROM "state of {t.name}"')) for t in STREAM.tables}


def processed(*versions: Version, records: bool = False) -> Engine:
    engine = Engine(records)
    for offset, row in enumerate(rows_of(versions)):
        engine.remember(row, offset)
    engine.process_all()
    return engine
