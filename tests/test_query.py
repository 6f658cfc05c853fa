"""The query that `python -m jobs describe TABLE --sql` prints gives the rows that the job writes."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import duckdb
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given
from hypothesis import settings as examples
from test_windows import ALL, DAY_0, NOW, RAW, SCHEMA, histories, root_with, stored, without_created

import settings
from features.windows import Aggregation, AggregationTable, Flag, LastDistinctTable
from features.windows.aggregation import old_edge
from features.windows.tables import Table
from jobs import sql
from jobs.batch import layout, query
from jobs.batch.at_moments import at_moments
from jobs.batch.layout import Layout
from jobs.batch.table import compute
from jobs.raw import places
from jobs.raw.relations import open_events

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
UNTIL = DAY_0 + timedelta(days=20, hours=5)
FLAGS = AggregationTable("made_table", RAW, "key", ALL["days"].aggregations, (Flag("many", "n_3d", ">", 2),))
#: Names that SQL has for itself, or that a query might have for a column of its own.
WORDS = AggregationTable(
    "made_table", RAW, "key",
    (Aggregation("select", "count", None, 3 * DAY), Aggregation("order", "sum", "x", 3 * DAY),
     Aggregation("some", "mean", "x", 3 * DAY), Aggregation("n", "count", None, DAY),
     Aggregation("Group", "max", "x", DAY)),
    (Flag("end", "order", ">", 2),),
)  # fmt: skip
DISTINCT = LastDistinctTable("made_table", RAW, "key", "who", last="last_who", previous="previous_who")

ORDERED = AggregationTable(
    "made_table", RAW, "key",
    (Aggregation("n_1d", "count", None, DAY), Aggregation("x_7d", "sum", "x", 7 * DAY),
     Aggregation("most_3d", "max", "x", 3 * DAY)),
)  # fmt: skip


def rows_of(table: Table) -> list[dict[str, Any]]:
    """The rows of the printed query, over the relation that a job makes."""
    with sql.connect() as connection:
        open_events(connection, table, places.raw_files(settings.root(), table.source.name), UNTIL)
        result = connection.execute(query.printed(table, UNTIL))
        names = [name for name, *_ in result.description]
        rows = [dict(zip(names, values, strict=True)) for values in result.fetchall()]
    return sorted(rows, key=lambda row: (row["event_timestamp"], row["key"]))


@pytest.mark.parametrize("table", [*ALL.values(), FLAGS, WORDS, DISTINCT], ids=[*ALL, "flags", "words", "distinct"])
@given(raw=histories)
@examples(max_examples=4, phases=[Phase.generate])
def test_the_printed_query_gives_the_rows_that_the_job_writes(table: Table, raw: list[dict[str, Any]]):
    with root_with(raw):
        compute(settings.root(), table, UNTIL, NOW)
        assert rows_of(table) == without_created(stored())


def test_the_job_keeps_the_order_of_more_rows_than_a_thread_reads_at_once():
    keys, days = 1500, 200
    key, day = np.tile(np.arange(keys), days), np.repeat(np.arange(days), keys)
    raw = {name: pa.nulls(keys * days, SCHEMA.field(name).type) for name in SCHEMA.names}
    at = pa.array(np.datetime64(DAY_0.replace(tzinfo=None), "us") + (day * 24 + key % 24).astype("m8[h]"))
    raw |= {"id": pa.array(map(str, range(keys * days))), "key": pa.array(map(str, key))}
    raw["at"] = at.cast(SCHEMA.field("at").type)
    until = DAY_0 + (days + 9) * DAY
    with root_with([]), sql.connect() as connection:
        (file,) = places.raw_files(settings.root(), RAW.name)
        for x in (key + day / 7, key + day / 7 + (key % 2)):  # the second run keeps `created` of every other row
            pq.write_table(pa.table(raw | {"x": pa.array(x)}, SCHEMA), file)
            report = compute(settings.root(), ORDERED, until, NOW)
            assert report.out.rows > 2 * keys * days // 3
            open_events(connection, ORDERED, [file], until)
            written = sql.parquet(settings.root().feature_table(ORDERED.name).rglob("*.parquet"), ", filename = true")
            connection.execute(f"CREATE OR REPLACE TABLE job AS SELECT * EXCLUDE (created, filename) FROM {written}")
            connection.execute(f"CREATE OR REPLACE TABLE printed AS {query.printed(ORDERED, until)}")
            for rows, others in (("job", "printed"), ("printed", "job")):
                assert connection.execute(f"FROM {rows} EXCEPT ALL FROM {others}").fetchall() == []
            by_file = f"SELECT list(key ORDER BY file_row_number) AS keys FROM {written} GROUP BY filename"
            assert connection.execute(f"FROM ({by_file}) WHERE keys != list_sort(keys)").fetchall() == []


@given(raw=histories)
@examples(max_examples=4, phases=[Phase.generate])
def test_a_feature_has_the_same_values_whatever_its_name_is(raw: list[dict[str, Any]]):
    plain = replace(WORDS, aggregations=tuple(replace(a, name=f"plain_{a.name}") for a in WORDS.aggregations), flags=())
    frame = pd.DataFrame({"key": ["a", "b"], "event_timestamp": pd.Series([UNTIL, UNTIL]).dt.as_unit("us")})
    with root_with(raw):
        words, others = (at_moments(settings.root(), table, frame) for table in (WORDS, plain))
        others = others.rename(columns=lambda name: name.removeprefix("plain_"))
        pd.testing.assert_frame_equal(words.drop(columns="end"), others, check_exact=True)


@pytest.mark.parametrize("name", ["key", "T", "s0", "m12", "nth", "event_timestamp", "two words", 'a"b', ""])
def test_a_name_that_a_query_needs_or_cannot_write_is_refused(name: str):
    with pytest.raises(ValueError, match="made_table: a feature cannot be named"):
        AggregationTable("made_table", RAW, "key", (Aggregation(name, "count", None, DAY),))


def test_the_printed_query_says_what_it_reads_and_is_formatted():
    text = query.printed(FLAGS, UNTIL)
    assert text.startswith("-- made_table: ")
    assert "dated up to 2026-03-18T05:00:00+00:00. The relation event has the checked events of raw/made_events" in text
    assert len(text.splitlines()) > 100


ALL_AGGREGATIONS = [a for table in ALL.values() for a in table.aggregations if a.window is not None]


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with sql.connect() as connection:
        yield connection


@given(
    a=st.sampled_from(ALL_AGGREGATIONS),
    timestamp=st.integers(10**15, 2 * 10**15),
    age=st.integers(0, 50 * 86_400_000_000),
)
@examples(max_examples=200)
def test_the_old_edge_is_the_same_in_sql_and_in_python(
    connection: duckdb.DuckDBPyConnection, a: Aggregation, timestamp: int, age: int
):
    edge, event = a.old_edge(timestamp), timestamp - age
    reach, hop = layout.microseconds(a.reach), layout.microseconds(a.old_edge_hop)
    assert edge == old_edge(timestamp, reach, hop)
    grid = Layout(AggregationTable("made_table", RAW, "key", (a,)))
    select = f"SELECT {layout.old_edge(str(timestamp), a)}, {grid.leaves(a)} FROM (SELECT {event} AS t)"
    edge_in_sql, leaves = sql.row(connection, select)
    assert edge_in_sql == edge
    if grid.fixed_reach(a) is None:
        assert (timestamp <= leaves) == (event >= edge)
