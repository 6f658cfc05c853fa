"""A real Spark gives what DuckDB gives: the same checks, the same quarantine, the same rows, with the same `created`.
`make test-engines` installs PySpark."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import made_world
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from constants import override
from engines import spark as engines
from engines.need import need
from engines.spark import rows
from processes import run, started, wait_until
from raw_files import orders

from errors import BadParameter
from features import DOMAINS
from features.chargeback import ORDERS, USER_ORDERS
from features.domains import tables_of
from features.windows import Aggregation, AggregationTable
from features.windows.functions import FUNCTIONS
from jobs import sql
from jobs.batch import at_ticks
from jobs.batch.table import Engine, compute
from jobs.raw import places
from jobs.world.marker import World
from root import Root
from simulators import Size

need("java", "unshare", modules=("pyspark",))
pytestmark = [pytest.mark.slow, pytest.mark.engine]
NOW, DAY = datetime(2026, 1, 31, tzinfo=UTC), timedelta(days=1)
SIZE = Size(drivers=100, users=60, merchants=40, order_days=45, coupon_days=1, customers=100, products=12, shop_days=40)
TABLES = [table for domain in DOMAINS for table in tables_of(domain)]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """A root with the generated raw events."""
    root = Root(tmp_path_factory.mktemp("raw"))
    made_world.generate(root, World(7, SIZE, b"key"), NOW)
    return root


@pytest.fixture(scope="module")
def on_spark(tmp_path_factory) -> Iterator[Engine]:
    from jobs.batch.spark.run import engine

    with engines.options(tmp_path_factory.mktemp("spark")) as options:
        yield engine(options, with_hive=True)


def both(tmp_path, on_spark, table, files, end=NOW, now=NOW, **more):
    """Compute on DuckDB and on Spark. Returns both roots and both reports."""
    roots = Root(tmp_path / "duckdb"), Root(tmp_path / "spark")
    reports = [
        compute(root, table, end, now, files=files, engine=engine, **more)
        for root, engine in zip(roots, (None, on_spark), strict=True)
    ]
    return *roots, *reports


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_spark_gives_the_rows_of_duckdb(table, raw, on_spark, tmp_path):
    files = places.raw_files(raw, table.source.name)
    duckdb, spark, expected, report = both(tmp_path, on_spark, table, files, end=NOW - 3 * DAY)
    assert rows(spark, table) == rows(duckdb, table)
    assert (report.events, report.out) == (expected.events, expected.out)
    assert report.out.rows > 20
    # Each engine goes on where the other was: the rows that stay keep their `created`.
    later = {"start": NOW - 9 * DAY, "files": files}
    compute(duckdb, table, NOW, NOW + DAY, engine=on_spark, **later)
    compute(spark, table, NOW, NOW + DAY, **later)
    assert rows(duckdb, table) == rows(spark, table)
    assert {row[-1] for row in rows(spark, table)} == {NOW, NOW + DAY}
    # Of a day in which a run begins or ends, the other rows stay.
    count, within = len(rows(spark, table)), {"start": NOW - 2 * DAY - DAY / 3, "files": files}
    compute(duckdb, table, NOW - DAY / 3, NOW + 2 * DAY, **within)
    compute(spark, table, NOW - DAY / 3, NOW + 2 * DAY, engine=on_spark, **within)
    assert rows(duckdb, table) == rows(spark, table)
    assert len(rows(spark, table)) == count


def all_functions(window):
    return AggregationTable(
        "any", ORDERS, "user_id",
        tuple(
            Aggregation(f"x_{name}", name, "chargeback_timestamp" if record.takes_outcomes else "amount", window,
                        n=2 if record.needs_n else None)
            for name, record in FUNCTIONS.items()
        ),
    )  # fmt: skip


@pytest.mark.parametrize("is_dense", [True, False])
def test_spark_folds_every_function_over_either_grid(is_dense, raw, on_spark, tmp_path, monkeypatch):
    override(monkeypatch, at_ticks, DENSE_UP_TO=1_000_000 if is_dense else 0)
    table = all_functions(3 * DAY)
    duckdb, spark, *_ = both(tmp_path, on_spark, table, places.raw_files(raw, ORDERS.name))
    assert rows(spark, table) == rows(duckdb, table)


def test_large_and_small_values_fold_to_the_last_digit(on_spark, tmp_path):
    amounts = [9e9, 8_999_999_999.999999, -9e9, 0.1, 0.2, 1e-9, 1234567.000000001, -0.5, 2.5e-9, 3.0] * 30
    columns = {"order_id": list(map(str, range(300))), "user_id": ["u1", "u2", "u3"] * 100, "amount": amounts}
    timestamps = pa.array([NOW - 2 * DAY] * 300, pa.timestamp("us", "UTC"))
    file = tmp_path / "orders.parquet"
    pq.write_table(orders(**columns, order_timestamp=timestamps), file)
    any_amount = replace(ORDERS, columns=tuple(replace(column, minimum=None) for column in ORDERS.columns))
    table = replace(all_functions(3 * DAY), source=any_amount)
    duckdb, spark, *_ = both(tmp_path, on_spark, table, [file])
    assert rows(spark, table) == rows(duckdb, table)


def test_spark_refuses_a_hop_that_parts_no_day(raw, on_spark, tmp_path):
    table = AggregationTable(
        "any", ORDERS, "user_id", (Aggregation("x", "count", None, 3 * DAY, hop=timedelta(hours=7)),)
    )
    with pytest.raises(BadParameter, match="x has a hop of 7:00:00, which parts no day"):
        compute(Root(tmp_path), table, NOW, NOW, files=places.raw_files(raw, ORDERS.name), engine=on_spark)


def test_the_driver_sees_nothing_of_the_executors_files(raw, tmp_path):
    table, root = USER_ORDERS, Root(tmp_path / "root")
    variables, private = engines.apart(tmp_path, root)
    csv = tmp_path / "orders.csv"
    with sql.connect() as connection:
        (file,) = places.raw_files(raw, ORDERS.name)
        connection.execute(f"COPY (FROM {sql.parquet([file])}) TO {sql.literal(csv)}")
    arguments = (f"feature_store.{table.name}", "--engine=spark", f"--input={csv}", f"--end-date={NOW:%F}")
    run(engines.command(*arguments), env=variables)
    compute(Root(tmp_path / "duckdb"), table, NOW, NOW, files=[csv])
    assert [row[:-1] for row in rows(root, table)] == [row[:-1] for row in rows(Root(tmp_path / "duckdb"), table)]
    seen = {file.name.partition("_")[0] for file in private.rglob("*") if file.is_file()}
    assert seen.isdisjoint({"shuffle", "rdd", "temp"}), seen


def test_a_killed_run_leaves_each_day_old_or_new_and_the_next_mends(raw, on_spark, tmp_path):
    table, root = USER_ORDERS, Root(tmp_path / "root")
    files = places.raw_files(raw, ORDERS.name)
    arguments = (f"feature_store.{table.name}", "--engine=spark", f"--input={files[0]}", f"--end-date={NOW:%F}")
    compute(root, table, NOW, NOW, files=[doubled(files[0], tmp_path / "old.parquet")])
    old = by_day(root, table)
    # Executors write, or have written: nothing has changed yet. If this process stands still, it ends by itself.
    with started(engines.command(*arguments, killed_at=0), env=engines.child(root, "local[2]")) as child:
        writes = f".{table.name}-*/days/_temporary"
        wait_until(lambda: any(root.features.glob(writes)), what="executors write")
        child.send(signal.SIGKILL)
        child.ended(-signal.SIGKILL)
    assert by_day(root, table) == old
    # The driver renames: some days are new.
    with started(engines.command(*arguments, killed_at=17), env=engines.child(root, "local[2]")) as child:
        child.ended(-signal.SIGKILL)
    middle = by_day(root, table)
    compute(root, table, NOW, NOW, files=files, engine=on_spark)
    new = by_day(root, table)
    expected = Root(tmp_path / "expected")
    compute(expected, table, NOW, NOW, files=files)
    assert {day: plain(rows) for day, rows in new.items()} == {
        day: plain(rows) for day, rows in by_day(expected, table).items()
    }
    states = [
        "new" if plain(middle[day]) == plain(new[day]) else "old" if middle[day] == old[day] else "torn" for day in old
    ]
    assert (states.count("new"), states.count("torn")) == (17, 0)
    assert not list(root.features.glob(f".{table.name}-*"))


def plain(rows):
    """Without `created`."""
    return [row[:-1] for row in rows]


def by_day(root, table):
    days = {}
    for row in rows(root, table):
        days.setdefault(row[-2].date(), []).append(row)
    return days


def doubled(file, target):
    """The orders with twice their amounts."""
    table = pq.read_table(file)
    amounts = pa.array([2 * amount for amount in table["amount"].to_pylist()])
    pq.write_table(table.set_column(table.schema.get_field_index("amount"), "amount", amounts), target)
    return target
