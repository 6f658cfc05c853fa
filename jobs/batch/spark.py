"""The same windows on Spark: the SQL of `jobs/batch/at_ticks.py` in Spark's dialect. DuckDB checks the input and writes
the partitions, Spark folds. This needs the extra `spark`, and Java."""

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import sqlglot

from errors import BadParameter
from jobs import sql
from jobs.batch import at_ticks
from jobs.batch.layout import Layout


def session() -> Any:
    """A local Spark, UTC, on loopback. Raises BadParameter where it is not installed."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise BadParameter(
            "Spark is not installed. Install the extra: pip install '.[spark]'; or use duckdb."
        ) from None
    os.environ.update(PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_IP="127.0.0.1")
    options = {
        "spark.ui.enabled": "false", "spark.sql.session.timeZone": "UTC", "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1", "spark.sql.shuffle.partitions": "8", "spark.log.level": "ERROR",
        "spark.driver.memory": "2g",
    }  # fmt: skip
    builder = SparkSession.builder.master("local[*]").appName("risk")
    for name, value in options.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def fold_in_spark(connection: duckdb.DuckDBPyConnection, layout: Layout, since: int | None, until: int) -> str:
    """The rows of the view `event`, folded, as a relation that DuckDB can read. Raises BadParameter on a function that
    only DuckDB has."""
    for a in layout.table.aggregations:
        if not a.record.runs_on_spark:
            raise BadParameter(f"{a.name} is a {a.function}, which Spark cannot fold. Use --engine duckdb.")
    spark = session()
    (directory,) = sql.row(connection, "SELECT current_setting('temp_directory')")
    scratch = Path(tempfile.mkdtemp(dir=directory))
    connection.execute(f"COPY (FROM event) TO {sql.literal(scratch / 'event.parquet')} (FORMAT parquet)")
    spark.read.parquet(str(scratch / "event.parquet")).createOrReplaceTempView("event")
    layout = replace(layout, is_dense=layout.can_be_dense)
    spark.sql(in_spark(at_ticks.tiles(layout))).createOrReplaceTempView("tile")
    rows = spark.sql(in_spark(at_ticks.at_ticks(layout, since, until)))
    rows.write.parquet(str(scratch / "rows"))
    return f"FROM {sql.parquet((scratch / 'rows').glob('*.parquet'))}"


def in_spark(query: str) -> str:
    """DuckDB's SQL in Spark's dialect. Whole numbers are summed as decimals, which do not overflow as BIGINT would."""
    (translated,) = sqlglot.transpile(query, read="duckdb", write="spark")
    return translated.replace("INT128", "DECIMAL(38, 0)").replace(" DIV ", " div ")
