"""Files of others become checked rows of a raw table, and every row is counted."""

import json
import os
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from own_data import HEAD, NOW, ORDERS, ROW, VISITS, Importer, counts

import files
import settings
from errors import BadInput, Busy, NoData
from features.windows import Column
from jobs import sql
from jobs.commands import jobs
from jobs.own import importing
from jobs.own.cells import Fault, converter
from jobs.own.mapping import Mapping
from jobs.own.rows import made_id
from jobs.raw import places
from jobs.raw.relations import open_rows


@pytest.fixture
def importer(tmp_path: Path) -> Importer:
    return Importer(tmp_path)


def test_every_row_is_kept_or_a_duplicate_or_in_the_quarantine(importer: Importer):
    text = f"{HEAD}\n{ROW}\n{ROW}\no2,c1,2026-11-02T12:00:00Z,much\no3,c1,2026-11-02T12:00:00Z,1,2\no4,,x,-1\n"
    report = importer.run(importer.file(text), quarantines=True)
    assert counts(report) == [(5, 1, 1, 3)]
    assert [row["order_id"] for row in importer.rows()] == ["o1"]
    bad = importer.quarantine.read_text().splitlines()
    assert bad[1].startswith("orders.csv,4,amount is no number,")
    assert bad[2] == 'orders.csv,5,the row has not as many cells as the header,"o3,c1,2026-11-02T12:00:00Z,1,2"'
    assert "customer is empty" in bad[3]
    assert "amount is under 0" in bad[3]
    assert "ordered_at is no ISO 8601 timestamp" in bad[3]


def test_the_same_file_twice_changes_nothing(importer: Importer):
    file = importer.file(f"{HEAD}\n{ROW}\no2,c1,2026-11-02T12:00:00Z,much\n")
    importer.run(file, quarantines=True)
    before = {path: path.read_bytes() for path in importer.folder.rglob("*") if path.is_file()}
    assert counts(importer.run(file, quarantines=True, now=NOW + timedelta(days=60))) == [(2, 0, 1, 1)]
    assert {path: path.read_bytes() for path in importer.folder.rglob("*") if path.is_file()} == before


def test_duplicates_are_counted_across_files_and_forms(importer: Importer):
    importer.run(importer.file(f"{HEAD}\n{ROW}\n"))
    second = importer.file(f"{HEAD}\n{ROW}\no2,c2,2026-11-02T12:00:00Z,3\n", "second.csv")
    values = {"order_id": ["o2", "o3"], "customer": ["c2", "c3"], "amount": [3.0, 4.0],
              "ordered_at": [datetime(2026, 11, day, 12, tzinfo=UTC) for day in (2, 3)]}  # fmt: skip
    pq.write_table(pa.table(values), importer.folder / "third.parquet")
    report = importer.run(second, importer.folder / "third.parquet")
    assert counts(report) == [(2, 1, 1, 0), (2, 1, 1, 0)]
    assert sorted(row["order_id"] for row in importer.rows()) == ["o1", "o2", "o3"]


def test_a_row_that_fills_in_an_earlier_one_is_kept_and_dated(importer: Importer):
    head = f"{HEAD},is_fraud"
    importer.run(importer.file(f"{head}\n{ROW},\n"), happened={"is_fraud_timestamp": "is_fraud"})
    report = importer.run(importer.file(f"{head}\n{ROW},1\n", "tomorrow.csv"), now=NOW + timedelta(days=1))
    assert (counts(report), report.changes) == ([(1, 1, 0, 0)], 1)
    first, second = sorted(importer.rows(), key=lambda row: row["created"] is not None)
    assert (first["is_fraud"], first["is_fraud_timestamp"], first["created"]) == (None, None, None)
    assert (second["is_fraud"], second["created"]) == (1, NOW + timedelta(days=1))
    assert second["is_fraud_timestamp"] == second["ordered_at"]


def test_jobs_read_an_order_with_what_each_file_knew_of_it(importer: Importer):
    head, tomorrow = f"{HEAD},is_fraud", NOW + timedelta(days=1)
    importer.run(importer.file(f"{head}\n{ROW},\n"), happened={"is_fraud_timestamp": "is_fraud"})
    importer.run(importer.file(f"{head}\n{ROW},1\n", "tomorrow.csv"), now=tomorrow)
    history = places.history_files(importer.root, ORDERS.name)
    for until, label in ((tomorrow - timedelta(seconds=1), None), (tomorrow + timedelta(seconds=1), 1)):
        with sql.connect() as connection:
            open_rows(connection, ORDERS, history, until, None)
            rows = connection.execute("SELECT order_id, customer, amount, is_fraud FROM raw_row").fetchall()
        assert rows == [("o1", "c1", 12.5, label)]


def test_an_id_that_names_two_events_is_a_fault(importer: Importer):
    twice = importer.file(f"{HEAD}\n{ROW}\n{ROW.replace('12.50', '13')}\n")
    with pytest.raises(BadInput, match="order_id is in line 2, too, with other values; the first is line 3"):
        importer.run(twice)
    importer.run(importer.file(f"{HEAD}\n{ROW}\n"))
    with pytest.raises(BadInput, match="order_id was imported with another ordered_at"):
        importer.run(importer.file(f"{HEAD}\n{ROW.replace('T12', 'T13')}\n", "other.csv"))


def test_without_an_id_a_file_that_was_imported_is_all_duplicates(importer: Importer):
    file = importer.file("customer,pages,event_timestamp\nc1,1,2026-11-01T12:00:00Z\nc1,1,2026-11-01T12:00:00Z\n")
    assert counts(importer.run(file, raw=VISITS)) == [(2, 2, 0, 0)]
    copy = importer.file(file.read_text(), "copy.csv")
    assert counts(importer.run(copy, raw=VISITS)) == [(2, 0, 2, 0)]
    assert len(importer.rows(VISITS)) == 2


def test_an_id_may_be_made_of_other_columns(importer: Importer):
    noon = "2026-11-01T12:00:00Z,1\n"
    text = f"Kunde,ordered_at,amount\nc1,{noon}c1,2026-11-01T13:00:00+01:00,1\nc2,{noon}"
    report = importer.run(importer.file(text), columns={"customer": "Kunde"}, id=("customer", "ordered_at"))
    assert counts(report) == [(3, 2, 1, 0)]
    assert sorted(row["order_id"] for row in importer.rows()) == ["c1|2026-11-01T12:00:00Z", "c2|2026-11-01T12:00:00Z"]


# What is there stays


def test_files_that_were_not_imported_stay_as_they_are(importer: Importer):
    place = importer.root.raw_table("own_orders").with_suffix(".parquet")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"theirs")
    with pytest.raises(BadInput, match=r"own_orders.parquet was not imported.*another root"):
        importer.run(importer.file(f"{HEAD}\n{ROW}\n"))
    assert place.read_bytes() == b"theirs"


def test_a_quarantine_with_other_rows_is_not_overwritten(importer: Importer):
    importer.quarantine.write_text("precious")
    with pytest.raises(BadInput, match="has other rows"):
        importer.run(importer.file(f"{HEAD}\n{ROW}\no2,c1,x,1\n"), quarantines=True)
    assert importer.quarantine.read_text() == "precious"
    assert not importer.rows()


def test_a_crash_before_the_end_leaves_nothing_half(importer: Importer, monkeypatch: pytest.MonkeyPatch):
    def crash(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", crash)
    with pytest.raises(KeyboardInterrupt):
        importer.run(importer.file(f"{HEAD}\n{ROW}\n"))
    assert not importer.rows()
    assert not importer.kept.exists()
    assert not list(importer.folder.rglob("*.tmp"))


def test_a_file_without_rows_is_refused(importer: Importer):
    with pytest.raises(NoData, match=r"orders\.csv holds no rows"):
        importer.run(importer.file(f"{HEAD}\n"))


def test_the_quarantined_row_can_be_mended(importer: Importer):
    importer.quarantine = importer.folder / "bad.parquet"
    importer.run(importer.file(f"{HEAD}\n{ROW}\no2,c1,2026-11-02T12:00:00Z,much\n"), quarantines=True)
    (bad,) = pq.read_table(importer.quarantine).to_pylist()
    assert (bad["line"], json.loads(bad["row"])["amount"]) == (3, "much")


def test_a_header_is_found_however_its_letters_are_written(importer: Importer):
    header = unicodedata.normalize("NFD", "order_id, Händler ,ordered_at,amount")
    importer.run(importer.file(f"{header}\n{ROW}\n"), columns={"customer": "Händler"})
    assert [row["customer"] for row in importer.rows()] == ["c1"]


def test_parts_of_an_id_cannot_be_confused():
    assert made_id(["a|b", "c"]) != made_id(["a", "b|c"])
    assert made_id(["a\\", "b"]) != made_id(["a\\|b", ""])


def test_after_a_kill_between_two_files_the_same_command_writes_the_rest(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
):
    rename, renamed = os.replace, list[str]()

    def kill_at_the_second(source: Path, target: Path) -> None:
        if renamed:
            raise KeyboardInterrupt
        renamed.append(str(target))
        rename(source, target)

    paths = [importer.file(f"{HEAD}\n{ROW}\n"), importer.file(f"{HEAD}\n{ROW.replace('o1', 'o2')}\n", "second.csv")]
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "replace", kill_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            importer.run(*paths)
    importer.root.raw_table("own_orders").joinpath(".left.parquet.tmp").write_bytes(b"half")
    assert counts(importer.run(*paths)) == [(1, 0, 1, 0), (1, 1, 0, 0)]
    assert sorted(row["order_id"] for row in importer.rows()) == ["o1", "o2"]
    assert importer.kept.exists()
    assert not list(importer.folder.rglob("*.tmp"))


def test_one_import_at_a_time_works_on_a_table(importer: Importer):
    with importing.table_lock(importer.root, ORDERS), pytest.raises(Busy, match="own_orders"):
        importer.run(importer.file(f"{HEAD}\n{ROW}\n"))


def test_the_command_says_what_became_of_each_row(importer: Importer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settings, "sources", lambda: importer.folder / "sources")
    monkeypatch.setenv("RISK_DATA", str(importer.root))
    file = importer.file("Nr,user_id,order_timestamp\n#1,u1,2026-01-02T00:00:00Z\n#1,u1,2026-01-02T00:00:00Z\n")
    stated = (["--map", "order_id=Nr"], [])  # the second time, the mapping is kept
    for options, kept in zip(stated, ("1 kept + 1", "0 kept + 2"), strict=True):
        result = CliRunner().invoke(jobs, ["import", "orders", str(file), *options])
        assert result.exit_code == 0, result.output
        assert f"orders.csv: 2 rows in = {kept} duplicates + 0 quarantined" in result.output
    assert (importer.folder / "sources/orders.yaml").read_text().endswith("columns:\n  order_id: Nr\n")
    wrong = CliRunner().invoke(jobs, ["import", "order", str(file)])
    assert "There is no raw table 'order'. Did you mean 'orders'?" in wrong.stderr


def test_a_tab_is_stated_as_a_backslash_and_a_t(importer: Importer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settings, "sources", lambda: importer.folder / "sources")
    monkeypatch.setenv("RISK_DATA", str(importer.root))
    file = importer.file("order_id\tuser_id\torder_timestamp\nb\tu1\t2026-01-02T00:00:00Z\n")
    missing = CliRunner().invoke(jobs, ["import", "orders", str(file)])
    assert missing.stderr.endswith("State the delimiter: --delimiter '\\t'\n")
    stated = CliRunner().invoke(jobs, ["import", "orders", str(file), "--delimiter", "\\t"])
    assert "1 rows in = 1 kept" in stated.output


def test_a_file_of_another_encoding_is_read_as_it_was_stated(importer: Importer):
    path = importer.folder / "orders.csv"
    path.write_bytes(f"{HEAD}\r\n{ROW.replace('c1', 'Müller')}\r\n".encode("cp1252"))
    with pytest.raises(BadInput, match=r"line 2.*encoding"):
        importer.run(path)
    importer.run(path, encoding="cp1252")
    assert [row["customer"] for row in importer.rows()] == ["Müller"]


def test_a_date_of_birth_may_be_before_1970():
    born = Column("dob", "timestamp", earliest=datetime(1900, 1, 1, tzinfo=UTC))
    convert = converter(born, Mapping(time_zone="UTC"), NOW)
    assert convert("1955-05-17") == datetime(1955, 5, 17, tzinfo=UTC)
    with pytest.raises(Fault, match="in the years 1900 to 2199"):
        convert("1899-12-31")
