"""Odd raw files that leave no question: `jobs execute` reads every row exactly, or puts it into the quarantine."""

import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from raw_files import AMOUNTS, AT, HEADER, HOURS, NOON, ORDERS, csv, execute, hours, order, order_at, orders

from errors import BadInput
from features.windows import Aggregation, AggregationTable, Column, RawTable
from features.windows.events import schema
from jobs import sql
from jobs.batch.table import compute
from root import Root

pytestmark = pytest.mark.slow

ONE = [("u1", 1)]
#: File → what is asked of it, and the rows.
RIGHT: dict[str, tuple[dict[str, Any], dict[str, str], list[Any]]] = {
    "a number that begins with a hash": (
        {"a.csv": csv(f"1000,u0,m1,1,{AT},", f"#1001,u1,m1,1,{AT},", f"# 2,u2,m1,1,{AT},")},
        ORDERS,
        [("u0", 1), ("u1", 1), ("u2", 1)],
    ),
    "quotes that first come late": (
        {"a.csv": csv(*(f"{n},u0,m1,1,{AT}," for n in range(26_000)), f'"a","u,1","m\n1",1,{AT},', f"b,u2,m1,1,{AT},")},
        ORDERS,
        [("u,1", 1), ("u0", 26_000), ("u2", 1)],
    ),
    "CR LF and a byte order mark": ({"a.csv": "\ufeff" + csv(f"1,u1,m1,1,{AT},").replace("\n", "\r\n")}, ORDERS, ONE),
    "a quoted empty cell": ({"a.csv": csv(f'1,u1,"",1,{AT},""')}, ORDERS, ONE),
    "a row longer than DuckDB reads": ({"a.csv": csv(f"1,u1,{'m' * 3_000_000},1,{AT},")}, ORDERS, ONE),
    "blanks around cells": ({"a.csv": csv(f"1, u1\u00a0,m1, 1 ,{AT} ,")}, ORDERS, ONE),
    "blanks at either end": (
        {"a.csv": csv(f"1,\u3000u1,m1,1,{AT},", f"2,u1\t,m1,1,{AT},", f"3,é u1,m1,1,{AT},", f"4,u1 é,m1,1,{AT},")},
        ORDERS,
        [("u1", 2), ("u1 é", 1), ("é u1", 1)],
    ),
    "ends that are next to no blank": (
        {"a.csv": csv(*(f"{n},{text},m1,1,{AT}," for n, text in enumerate(("!", "~", "!a~", "\x7f"))))},
        ORDERS,
        [("!", 1), ("!a~", 1), ("~", 1), ("\x7f", 1)],
    ),
    "a short offset": ({"a.csv": csv("1,u1,m1,1,2026-01-10T12:00:00-05,")}, ORDERS, ONE),
    "an offset that moves the day": ({"a.csv": csv("1,u1,m1,1,2026-01-11T01:00:00+14:00,")}, ORDERS, ONE),
    "no seconds, a small z": ({"a.csv": csv("1,u1,m1,1,2026-01-10t12:00z,")}, ORDERS, ONE),
    "columns in another order": (
        {"a.csv": csv(f"u1,1,{AT}", header="user_id,order_id,order_timestamp")},
        ORDERS,
        ONE,
    ),
    "CSV files with other columns": (
        {"a.csv": csv(f"1,u1,m1,1,{AT},"), "b.csv": csv(f"u1,2,{AT}", header="user_id,order_id,order_timestamp")},
        ORDERS,
        [("u1", 2)],
    ),
    "a text of 64 bits in Parquet files of several types": (
        {"a.parquet": hours(driver_id=pa.array([1050118621198921729])), "b.parquet": hours(driver_id=pa.array([8.0]))},
        HOURS,
        [(8, 0.5), (1050118621198921729, 0.5)],
    ),
    "an id of 64 bits": ({"a.parquet": hours(driver_id=pa.array([2**63 - 1]))}, HOURS, [(2**63 - 1, 0.5)]),
    "an id of 64 bits as text": (
        {"a.csv": csv(f"-9223372036854775808,0.5,0.5,3,{AT},{AT}", header=",".join(hours().column_names))},
        HOURS,
        [(-(2**63), 0.5)],
    ),
    "unsigned": ({"a.parquet": hours(driver_id=pa.array([7], pa.uint64()))}, HOURS, [(7, 0.5)]),
    "decimals without a fraction as a key": (
        {"a.parquet": orders(user_id=pa.array([Decimal(10**20)], pa.decimal128(38, 0)))}, ORDERS, [(str(10**20), 1)]
    ),
    "a whole number as a text": ({"a.parquet": orders(user_id=pa.array([5]))}, ORDERS, [("5", 1)]),
    "decimals": ({"a.parquet": orders(amount=pa.array([Decimal("10.25")]))}, AMOUNTS, [("u1", 10.25)]),
    "large strings": ({"a.parquet": orders(user_id=pa.array(["u1"], pa.large_string()))}, ORDERS, ONE),
    "dictionaries": ({"a.parquet": orders(user_id=pa.array(["u1"]).dictionary_encode())}, ORDERS, ONE),
    "no type": ({"a.parquet": orders(merchant_id=pa.nulls(1), chargeback_timestamp=pa.nulls(1))}, ORDERS, ONE),
    "a column that pandas made floats": ({"a.parquet": orders(merchant_id=pa.array([float("nan")]))}, ORDERS, ONE),
    "nanoseconds": ({"a.parquet": order_at(NOON, unit="ns")}, ORDERS, ONE),
    "a nanosecond before midnight": (
        {"a.parquet": order_at(pd.Timestamp("2026-01-10T23:59:59.999999999Z").value, unit="ns")}, ORDERS, ONE
    ),
    "milliseconds": ({"a.parquet": order_at(NOON, unit="ms")}, ORDERS, ONE),
    "seconds": ({"a.parquet": order_at(NOON, unit="s")}, ORDERS, ONE),
    "another zone": ({"a.parquet": order_at(NOON, zone="Asia/Tokyo")}, ORDERS, ONE),
    "nested, in a column that nobody reads": ({"a.parquet": orders(items=pa.array([[{"n": 1}]]))}, ORDERS, ONE),
    "names that differ in case": (
        {"a.parquet": orders(Amount=[1.0], amount_1=[2.0], AMOUNT=[3.0])}, AMOUNTS, [("u1", 10.5)]
    ),
    "names that differ in case, before": (
        {"a.csv": csv(f"1.0,9.0,2.0,1,u1,{AT}", header="Amount,amount,amount_1,order_id,user_id,order_timestamp")},
        AMOUNTS,
        [("u1", 9.0)],
    ),
    "names that differ in case, in two files": (
        {"a.parquet": orders(Amount=[1.0]), "b.parquet": orders(order_id=["2"], Amount=[1.0])}, AMOUNTS, [("u1", 10.5)]
    ),
    "a Hive key in the path": ({"user_id=5/amount=3/a.parquet": orders()}, AMOUNTS, [("u1", 10.5)]),
    "a column of our own names": (
        {"a.parquet": orders(filename=["x"], file_row_number=[3], year=[1], key=["k"], t=[5])}, ORDERS, ONE
    ),
    "what Spark writes beside": ({"a.parquet": orders(), "_SUCCESS": "", ".a.parquet.crc": "x"}, ORDERS, ONE),
    "what is a pattern elsewhere in the path": (
        {name: orders(order_id=[name]) for name in ("a*.parquet", "a1.parquet", "a[1].parquet", "a?.parquet")},
        ORDERS,
        [("u1", 4)],
    ),
    "a quote in the path": ({"it's, a \"file\".parquet": orders()}, ORDERS, ONE),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT)
def test_an_odd_file_that_says_all_gives_the_right_rows(tmp_path: Path, monkeypatch, case: str):
    files, asks, rows = RIGHT[case]
    assert execute(tmp_path, monkeypatch, files, **asks) == rows


def test_a_root_may_have_a_name_that_is_a_pattern_elsewhere(tmp_path: Path, monkeypatch):
    (tmp_path / "a1").mkdir()
    for _ in range(2):  # the second run reads what the first one wrote
        assert execute(tmp_path / "a[1]", monkeypatch, {"a.parquet": orders()}, **ORDERS) == ONE


RIDES = RawTable(
    "rides",
    id="ride_id",
    columns=(Column("ride_id", "string"), Column("driver_id", "int"), Column("meters", "int")),
)
METERS = AggregationTable("meters", RIDES, "driver_id", (Aggregation("meters_1d", "sum", "meters", timedelta(1)),))


@pytest.mark.parametrize(("meters", "is_valid"), [(9_000_000_000, True), (9_000_000_001, False)])
def test_a_key_has_64_bits_and_a_summed_column_the_bound_of_sums(tmp_path: Path, meters: int, is_valid: bool):
    key = 2**63 - 1
    ride = {"ride_id": "r1", "driver_id": key, "meters": meters, "event_timestamp": AT}
    pq.write_table(pa.Table.from_pylist([ride]), tmp_path / "rides.parquet")
    end = NOON + timedelta(days=1)
    with nullcontext() if is_valid else pytest.raises(BadInput, match=r"meters: 1 row is beyond ±9e\+09"):
        compute(Root(tmp_path), METERS, end, end, files=[tmp_path / "rides.parquet"])
    with nullcontext() if is_valid else pytest.raises(ValidationError, match="meters"):
        event = schema(RIDES, METERS.summed_columns).validate_json(json.dumps(ride))
        assert event["driver_id"] == key
    with pytest.raises(ValidationError, match="driver_id"):
        schema(RIDES, METERS.summed_columns).validate_json(json.dumps(ride | {"driver_id": key + 1}))


@pytest.mark.parametrize("dtype", [pa.float64(), pa.float32(), pa.float16()])
@pytest.mark.parametrize("declared", ["int", "float"])
def test_nan_beside_numbers_is_an_empty_cell(tmp_path: Path, dtype: pa.DataType, declared: Any):
    """No statistics of a Parquet file have NaN, and DuckDB goes by these."""
    meters = Column("meters", declared, is_optional=True)
    rides = replace(RIDES, columns=(*RIDES.columns[:2], meters))
    at = pa.array([NOON] * 3, pa.timestamp("us", "UTC"))
    columns = {"ride_id": ["a", "b", "c"], "driver_id": [1, 1, 2], "event_timestamp": at}
    values = pa.array(np.array([5, np.nan, 7], "float16")).cast(dtype)
    pq.write_table(pa.table(columns | {"meters": values}), tmp_path / "rides.parquet")
    end = NOON + timedelta(days=1)
    compute(Root(tmp_path), replace(METERS, source=rides), end, end, files=[tmp_path / "rides.parquet"])
    with sql.connect() as connection:
        written = sql.parquet((tmp_path / "features/meters").rglob("*.parquet"))
        rows = connection.execute(f"SELECT DISTINCT driver_id, meters_1d FROM {written} ORDER BY ALL").fetchall()
    assert rows == [(1, 5), (2, 7)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_rows_in_are_kept_duplicates_and_quarantined(tmp_path: Path, monkeypatch, suffix: str):
    quarantine = tmp_path / f"bad{suffix}"
    good = [f"{n},u1,m1,1,{AT}," for n in range(3)]
    bad = ["3,u1,m1,1", f"4,u1,m1,1,{AT},,web", "", f"5,,m1,1,{AT},", f'6,"u,1",m1,1,{AT[:10]},']
    content = csv(good[0], *bad, *good)
    assert execute(tmp_path, monkeypatch, {"a.csv": content}, **ORDERS, more=("--quarantine", str(quarantine))) == [
        ("u1", 3)
    ]
    frame = pd.read_csv(quarantine, dtype=str) if suffix == ".csv" else pd.read_parquet(quarantine)
    assert frame.columns.tolist() == [*HEADER.split(","), "reason"]
    assert frame["reason"].tolist() == [
        "row is longer or shorter than the header, line 3: 3,u1,m1,1",
        f"row is longer or shorter than the header, line 4: 4,u1,m1,1,{AT},,web",
        "row is longer or shorter than the header, line 5: ",
        "user_id is empty",
        "order_timestamp is without a time zone",
    ]
    assert frame["order_id"].tolist()[3:] == ["5", "6"]
    assert frame["user_id"].tolist()[4] == "u,1"


def test_a_quarantine_keeps_the_columns_of_every_file(tmp_path: Path, monkeypatch):
    files = {
        "a.parquet": pa.concat_tables([orders(Amount=[3]), orders(user_id=pa.nulls(1, pa.string()), Amount=[4])]),
        "b.parquet": orders(order_id=["3"], user_id=[None], items=[["x"]]),
    }  # fmt: skip
    quarantine = tmp_path / "bad.parquet"
    assert execute(tmp_path, monkeypatch, files, **ORDERS, more=("--quarantine", str(quarantine))) == ONE
    rows = pq.read_table(quarantine).to_pylist()
    assert [(row["order_id"], row["amount"], row["Amount"], row["items"]) for row in rows] == [
        ("1", "10.5", "4", None),
        ("3", "10.5", None, "[x]"),
    ]


def test_where_no_row_is_valid_nothing_changes(tmp_path: Path, monkeypatch):
    execute(tmp_path, monkeypatch, {"a.csv": order()}, **ORDERS)
    before = {part: part.read_bytes() for part in (tmp_path / "root").rglob("part.parquet")}
    bad = {"b.csv": order(user_id="")}
    printed = execute(
        tmp_path / "x", monkeypatch, bad, **ORDERS, code=1, more=("--quarantine", str(tmp_path / "bad.csv"))
    )
    assert "No row of" in printed
    assert {part: part.read_bytes() for part in (tmp_path / "root").rglob("part.parquet")} == before
    assert len(pd.read_csv(tmp_path / "bad.csv")) == 1
