"""The dataset of a risk: its past cases, the features as known just before each case, and the outcomes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa

import settings
from features.risk import Risk
from features.utc import midnight
from jobs import point_in_time, sql
from jobs.batch import partitions
from jobs.train import fed_back
from jobs.train.cases import cases, in_microseconds
from root import Root
from serving.store import Store

#: Features are joined to this many cases at a time, so that memory does not grow with the dataset.
CHUNK_ROWS = 250_000
INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Report:
    """What a run did. `cases` counts the cases of the interval; each is one row of the dataset."""

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
    """Write the cases from the day of `start` (by default the first case) up to `end`, with their features and labels.
    A label says what is known at `now`. Raises NoData, BadInput, Busy, FeaturesNotReady."""
    if store is None:
        from serving.retrieval import FeastStore

        store = FeastStore(settings.FEATURE_REPO, settings.feature_store())
    began, directory = time.perf_counter(), root.dataset(risk.name)
    with partitions.connection(directory) as connection:
        tell("check")
        cases(root, connection, risk, now, files, quarantine, whole=True)
        fed = fed_back.cases(root, risk, now, whole=True)
        since = "" if start is None else f"AND event_timestamp >= {sql.timestamp(midnight(start))}"
        connection.execute(
            "CREATE TEMP TABLE selected AS SELECT *, row_number() OVER (ORDER BY event_timestamp) AS n FROM past "
            f"WHERE event_timestamp < {sql.timestamp(end)} {since}"
        )
        (count,) = connection.execute("SELECT count(*) FROM selected").fetchone() or (0,)
        chunks, written = range(0, max(count, 1), CHUNK_ROWS), 0
        for done in chunks:
            tell(f"{done:,} of {count:,} rows")
            query = f"SELECT * EXCLUDE n FROM selected WHERE n > {done} AND n <= {done + CHUNK_ROWS} ORDER BY n"
            raw = fed_back.without(risk, in_microseconds(connection.execute(query).df()), fed)
            rows = point_in_time.features(root, store, risk, raw)
            written += len(rows)
            connection.register("chunk", pa.Table.from_pandas(rows, preserve_index=False))
            connection.execute(f"CREATE TEMP TABLE joined_{done} AS FROM chunk")
        logged = fed_back.between(fed, None if start is None else midnight(start), end, store.views(risk.name))
        if len(logged):
            connection.register("logged", pa.Table.from_pandas(logged, preserve_index=False))
        written += len(logged)
        tell("write")
        key, first = risk.outcomes.table.columns[0].name, None if start is None else midnight(start)
        # A column that is all null in one chunk has no type there.
        parts = [f"SELECT * FROM joined_{done}" for done in chunks] + (["SELECT * FROM logged"] if len(logged) else [])
        query = " UNION ALL BY NAME ".join(parts)
        out = partitions.replace(connection, query, directory, key, first, end - INSTANT, now)
    return Report(risk.name, written, out, time.perf_counter() - began)
