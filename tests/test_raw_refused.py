"""Raw files that leave a question: `jobs execute` refuses them, changes nothing, and says where and what it saw."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from raw_files import (
    AMOUNTS,
    AT,
    HEADER,
    HOURS,
    NOON,
    ORDERS,
    broken,
    csv,
    execute,
    hour,
    hours,
    order,
    order_at,
    orders,
)

pytestmark = pytest.mark.slow

YEARS = "1 row is not in the years 1970 to 2199"
NO_ZONE = "1 row is without a time zone"
MERCHANTS = {"table": "merchant_risk", "key": "merchant_id", "column": "orders_count_30d"}
#: File → what is asked of it, and what the message says.
WRONG: dict[str, tuple[dict[str, Any], dict[str, str], str]] = {
    "a second header": (
        {"a.csv": csv(f"1,u1,m1,1,{AT},") + csv(f"2,u1,m1,1,{AT},,web", header=HEADER + ",channel")},
        ORDERS,
        "bad_input: .*a.csv, line 3: the row is a header again",
    ),
    "semicolons": ({"a.csv": csv(f"1,u1,m1,1,{AT},").replace(",", ";")}, ORDERS, "line 1: between the names is ';'"),
    "a ragged row": (
        {"a.csv": csv(f"1,u1,m1,1,{AT},", f"2,u1,m1,1,5,{AT},")},
        ORDERS,
        r"row: 1 row is longer or shorter than the header, the first is row 2 of a.csv, line 3 \(2,u1,m1,1,5,",
    ),
    "an empty line": ({"a.csv": csv(f"1,u1,m1,1,{AT},", "", f"2,u1,m1,1,{AT},")}, ORDERS, "row 2 of a.csv, line 3"),
    "a lone quote": ({"a.csv": csv(f'1,"u1,m1,1,{AT},', f"2,u1,m1,1,{AT},")}, ORDERS, "line 2: a quote opens a cell"),
    "NUL": ({"a.csv": csv(f"1,u\x001,m1,1,{AT},")}, ORDERS, "line 2: there is a NUL byte"),
    "NUL in Parquet": ({"a.parquet": orders(user_id=["u\x001"])}, ORDERS, "user_id: 1 row is a text with a NUL"),
    "not UTF-8": ({"a.csv": csv(f"1,ü,m1,1,{AT},").encode("latin-1")}, ORDERS, "line 2: the text is not utf-8"),
    "a header alone": ({"a.csv": HEADER + "\n"}, ORDERS, "no_data: .* holds no rows"),
    "an empty file": ({"a.csv": ""}, ORDERS, "line 1: the file is empty"),
    "a name twice": ({"a.csv": order().replace("user_id", "amount", 1)}, ORDERS, "the name 'amount' is there twice"),
    "a name twice in Parquet": (
        {"a.parquet": orders().rename_columns(["order_id", "user_id", "user_id", "order_timestamp"])},
        ORDERS,
        "has the column 'user_id' twice",
    ),
    "a packed file in a folder": ({"a.csv": order(), "b.csv.gz": "x"}, ORDERS, "b.csv.gz is .* Unpack it first"),
    "a file of another kind in a folder": ({"a.csv": order(), "b.json": "x"}, ORDERS, "b.json is neither Parquet nor"),
    "both kinds": ({"a.csv": order(), "b.parquet": orders()}, ORDERS, "has both Parquet and CSV files"),
    "a folder in a folder": ({"a.csv": order(), "b/c.csv": order()}, ORDERS, "has the folder b, whose files would not"),
    "packed": ({"a.csv.gz": order()}, ORDERS, "neither Parquet nor CSV"),
    "a broken page in Parquet": (
        {"a.parquet": orders(), "b.parquet": broken(orders())}, ORDERS, "b.parquet cannot be read: .* Mend it"
    ),
    "milliseconds that no microseconds can hold": (
        {"a.parquet": order_at(2**62, unit="ms")}, ORDERS, "a.parquet cannot be read: Conversion Error"
    ),
    "text that is no UTF-8 in Parquet": (
        {"a.parquet": orders(user_id=pa.array([b"\xff"]).cast(pa.string(), safe=False))}, ORDERS, "a.parquet cannot be"
    ),
    "no Parquet": ({"a.parquet": order()}, ORDERS, "a.parquet cannot be read as Parquet"),
    "a name in capitals": ({"a.csv": order().replace("user_id", "USER_ID")}, ORDERS, "has no column user_id"),
    "no column": (
        {"a.csv": "a,b\n1,2\n"},
        ORDERS,
        r"no column order_timestamp, order_id, user_id; it has a, b\. orders needs order_timestamp, order_id, user_id",
    ),
    "a day": ({"a.csv": order(order_timestamp="2026-01-10")}, ORDERS, NO_ZONE),
    "a day with an offset": ({"a.csv": order(order_timestamp="2026-01-10-05")}, ORDERS, NO_ZONE),
    "a day as an outcome": (
        {"a.csv": order(merchant_id="m", chargeback_timestamp="2026-01-10")}, MERCHANTS, NO_ZONE
    ),
    "no zone": ({"a.csv": order(order_timestamp="2026-01-10 12:00:00")}, ORDERS, NO_ZONE),
    "digits": ({"a.csv": order(order_timestamp="1768046400")}, ORDERS, NO_ZONE),
    "digits with a zone": ({"a.csv": order(order_timestamp="1768046400Z")}, ORDERS, NO_ZONE),
    "a neighbour's zone": (
        {"a.csv": csv(f"1,u1,m1,1,{AT},", "2,u1,m1,1,2026-01-10T12:00:00,")}, ORDERS, "row 2 of a.csv, line 3"
    ),
    "no such offset": ({"a.csv": order(order_timestamp="2026-01-10T12:00:00+24:00")}, ORDERS, "1 row is no timestamp"),
    "no such day": ({"a.csv": order(order_timestamp="2026-02-30T12:00:00Z")}, ORDERS, "1 row is no timestamp"),
    "year 9999": ({"a.csv": order(order_timestamp="9999-12-31T23:59:59-14:00")}, ORDERS, YEARS),
    "year 2200": ({"a.csv": order(order_timestamp="2200-01-01T00:00:00Z")}, ORDERS, YEARS),
    "year 1969": ({"a.csv": order(order_timestamp="1970-01-01T00:00:00+01:00")}, ORDERS, YEARS),
    "year 1": ({"a.csv": order(order_timestamp="0001-01-01T00:00:00+14:00")}, ORDERS, YEARS),
    "an outcome in year 9999": (
        {"a.csv": order(merchant_id="m", chargeback_timestamp="9999-01-01T00:00:00Z")}, MERCHANTS, "not in the years"
    ),
    "known in year 9999": ({"a.csv": hour(created="9999-01-01T00:00:00Z")}, HOURS, YEARS),
    "year 9999 in Parquet": ({"a.parquet": order_at(datetime(9999, 1, 1, tzinfo=UTC))}, ORDERS, YEARS),
    "naive in Parquet": ({"a.parquet": order_at(NOON, zone=None)}, ORDERS, NO_ZONE),
    "naive nanoseconds": ({"a.parquet": order_at(NOON, unit="ns", zone=None)}, ORDERS, NO_ZONE),
    "days in Parquet": ({"a.parquet": orders(order_timestamp=[date(2026, 1, 10)])}, ORDERS, NO_ZONE),
    "numbers as timestamps": (
        {"a.parquet": orders(order_timestamp=[1768046400])}, ORDERS, "1 row is stored as int64, which is no timestamp"
    ),
    "floats as a key": ({"a.parquet": orders(user_id=[5.0])}, ORDERS, "user_id: 1 row is stored as double, which"),
    "decimals as a key": (
        {"a.parquet": orders(user_id=pa.array([Decimal("5.00")]))}, ORDERS, "stored as decimal128\\(3, 2\\), which"
    ),
    "truth as a key": ({"a.parquet": orders(user_id=[True])}, ORDERS, "stored as bool"),
    "a list as a key": ({"a.parquet": orders(user_id=[["a", "b"]])}, ORDERS, "stored as list<.*>"),
    "a struct as a key": ({"a.parquet": orders(user_id=[{"a": 1}])}, ORDERS, "stored as struct<.*>"),
    "bytes as a key": ({"a.parquet": orders(user_id=[b"u\xff1"])}, ORDERS, "stored as binary"),
    "a day as a key": ({"a.parquet": orders(user_id=[date(2026, 1, 10)])}, ORDERS, "stored as date32.*, which"),
    "a list as an amount": ({"a.parquet": orders(amount=[[1.0]])}, AMOUNTS, "stored as list<.*>"),
    "a duration as a number": ({"a.parquet": hours(driver_id=[timedelta(1)])}, HOURS, "stored as duration.*no int"),
    "no value at all": ({"a.parquet": orders(user_id=pa.nulls(1))}, ORDERS, "user_id: 1 row is empty"),
    "a large float as a key": ({"a.parquet": hours(driver_id=[2.0**60])}, HOURS, "too large for a float64 to be exact"),
    "half a driver": ({"a.parquet": hours(driver_id=[7.5])}, HOURS, "driver_id: 1 row is no int"),
    "beyond 64 bits": ({"a.parquet": hours(driver_id=pa.array([2**63], pa.uint64()))}, HOURS, "beyond 64 bits"),
    "beyond 64 bits as text": ({"a.csv": hour(driver_id="9223372036854775808")}, HOURS, "1 row is beyond 64 bits"),
    **{
        f"{text} as a driver": ({"a.csv": hour(driver_id=text)}, HOURS, "driver_id: 1 row is no int")
        for text in ("1.23E+03", "1_000", "0x10", "1e3", "7.5", "1 000", "true", "1-2")
    },
    "an endless amount": ({"a.csv": order(amount="-inf")}, AMOUNTS, r"input: amount: 1 row is beyond ±9e\+09, [^;]+$"),
    **{
        f"{text} as an amount": ({"a.csv": order(amount=f'"{text}"')}, AMOUNTS, "amount: 1 row is no float")
        for text in ("1_000", "1,5", "0x10", "$5", "5 USD", "true")
    },
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_file_that_leaves_a_question_is_refused_with_its_place(tmp_path: Path, monkeypatch, case: str):
    files, asks, message = WRONG[case]
    printed = execute(tmp_path, monkeypatch, files, **asks, code=1)
    assert pd.Series([printed]).str.contains(message)[0], printed
    assert "Traceback" not in printed
    assert not list((tmp_path / "root").rglob("part.parquet"))


def test_no_message_shows_what_a_secret_column_or_its_ragged_row_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    header, ssn = "driver_id,ssn,dl,event_timestamp,created", "078-05-1120"
    content = csv(f"7,{ssn},{'0' * 64},{AT},{AT}", f"7,{ssn},{'0' * 64},{AT}", header=header)
    asks = {"table": "driver_ssn_entities", "key": "ssn", "column": "*"}
    printed = execute(tmp_path, monkeypatch, {"a.csv": content}, **asks, code=1)
    assert "ssn: 1 row is not like" in printed
    assert "row: 1 row is longer or shorter than the header" in printed
    assert ssn not in printed


def test_a_quarantine_never_overwrites_an_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    bad = order(user_id="")
    for files, name in (({"a.csv": bad}, "a.csv"), ({"a.csv": bad, "b.csv": bad}, "c.csv")):
        more = ("--quarantine", str(tmp_path / "in" / name))
        assert "quarantine" in execute(tmp_path, monkeypatch, files, **ORDERS, code=1, more=more)
        assert {(tmp_path / "in" / name).read_text() for name in files} == {bad}
        assert sorted(file.name for file in (tmp_path / "in").iterdir()) == sorted(files)
