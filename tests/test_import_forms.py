"""What was stated about a file is how it is read: its cells, its dialect, its form. What was not stated is refused."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from own_data import HEAD, NOW, ROW, Importer

from errors import BadInput, BadParameter
from features.windows import Column
from features.windows.folds import LARGEST
from jobs.own import mapping
from jobs.own.cells import Fault, converter
from jobs.own.mapping import Mapping

SUMMER = datetime(2026, 7, 1, 10, tzinfo=UTC)
#: As a sheet and a data frame have it.
NAIVE = datetime(2026, 1, 1, 12)  # noqa: DTZ001


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    return Importer(tmp_path)


# Cells


def cell(value: object, dtype: Any = "float", now: datetime = NOW, **stated: Any) -> Any:
    return converter(Column("x", dtype), Mapping().changed(stated), now)(value)


GERMAN = {"decimal": ",", "thousands": "."}
LOCAL = {"time_zone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("value", "dtype", "stated", "expected"),
    [
        (" 12.5 ", "float", {}, 12.5),
        ("1.234,50", "float", GERMAN, 1234.5),
        ("1234,50", "float", GERMAN, 1234.5),
        ("-1e3", "float", {}, -1000.0),
        (Decimal("2.50"), "float", {}, 2.5),
        (7, "float", {}, 7.0),
        ("1.234", "int", GERMAN, 1234),
        (3.0, "int", {}, 3),
        ("yes", "int", {"ones": ("yes",), "zeros": ("no",)}, 1),
        ("no", "int", {"ones": ("yes",), "zeros": ("no",)}, 0),
        (True, "int", {"ones": ("TRUE",), "zeros": ("FALSE",)}, 1),
        ("fraud", "int", {"values": {"x": {"fraud": "1", "legit": "0"}}}, 1),
        ("M", "string", {"values": {"x": {"M": "male"}}}, "male"),
        (1001, "string", {}, "1001"),
        (1001.0, "string", {}, "1001"),
        (Decimal(10**25), "string", {}, str(10**25)),
        ("007", "string", {}, "007"),
        ("2026-07-01T12:00:00+02:00", "timestamp", {}, datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-07-01 12:00:00", "timestamp", LOCAL, datetime(2026, 7, 1, 10, tzinfo=UTC)),
        (NAIVE, "timestamp", LOCAL, datetime(2026, 1, 1, 11, tzinfo=UTC)),
        ("01.07.2026 12:00", "timestamp", {**LOCAL, "time_format": "%d.%m.%Y %H:%M"}, SUMMER),
        ("01.07.2026 12:00 +0200", "timestamp", {"time_format": "%d.%m.%Y %H:%M %z"}, SUMMER),
    ],
)  # fmt: skip
def test_a_cell_is_read_as_it_was_stated(value: object, dtype: str, stated: dict[str, Any], expected: object):
    assert cell(value, dtype, **stated) == expected


@pytest.mark.parametrize(
    ("value", "dtype", "stated", "fault"),
    [
        ("12,50", "float", {}, "is no number"),
        ("1.2345,50", "float", GERMAN, "is no number"),
        ("12.50", "float", GERMAN, "is no number"),
        ("1,234", "float", {"thousands": " "}, "is no number"),
        ("١٢", "float", {}, "is no number"),
        ("1_000", "float", {}, "is no number"),
        ("nan", "float", {}, "is no number"),
        ("1e300", "float", {}, f"is beyond ±{LARGEST:.0e}"),
        ("", "float", {}, "is empty"),
        (float("nan"), "float", {}, "is empty"),
        ("n/a", "float", {"missing": ("n/a",)}, "is empty"),
        ("2.5", "int", {}, "is no whole number"),
        ("yes", "int", {}, "is no whole number"),
        (True, "int", {}, "is no whole number"),
        ("maybe", "int", {"values": {"x": {"yes": "1"}}}, "is none of the stated values: yes"),
        (float("inf"), "int", {}, "is no whole number"),
        (Decimal("Infinity"), "int", {}, "is no whole number"),
        (Decimal("5.00"), "string", {}, "is a number with a fraction and no text"),
        (2.0**60, "string", {}, "is a number that is too large to be exact"),
        (1001.5, "string", {}, "is a number with a fraction and no text"),
        (NAIVE, "string", {}, "is a timestamp and no text"),
        ("a\0b", "string", {}, "has a NUL in it"),
        ("2026-01-01 12:00:00", "timestamp", {}, "is without a time zone"),
        ("20260101", "timestamp", LOCAL, "is no ISO 8601 timestamp"),
        ("1767225600", "timestamp", LOCAL, "is no ISO 8601 timestamp"),
        ("01.02.2026", "timestamp", LOCAL, "is no ISO 8601 timestamp"),
        ("2026-01-10-10:00", "timestamp", LOCAL, "is no ISO 8601 timestamp"),
        ("2026-01-10+02:00", "timestamp", LOCAL, "is no ISO 8601 timestamp"),
        ("2026-01-10x12:00Z", "timestamp", {}, "is no ISO 8601 timestamp"),
        ("2026-02-31T00:00:00Z", "timestamp", {}, "is no ISO 8601 timestamp"),
        ("2026-10-25 02:30:00", "timestamp", LOCAL, "is twice in Europe/Berlin: the clock was put back"),
        ("2026-03-29 02:30:00", "timestamp", LOCAL, "does not exist in Europe/Berlin: the clock was put forward"),
        ("1969-12-31T23:59:59Z", "timestamp", {}, "is not in the years 1970 to 2199"),
        ("9999-12-31T23:59:59-14:00", "timestamp", {}, "is not in the years 1970 to 2199"),
        ("0001-01-01 00:00:00", "timestamp", LOCAL, "is not in the years 1970 to 2199"),
        ("2026-11-26T12:00:01Z", "timestamp", {}, "is in the future"),
        (5, "timestamp", {}, "is no timestamp"),
        ("2026-01-01T00:00:00+16:00", "timestamp", {}, "has an offset that no time zone has"),
    ],
)
def test_a_cell_that_is_no_value_says_why(value: object, dtype: str, stated: dict[str, Any], fault: str):
    with pytest.raises(Fault) as raised:
        cell(value, dtype, **stated)
    assert str(raised.value) == fault


# Dialects and the file of the mapping

GERMAN_FILE = "Nr;Kunde;Zeit;Betrag\nB1;007;01.11.2026 13:00;1.234,50\n"
STATED: dict[str, Any] = {
    "columns": {"order_id": "Nr", "customer": "Kunde", "ordered_at": "Zeit", "amount": "Betrag"},
    "delimiter": ";", **GERMAN, **LOCAL, "time_format": "%d.%m.%Y %H:%M",
}  # fmt: skip


def test_the_next_file_needs_only_its_name(importer: Importer):
    importer.run(importer.file(GERMAN_FILE), **STATED)
    importer.run(importer.file(GERMAN_FILE.replace("B1", "B2"), "tomorrow.csv"))
    first, second = sorted(importer.rows(), key=lambda row: row["order_id"])
    assert (first["order_id"], second["order_id"]) == ("B1", "B2")
    assert {k: v for k, v in first.items() if k != "order_id"} == {k: v for k, v in second.items() if k != "order_id"}
    assert (first["customer"], first["amount"]) == ("007", 1234.5)
    assert first["ordered_at"] == datetime(2026, 11, 1, 12, tzinfo=UTC)


def test_a_mapping_may_be_written_by_hand_without_quotes(importer: Importer):
    importer.kept.parent.mkdir()
    importer.kept.write_text("ones: [yes, on]\nzeros: [no, off]\nvalues: {customer: {01: 1}}\n")
    kept = mapping.read(importer.kept)
    assert (kept.ones, kept.zeros, kept.values) == (("yes", "on"), ("no", "off"), {"customer": {"01": "1"}})


@pytest.mark.parametrize(
    ("text", "message"),
    [("delimeter: ;\n", "delimeter Extra inputs"), ("- a\n", "is no mapping"), ("a: [\n", "is no mapping")],
)
def test_a_broken_mapping_names_its_file(importer: Importer, text: str, message: str):
    importer.kept.parent.mkdir()
    importer.kept.write_text(text)
    with pytest.raises(BadInput, match=message) as raised:
        mapping.read(importer.kept)
    assert str(importer.kept) in raised.value.message


@pytest.mark.parametrize(
    ("text", "stated", "message"),
    [
        (GERMAN_FILE, {}, "line 1: .* has ';' and no ',' in it. State the delimiter: --delimiter ';'"),
        (f'{GERMAN_FILE}B2;"a";x;"1, 2"\n', {}, "State the delimiter: --delimiter ';'"),
        (GERMAN_FILE, STATED | {"time_zone": None}, r"ordered_at is without a time zone.*--time-zone"),
        (GERMAN_FILE, STATED | {"time_format": None}, r"ordered_at is no ISO 8601 timestamp.*--time-format"),
        (GERMAN_FILE, STATED | {"decimal": ".", "thousands": ""}, r"amount is no number.*--decimal"),
        (GERMAN_FILE, STATED | {"columns": {"amount": "Betrog"}}, "no column 'Betrog'. Did you mean 'Betrag'"),
        ("Order ID,customer,ordered_at,amount\n", {},
         "lacks order_id.*order_id may be 'Order ID'.*--map order_id=THEIRS"),
        (f"{HEAD},is_fraud\n{ROW},yes\n", {}, "is_fraud is no whole number; the first is line 2.*--true yes"),
        (f"{HEAD},amount\n{ROW},1\n", {}, "amount"),
    ],
)  # fmt: skip
def test_what_was_not_stated_is_refused(importer: Importer, text: str, stated: dict[str, Any], message: str):
    with pytest.raises(BadInput, match=message):
        importer.run(importer.file(text), **stated)
    assert not importer.kept.exists()
    assert not importer.rows()


@pytest.mark.parametrize(
    "stated",
    [
        {"delimiter": ";;"}, {"encoding": "klingon"}, {"time_zone": "Berlin"}, {"columns": {"amuont": "x"}},
        {"decimal": ",", "thousands": ","}, {"id": ("order_id",)}, {"values": {"x": {"a": "b"}}},
        {"time_zone": "Europe/Berlin", "time_format": "%d.%m.%Y %z"}, {"time_format": "%d.%m.%Y %H:%M %Z"},
    ],
)  # fmt: skip
def test_an_impossible_statement_is_refused(importer: Importer, stated: dict[str, Any]):
    with pytest.raises(BadParameter):
        importer.run(importer.file(f"{HEAD}\n{ROW}\n"), **stated)
