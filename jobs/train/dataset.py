"""A risk's past cases with their features as known just before each, joined by Feast, and what became of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa

import settings
from features.risk import Risk
from features.utc import midnight, utc_day
from jobs import point_in_time, sql
from jobs.batch import partitions
from jobs.train.cases import cases, in_microseconds
from root import Root
from serving.store import Store

#: So many cases are joined at a time, whatever their number.
CHUNK = 250_000
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Report:
    """`cases` there are in the interval, as many rows come out."""

    risk: str
    cases: int
    out: partitions.Replaced
    seconds: float

    def __str__(self) -> str:
        return (
            f"dataset.{self.risk}: {self.cases:,} rows in, {self.out.rows:,} rows out, {self.out.replaced} partitions "
            f"replaced, {self.out.unchanged} unchanged, {self.seconds:.1f} s, {self.cases / self.seconds:,.0f} rows/s"
        )


def run(
    root: Root,
    risk: Risk,
    start: datetime | None,
    end: datetime,
    now: datetime,
    files: list[Path] | None = None,
    quarantine: Path | None = None,
    tell: Callable[[str], object] = lambda step: None,
    store: Store | None = None,
) -> Report:
    """Write the cases of the days from `start` up to `end`, by default from the first, with their features and label. A
    label is what is known at `now`. Raises NoData, BadInput, Busy, FeaturesNotReady."""
    if store is None:
        from serving.retrieval import FeastStore

        store = FeastStore(settings.FEATURE_REPO)
    began, directory = time.perf_counter(), root.dataset(risk.name)
    with partitions.connection(directory) as connected:
        tell("check")
        cases(root, connected, risk, now, files, quarantine, whole=True)
        since = "" if start is None else f"AND event_timestamp >= {sql.timestamp(midnight(start))}"
        connected.execute(
            "CREATE TEMP TABLE wanted AS SELECT *, row_number() OVER (ORDER BY event_timestamp) AS n FROM past "
            f"WHERE event_timestamp < {sql.timestamp(end)} {since}"
        )
        (count,) = connected.execute("SELECT count(*) FROM wanted").fetchone() or (0,)
        for done in range(0, max(count, 1), CHUNK):
            tell(f"{done:,} of {count:,} rows")
            query = f"SELECT * EXCLUDE n FROM wanted WHERE n > {done} AND n <= {done + CHUNK} ORDER BY n"
            rows = point_in_time.features(root, store, risk, in_microseconds(connected.execute(query).df()))
            connected.register("chunk", pa.Table.from_pandas(rows, preserve_index=False))
            connected.execute(
                "INSERT INTO joined BY NAME FROM chunk" if done else "CREATE TEMP TABLE joined AS FROM chunk"
            )
        tell("write")
        key, first_day = risk.outcomes.table.columns[0].name, date.min if start is None else utc_day(start)
        query, last_day = "SELECT * FROM joined", utc_day(end - INSTANT)
        out = partitions.replace(connected, query, directory, key, first_day, last_day, now)
    return Report(risk.name, count, out, time.perf_counter() - began)
