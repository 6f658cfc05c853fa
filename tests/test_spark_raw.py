"""Spark checks raw rows as DuckDB does: the same counts, the same messages, the same quarantine."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import made_world
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engines import spark as engines
from engines.need import need
from engines.spark import rows
from raw_files import HEADER, broken, orders

from errors import BadInput
from features.chargeback import ORDERS, USER_ORDERS
from jobs.batch.table import Engine, compute
from jobs.raw import places
from jobs.world.marker import World
from root import Root

need("java", modules=("pyspark",))
pytestmark = [pytest.mark.slow, pytest.mark.engine]
NOW, DAY = datetime(2026, 1, 31, tzinfo=UTC), timedelta(days=1)


@pytest.fixture(scope="module")
def on_spark(tmp_path_factory) -> Iterator[Engine]:
    from jobs.batch.spark.run import engine

    with engines.options(tmp_path_factory.mktemp("spark")) as options:
        yield engine(options, with_hive=True)


AT = "2026-01-10T12:00:00Z"
#: Cells of an order, good ones and bad ones: the columns order_id, user_id, amount and order_timestamp.
CELLS = [
    *(f"{amount},{AT}" for amount in (
        "1", "+1.5", ".5", "5.", "1e3", "1E-3", "-0", "inf", "-Infinity", "nan", "NaN", "", " ", '"1,5"', "abc",
        "1e400", "9000000001", "9e9", "0x10", "1_000", "1d", "１", "\u00a02\u2003", "1 2", "+-1",
    )),
    *(f"1,{timestamp}" for timestamp in (
        "2026-01-10 12:00:00+00", "2026-01-10T12:00:00.123456789Z", "2026-1-9 1:2:3 UTC", "2026-01-10t12:00z",
        "2026-01-10T12:00:00+01:30", "2026-01-10T12:00:00 +0130", "2026-01-10T12:00:00-09", "2026-01-10 12:00 +02",
        "2026-01-10T12:00:00", "2026-01-10", "2026-02-30T12:00:00Z", "2026-01-10T24:00:00Z", "2026-01-10T23:59:60Z",
        "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "12.01.2026", "", "2026-01-10T12:00:00+16", "yesterday",
        '"2026-01-10T12:00:00,5Z"', "2026-01-10T12:00:00.5Z", "2026-01-10T12:60:00Z",
    )),
]  # fmt: skip


def csv_orders(folder: Path) -> list[Path]:
    """Two CSV files of orders: good rows, bad rows, ragged rows, and versions of one order."""
    lines = [f"o{number},u{number % 3},m1,{cell}," for number, cell in enumerate(CELLS)]
    lines += ["short,u1", f'"o""1",u1,m1,7,{AT},', f",u1,m1,7,{AT},", f"o1,,m1,7,{AT},2026-01-11T00:00:00Z"]
    for name, part in (("a.csv", lines[::2]), ("b.csv", lines[1::2])):
        (folder / name).write_text("\n".join([HEADER, *part]) + "\n")
    return [folder / "a.csv", folder / "b.csv"]


def test_checks_and_quarantine_of_csv_are_those_of_duckdb(on_spark, tmp_path):
    files = csv_orders(tmp_path)
    messages = []
    for engine in (None, on_spark):
        with pytest.raises(BadInput) as error:
            compute(Root(tmp_path / "root"), USER_ORDERS, NOW, NOW, files=files, engine=engine)
        messages.append(str(error.value))
    assert messages[1] == messages[0]
    reports, written = [], []
    for engine in (None, on_spark):
        aside = tmp_path / "bad.csv"
        report = compute(
            Root(tmp_path / f"{engine is None}"), USER_ORDERS, NOW, NOW, files=files, quarantine=aside, engine=engine
        )
        reports.append((report.events, report.out))
        written.append(aside.read_bytes())
    assert reports[1] == reports[0]
    assert written[1] == written[0]
    assert reports[0][0].quarantined > 20
    assert rows(Root(tmp_path / "True"), USER_ORDERS) == rows(Root(tmp_path / "False"), USER_ORDERS)


def test_parquet_of_other_types_is_read_and_quarantined_as_by_duckdb(on_spark, tmp_path):
    at = [NOW - 2 * DAY] * 4
    amounts = pa.array([1.5, 1e20, float("nan"), 1e7])
    tables = {
        "ns": orders_of(pa.array(at, pa.timestamp("ns", "UTC")), amounts, prefix="n"),
        "ms": orders_of(pa.array(at, pa.timestamp("ms", "UTC")), pa.array([1, 2, 3, 2**62]), prefix="m"),
        "local": orders_of(pa.array(at, pa.timestamp("us")), amounts.cast(pa.float32()), prefix="l"),
        "days [1]": orders_of(pa.array([day.date() for day in at]), pa.array(["1", "x", "", None]), prefix="d"),
        "none": orders_of(pa.array(at, pa.timestamp("us", "Asia/Tokyo")), pa.nulls(4), prefix="t"),
    }
    for name, table in tables.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    files = sorted(tmp_path.glob("*.parquet"))
    contents = []
    for engine in (None, on_spark):
        aside, root = tmp_path / f"bad-{engine is None}" / "bad.parquet", Root(tmp_path / f"{engine is None}")
        report = compute(root, USER_ORDERS, NOW, NOW, files=files, quarantine=aside, engine=engine)
        contents.append((report.events, pq.read_table(aside).to_pylist(), rows(root, USER_ORDERS)))
    assert contents[1] == contents[0]
    assert contents[0][0].quarantined == 10


def orders_of(timestamps, amounts, prefix):
    ids = [f"{prefix}{number}" for number in range(len(amounts))]
    return orders(order_id=ids, user_id=["u1"] * len(amounts), amount=amounts, order_timestamp=timestamps)


def test_a_broken_csv_file_is_refused_by_name_and_line(on_spark, tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text(f'{HEADER}\n1,u1,m1,"5,{AT},\n')
    with pytest.raises(BadInput, match=r"orders\.csv, line 2: a quote opens a cell and none closes it"):
        compute(Root(tmp_path / "root"), USER_ORDERS, NOW, NOW, files=[file], engine=on_spark)


def test_a_broken_page_of_parquet_is_refused(on_spark, tmp_path):
    file = tmp_path / "orders.parquet"
    file.write_bytes(broken(orders()))
    with pytest.raises(BadInput, match=r"orders\.parquet"):
        compute(Root(tmp_path / "root"), USER_ORDERS, NOW, NOW, files=[file], engine=on_spark)


def test_a_hive_table_is_read_as_its_files_are(on_spark, tmp_path):
    from pyspark.sql import SparkSession

    raw = Root(tmp_path / "raw")
    made_world.generate(raw, World(7, made_world.SIZE, b"key"), NOW)
    (file,) = places.raw_files(raw, ORDERS.name)
    spark = SparkSession.builder.getOrCreate()
    spark.sql("CREATE DATABASE IF NOT EXISTS shop")
    spark.read.parquet(f"file://{file}").write.format("hive").mode("overwrite").saveAsTable("shop.orders")
    duckdb, hive = Root(tmp_path / "duckdb"), Root(tmp_path / "hive")
    expected = compute(duckdb, USER_ORDERS, NOW, NOW, files=[file])
    report = compute(hive, USER_ORDERS, NOW, NOW, files=[Path("hive:shop.orders")], engine=on_spark)
    assert (report.events, rows(hive, USER_ORDERS)) == (expected.events, rows(duckdb, USER_ORDERS))
    with pytest.raises(BadInput, match=r"no table shop\.nothing in Hive"):
        compute(hive, USER_ORDERS, NOW, NOW, files=[Path("hive:shop.nothing")], engine=on_spark)
