"""A real Spark gives the rows that DuckDB gives. `make test-engines` installs PySpark."""

from datetime import UTC, datetime, timedelta

import pytest
from engines.need import need

import settings
from errors import BadParameter
from features.chargeback import ORDERS, TABLES
from features.windows import Aggregation, AggregationTable
from features.windows.functions import FUNCTIONS
from jobs import sql
from jobs.batch.table import compute, fold_in_duckdb
from jobs.world.generate import write
from simulators import Size
from simulators.chargeback import events

need("java", modules=("pyspark",))
pytestmark = [pytest.mark.slow, pytest.mark.engine]
NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    file = tmp_path_factory.mktemp("raw") / "orders.parquet"
    write(file, events(7, NOW, Size(users=60, merchants=120, order_days=60), b"")["orders"])
    return file


def rows(orders, table, engine):
    compute(settings.root(), table, NOW, NOW, files=[orders], engine=engine)
    stored = settings.root().feature_table(table.name) / "*/*/*/*.parquet"
    values = ", ".join(  # a standard deviation may differ in its last digit
        f"round({a.name}, 9)" if a.function == "stddev" else a.name for a in table.aggregations
    )
    with sql.connect() as connection:
        query = f"SELECT {table.key}, event_timestamp, {values} FROM {sql.literal(stored)} ORDER BY ALL"
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_spark_gives_the_rows_of_duckdb(table, orders, tmp_path, monkeypatch):
    from jobs.batch.spark import fold_in_spark

    monkeypatch.setenv("RISK_DATA", str(tmp_path / "duckdb"))
    expected = rows(orders, table, fold_in_duckdb)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "spark"))
    assert rows(orders, table, fold_in_spark) == expected
    assert len(expected) > 40


DAY = timedelta(days=1)
#: The functions that the tables above do not use.
OTHERS = [name for name in FUNCTIONS if name not in {a.function for table in TABLES for a in table.aggregations}]


def table_of(function):
    n = 2 if FUNCTIONS[function].needs_n else None
    return AggregationTable("any", ORDERS, "user_id", (Aggregation("x", function, "amount", 3 * DAY, n=n),))


@pytest.mark.parametrize("function", [name for name in OTHERS if FUNCTIONS[name].runs_on_spark])
def test_spark_folds_every_function_that_it_may(function, orders, tmp_path, monkeypatch):
    from jobs.batch.spark import fold_in_spark

    monkeypatch.setenv("RISK_DATA", str(tmp_path / "duckdb"))
    expected = rows(orders, table_of(function), fold_in_duckdb)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "spark"))
    assert rows(orders, table_of(function), fold_in_spark) == expected


@pytest.mark.parametrize("function", [name for name in FUNCTIONS if not FUNCTIONS[name].runs_on_spark])
def test_spark_refuses_a_function_that_only_duckdb_has(function, orders, tmp_path, monkeypatch):
    from jobs.batch.spark import fold_in_spark

    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    with pytest.raises(BadParameter, match=f"x is a {function}, which Spark cannot fold. Use --engine duckdb"):
        rows(orders, table_of(function), fold_in_spark)
