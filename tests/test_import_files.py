"""Excel and Parquet files of others are read as their programs show them. What a file does not say is refused."""

from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.chart import BarChart, Reference
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from own_data import NOW, Importer, counts
from raw_files import US, broken

from errors import BadInput, RiskError

#: As a sheet and a data frame have it.
NAIVE = datetime(2026, 1, 1, 12)  # noqa: DTZ001
LOCAL = {"time_zone": "Europe/Berlin"}


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    return Importer(tmp_path)


def workbook(path: Path, *sheets: str) -> Path:
    book = Workbook()
    for name in sheets:
        sheet = book.create_sheet(name)
        sheet.append(["order_id", "customer", "ordered_at", "amount", "is_fraud", None])
        sheet.append([1001, "007", datetime.fromisoformat("2026-11-01T13:00:07"), 12.5, True])
        sheet.append([1002, "007", datetime.fromisoformat("2026-11-01T13:00:00"), "#N/A", False])
        sheet.append([None] * 5)
        sheet.append([1003, "007", datetime.fromisoformat("2026-10-25T02:30:00"), 1, None, None, "x"])
    del book["Sheet"]
    book.save(path)
    return path


def test_a_sheet_has_local_times_whole_numbers_as_ids_and_errors(importer: Importer):
    file = workbook(importer.folder / "orders.xlsx", "2026")
    words: dict[str, Any] = {"ones": ("TRUE",), "zeros": ("FALSE",)}
    with pytest.raises(BadInput, match="ordered_at is without a time zone"):
        importer.run(file, **words)
    report = importer.run(file, **words, **LOCAL, quarantines=True)
    assert counts(report) == [(3, 1, 0, 2)]
    (row,) = importer.rows()
    assert (row["order_id"], row["customer"], row["is_fraud"]) == ("1001", "007", 1)
    assert row["ordered_at"] == datetime(2026, 11, 1, 12, 0, 7, tzinfo=UTC)
    bad = importer.quarantine.read_text()
    assert "orders.xlsx,3,amount is an error of its program" in bad
    assert "orders.xlsx,5,the row has not as many cells as the header" in bad


def test_a_workbook_with_two_sheets_asks_for_one(importer: Importer):
    file = workbook(importer.folder / "orders.xlsx", "2025", "2026")
    with pytest.raises(BadInput, match=r"has the sheets 2025, 2026\. State one: --sheet NAME"):
        importer.run(file)
    with pytest.raises(BadInput, match=r"no sheet '2027'\. State one of: 2025, 2026"):
        importer.run(file, sheet="2027")


#: Cells of a sheet → what is wrong with it.
SHEETS: dict[str, tuple[dict[str, Any], str]] = {
    "a formula that nobody computed": ({"E2": "=1+0"}, "is_fraud is a formula without a value: open and save"),
    "a row of formulas": ({f"{c}3": "=A2" for c in "ABCDE"}, "order_id is a formula without a value"),
    "cells that are merged": ({"E2": 1, "A3": 2, "B3": "7", "C3": NAIVE, "D3": 1, "merged": "E2:E3"},
                              "is_fraud is merged with other cells: separate them; the first is line 3"),
    "an id of 16 digits": ({"A2": 1234567890123450}, "order_id is a number of more than 15 digits"),
    "a large id": ({"A2": 1.5e30}, "order_id is a number of more than 15 digits"),
    "a header below": ({"moved": 1}, "line 1: no column has a name"),
    "nothing": ({"moved": 99}, "line 1: no column has a name"),
    "a time of day": ({"C2": time(13)}, "ordered_at is no timestamp"),
    "a number as a time": ({"C2": 46327.5}, "ordered_at is no timestamp"),
}  # fmt: skip


def sheet(path: Path, cells: dict[str, Any]) -> Path:
    """A workbook with one order, and `cells` put over it; `merged` is a range, `moved` how many rows it lies lower."""
    book = Workbook()
    own = book.worksheets[0]
    own.append(["order_id", "customer", "ordered_at", "amount", "is_fraud"])
    own.append([1, "7", NAIVE, 12.5])
    for place, value in cells.items():
        if place == "merged":
            own.merge_cells(value)
        elif place == "moved":
            own.insert_rows(1, value)
        else:
            own[place].number_format = "General"
            own[place] = value
    book.save(path)
    return path


@pytest.mark.parametrize("case", SHEETS)
def test_a_sheet_that_leaves_a_question_is_refused_with_its_line(importer: Importer, case: str):
    cells, message = SHEETS[case]
    with pytest.raises(BadInput, match=message):
        importer.run(sheet(importer.folder / "orders.xlsx", cells), **LOCAL)


def test_a_sheet_is_read_as_its_program_shows_it(importer: Importer, monkeypatch: pytest.MonkeyPatch):
    path = sheet(importer.folder / "orders.xlsx", {"A2": 7, "D2": "=1+1"})
    book = load_workbook(path)
    book.worksheets[0]["A2"].number_format = "00000"
    book.worksheets[0].row_dimensions[2].hidden = True
    monkeypatch.setattr(book, "epoch", CALENDAR_MAC_1904)
    chart = BarChart()
    chart.add_data(Reference(book.worksheets[0], 1, 1, 2, 2))
    book.create_chartsheet("chart", 0).add_chart(chart)
    book.save(path)
    with ZipFile(path) as old, ZipFile(importer.folder / "computed.xlsx", "w") as new:  # as Excel saves it
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"<v></v>", b"<v>2</v>").replace(b"<v />", b"<v>2</v>"))
    importer.run(importer.folder / "computed.xlsx", **LOCAL)
    (row,) = importer.rows()
    assert (row["order_id"], row["amount"], row["ordered_at"]) == ("00007", 2, NAIVE.replace(hour=11, tzinfo=UTC))


FAR = 9_000_000_000_000_000_000


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"ordered_at": pa.array([FAR], pa.timestamp("us", "UTC"))}, "ordered_at is not in the years 1970 to 2199"),
        ({"ordered_at": pa.array([-FAR], pa.timestamp("us"))}, "ordered_at is not in the years 1970 to 2199"),
        ({"ordered_at": pa.array([10**9], pa.timestamp("ms", "Mars/Base"))}, "ordered_at cannot be read: 'Mars/Base'"),
        ({"ordered_at": pa.array([2 * 10**9], pa.int32()).cast(pa.date32())}, "ordered_at is not in the years 1970"),
        ({"customer": pa.array([b"\xff"]).cast(pa.string(), safe=False)}, "customer cannot be read: 'utf-8' codec"),
        ({"customer": [["a"]]}, "customer is a list and no text"),
        ({"is_fraud": [float("inf")]}, "is_fraud is no whole number"),
    ],
)
def test_a_cell_of_parquet_that_is_no_value_is_refused(importer: Importer, columns: dict[str, Any], message: str):
    values = {"order_id": ["o1"], "customer": ["c1"], "amount": [1.0], "ordered_at": pa.array([NOW], US)}
    pq.write_table(pa.table(values | columns), importer.folder / "orders.parquet")
    with pytest.raises(BadInput, match=f"{message}.*; the first is row 1 of orders"):
        importer.run(importer.folder / "orders.parquet", **LOCAL)
    # A column that is not ours may have anything.
    pq.write_table(pa.table(values | {"theirs": next(iter(columns.values()))}), importer.folder / "orders.parquet")
    assert counts(importer.run(importer.folder / "orders.parquet")) == [(1, 1, 0, 0)]


@pytest.mark.parametrize("name", ["orders.json", "missing.csv", "broken.xlsx", "broken.parquet", "folder.csv",
                                  "page.parquet", "half.xlsx"])  # fmt: skip
def test_a_file_that_cannot_be_read_is_named(importer: Importer, name: str):
    if name == "folder.csv":
        (importer.folder / name).mkdir()
    elif name == "page.parquet":
        (importer.folder / name).write_bytes(broken(pa.table({"order_id": ["o1"], "customer": ["c1"], "amount": [1.0],
                                                              "ordered_at": pa.array([NOW], US)})))  # fmt: skip
    elif name == "half.xlsx":
        with ZipFile(sheet(importer.folder / "whole.xlsx", {})) as old, ZipFile(importer.folder / name, "w") as new:
            for part in old.namelist():
                new.writestr(part, old.read(part)[: None if part != "xl/worksheets/sheet1.xml" else -90])
    elif not name.startswith("missing"):
        (importer.folder / name).write_bytes(b"nothing")
    with pytest.raises(RiskError, match=name):
        importer.run(importer.folder / name)


def test_a_parquet_file_in_nanoseconds_without_a_zone_is_local(importer: Importer):
    times = pa.array([1_793_541_600_000_000_999], pa.timestamp("ns"))
    values = {"order_id": pa.array([5], pa.int64()), "customer": pa.array(["c"]).dictionary_encode(),
              "amount": pa.array([Decimal("2.50")]), "ordered_at": times}  # fmt: skip
    pq.write_table(pa.table(values), importer.folder / "orders.parquet")
    importer.run(importer.folder / "orders.parquet", **LOCAL)
    (row,) = importer.rows()
    assert (row["order_id"], row["customer"], row["amount"]) == ("5", "c", 2.5)
    assert row["ordered_at"] == datetime(2026, 11, 1, 13, tzinfo=UTC)
