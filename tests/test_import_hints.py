"""An import says what would help, where that reads the cells and was not stated, and which columns it did not read."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from own_data import HEAD, Importer

import settings
from errors import BadInput
from jobs.commands import jobs

FORM, BERLIN = "%d.%m.%Y %H:%M:%S", "Europe/Berlin"
LOCAL = {"time_format": FORM, "time_zone": BERLIN}
#: Cells of two rows: time, amount, label; what was stated; what the message must propose.
WRITTEN = {
    "a decimal comma": (("18,05", "2,5"), "amount", {}, "with --decimal ','."),
    "points between thousands": (("1.234,50", "2,5"), "amount", {"decimal": ","}, "with --thousands '.'."),
    "both": (("1.234,50", "18,05"), "amount", {}, "with --decimal ',' --thousands '.'."),
    "either": (("1,234", "2,345"), "amount", {}, "with --decimal ',' or --thousands ','."),
    "a quote between thousands": (("1'234.50", "2'000"), "amount", {}, """with --thousands "'"."""),
    "a local form": (("28.08.2026 09:41:37",) * 2, "ordered_at", {}, f"--time-format '{FORM}' --time-zone {BERLIN}."),
    "another form": (("28.08.2026 09:41",) * 2, "ordered_at", LOCAL, "with --time-format '%d.%m.%Y %H:%M'."),
    "an American form": (("08/28/2026 9:41",) * 2, "ordered_at", {}, "--time-format '%m/%d/%Y %H:%M' --time-zone"),
    "two forms": (("08/07/2026 9:41",) * 2, "ordered_at", LOCAL, "%d/%m/%Y %H:%M' or --time-format '%m/%d/%Y %H:%M'."),
    "ISO 8601": (("2026-08-28 09:41",) * 2, "ordered_at", LOCAL, "with no --time-format."),
    "no zone": (("2026-08-28 09:41",) * 2, "ordered_at", {}, "in which zone the clock was: --time-zone Europe/Berlin."),
    "words": (("yes", "no"), "is_fraud", {}, "is_fraud has 'yes', 'no'. Where such a word means 1 or 0, state it: --t"),
    "short words": (("N", "J"), "is_fraud", {}, "state it: --true J --false N."),
    "booleans": (("False", "True"), "is_fraud", {}, "state it: --true True --false False."),
    "foreign words": (("oui", "non"), "is_fraud", {}, "state it: --true yes --false no."),
    "other words": (("Ja", "nein"), "is_fraud", {"ones": ("ja",), "zeros": ("nein",)}, "is_fraud has also 'Ja'."),
    "numbers": (("12.5", "7"), "is_fraud", {}, "is_fraud can only be 0 or 1: no or yes. To estimate a number"),
}  # fmt: skip
NOTHING = {
    "a word": (("auf Anfrage",) * 2, "amount", {"decimal": ","}),
    "a day": (("gestern",) * 2, "ordered_at", LOCAL),
    "a quantity": (("-1", "-2"), "amount", {}),
}
#: The header of a file: which optional columns it lacks, what is proposed, and which of its own nobody reads.
COLUMNS = {
    "all": ("merchant_id,amount,chargeback_timestamp", "", "", ""),
    "more": ("merchant_id,amount,chargeback_timestamp,note,remark", "", "", "note, remark"),
    "one less": ("merchant_id,amount,note", "chargeback_timestamp", "", "note"),
    "none": ("note", "merchant_id, amount, chargeback_timestamp", "", "note"),
    "in other letters": ("Merchant Id,amount,chargeback_timestamp", "merchant_id", "--map 'merchant_id=Merchant Id'",
                         "Merchant Id"),
    "misspelled": ("merchent_id,amonut,chargeback_timestamp", "merchant_id, amount",
                   "--map merchant_id=merchent_id --map amount=amonut", "merchent_id, amonut"),
}  # fmt: skip


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    return Importer(tmp_path)


def refused(importer: Importer, cells: tuple[str, str], column: str, stated: dict[str, Any]) -> str:
    """The message of an import of two rows that have these cells in the column."""
    is_local = "time_format" in stated
    rows = []
    for number, cell in enumerate(cells):
        row = {"order_id": f"o{number}", "customer": "c1", "is_fraud": "",
               "ordered_at": "28.08.2026 09:41:37" if is_local else "2026-08-28T09:41:37Z", "amount": "1"}  # fmt: skip
        rows.append('"' + '","'.join((row | {column: cell})[name] for name in f"{HEAD},is_fraud".split(",")) + '"')
    with pytest.raises(BadInput) as raised:
        importer.run(importer.file("\n".join([f"{HEAD},is_fraud", *rows]) + "\n"), **stated)
    return raised.value.message


@pytest.mark.parametrize(("cells", "column", "stated", "hint"), WRITTEN.values(), ids=WRITTEN)
def test_what_would_read_the_cells_is_proposed(
    importer: Importer, cells: tuple[str, str], column: str, stated: dict[str, Any], hint: str
):
    assert hint in refused(importer, cells, column, stated)


@pytest.mark.parametrize(("cells", "column", "stated"), NOTHING.values(), ids=NOTHING)
def test_what_would_not_help_is_not_proposed(
    importer: Importer, cells: tuple[str, str], column: str, stated: dict[str, Any]
):
    message = refused(importer, cells, column, stated)
    assert "--" not in message.replace("--quarantine", "")


@pytest.mark.parametrize(("local", "iso", "is_helped"), [(9, 1, False), (1, 9, True), (5, 5, False)])
def test_an_option_that_loses_more_rows_than_it_reads_is_not_proposed(importer: Importer, local, iso, is_helped):
    times = ["28.08.2026 09:41:37"] * local + ["2026-08-28 09:41"] * iso
    rows = [f"o{number},c1,{time},12.50" for number, time in enumerate(times)]
    with pytest.raises(BadInput) as raised:
        importer.run(importer.file("\n".join([HEAD, *rows]) + "\n"), **LOCAL)
    assert ("with no --time-format" in raised.value.message) == is_helped


def test_a_quarantine_of_every_row_says_what_would_help(importer: Importer):
    file = importer.file(f"{HEAD}\no1,c1,2026-11-01 12:00:00,12.50\n")
    report = importer.run(file, quarantines=True, now=datetime(2026, 11, 26, tzinfo=UTC))
    assert report.remedies == ["State in which zone the clock was: --time-zone Europe/Berlin."]


@pytest.mark.parametrize(("head", "lacks", "maps", "left_out"), COLUMNS.values(), ids=COLUMNS)
def test_a_column_that_is_not_read_is_named(importer: Importer, monkeypatch, head, lacks, maps, left_out):
    monkeypatch.setattr(settings, "sources", lambda: importer.folder / "sources")
    monkeypatch.setenv("RISK_DATA", str(importer.root))
    file = importer.file(
        f"order_id,user_id,order_timestamp,{head}\nb,u1,2026-01-02T00:00:00Z{',' * len(head.split(','))}\n"
    )
    _, *lines = CliRunner().invoke(jobs, ["import", "orders", str(file)]).output.splitlines()
    near = f" If it is there under another name, write {maps}" if maps else ""
    expected = [f"orders.csv has no column for {lacks}: imported empty.{near}"] if lacks else []
    assert lines[:-2] == [*expected, *([f"Left out: {left_out}"] if left_out else [])]
