"""`--engine spark` gives DuckDB's rows, from a real Spark. `make test-spark` installs it; without, this is skipped."""

from datetime import UTC, datetime

import pytest

import settings
from features.chargeback import TABLES
from generate_data import write
from jobs import sql
from jobs.batch.table import compute, fold
from simulators import Size
from simulators.chargeback import events

pytest.importorskip("pyspark", reason="PySpark is not installed; `make test-spark` installs it")
NOW = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def orders(tmp_path_factory):
    file = tmp_path_factory.mktemp("raw") / "orders.parquet"
    write(file, events(7, NOW, Size(users=60, merchants=120, order_days=60), b"")["orders"])
    return file


def rows(orders, table, engine):
    compute(settings.root(), table, NOW, NOW, files=[orders], engine=engine)
    stored = settings.root().feature_table(table.name) / "*/*/*/*.parquet"
    values = ", ".join(  # a spread may differ in its last digit
        f"round({a.name}, 9)" if a.function == "stddev" else a.name for a in table.aggregations
    )
    with sql.connect() as connected:
        query = f"SELECT {table.key}, event_timestamp, {values} FROM {sql.literal(stored)} ORDER BY ALL"
        return connected.execute(query).fetchall()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_spark_folds_to_the_rows_of_duckdb(table, orders, tmp_path, monkeypatch):
    from jobs.batch import spark

    monkeypatch.setenv("RISK_DATA", str(tmp_path / "duckdb"))
    expected = rows(orders, table, fold)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "spark"))
    assert rows(orders, table, spark.fold) == expected
    assert len(expected) > 40
