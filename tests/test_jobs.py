"""Pipelines as commands: intervals that can be run again, in any order, and after any accident."""

import fcntl
import random
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from processes import environment, run

import settings
from errors import BadInput
from features.chargeback import MERCHANT_RISK, USER_ORDERS
from jobs import execute
from jobs.batch.table import compute
from jobs.commands import jobs
from jobs.pipelines import named
from simulators import Size
from simulators.chargeback import events

pytestmark = pytest.mark.slow

DAY = timedelta(days=1)
END = datetime(2026, 1, 31, tzinfo=UTC)
LATER = END + 30 * DAY


@pytest.fixture(scope="module")
def orders() -> pd.DataFrame:
    return events(7, END, Size(users=60, merchants=100, order_days=30), b"")["orders"]


@pytest.fixture
def root(tmp_path: Path, orders: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    (tmp_path / "raw").mkdir()
    orders.to_parquet(tmp_path / "raw" / "orders.parquet")
    return tmp_path


def job(*arguments: str, code: int = 0) -> str:
    """What `python -m jobs` prints on the root of this test, in this process."""
    result = CliRunner().invoke(jobs, arguments)
    assert result.exit_code == code, result.output
    return result.output


def parts(table=USER_ORDERS) -> dict[str, tuple[bytes, int]]:
    directory = settings.root().feature_table(table.name)
    return {str(f.relative_to(directory)): (f.read_bytes(), f.stat().st_mtime_ns) for f in directory.rglob("*.parquet")}


def rows(table=USER_ORDERS) -> pd.DataFrame:
    frame = pd.concat(pd.read_parquet(f) for f in sorted(settings.root().feature_table(table.name).rglob("*.parquet")))
    return frame.sort_values([table.key, "event_timestamp"], ignore_index=True)


@pytest.mark.parametrize("table", [USER_ORDERS, MERCHANT_RISK], ids=lambda t: t.name)
def test_an_unchanged_run_leaves_every_byte_and_every_created_alone(root: Path, table):
    compute(settings.root(), table, END, END)
    before = parts(table)
    report = compute(settings.root(), table, END, LATER)
    assert (report.out.replaced, report.out.unchanged) == (0, len(before))
    assert parts(table) == before


@pytest.mark.parametrize("table", [USER_ORDERS, MERCHANT_RISK], ids=lambda t: t.name)
def test_days_filled_in_any_order_are_the_days_of_one_run(root: Path, table):
    compute(settings.root(), table, END, END)
    whole = rows(table).drop(columns="created")
    for part in settings.root().feature_table(table.name).rglob("*.parquet"):
        part.unlink()
    starts = [END - n * 3 * DAY for n in range(1, 12)]
    random.Random(1).shuffle(starts)
    for start in starts:
        compute(settings.root(), table, start + 3 * DAY, END, start)
    pd.testing.assert_frame_equal(rows(table).drop(columns="created"), whole)


def test_a_run_touches_the_days_after_its_start_up_to_its_end_and_no_other(root: Path, orders: pd.DataFrame):
    compute(settings.root(), USER_ORDERS, END, END)
    before = parts()
    doubled = orders.assign(amount=orders["amount"] * 2)
    doubled.to_parquet(root / "raw" / "orders.parquet")
    compute(settings.root(), USER_ORDERS, END - 5 * DAY, LATER, END - 8 * DAY)
    changed = {day for day, part in parts().items() if before[day] != part}
    assert changed == {f"year=2026/month=01/day={day}/part.parquet" for day in (24, 25, 26)}


def test_a_late_event_changes_only_the_rows_that_it_touches(root: Path, orders: pd.DataFrame):
    compute(settings.root(), USER_ORDERS, END, END)
    before = rows()
    late = orders.iloc[[1000]].assign(order_id="late", amount=7.0)
    pd.concat([orders, late]).to_parquet(root / "raw" / "orders.parquet")
    compute(settings.root(), USER_ORDERS, END, LATER)
    after = rows()
    new = after[after["created"] == pd.Timestamp(LATER)]
    assert set(new["user_id"]) == set(late["user_id"])
    assert (new["event_timestamp"] > late["order_timestamp"].iloc[0]).all()
    kept = after[after["created"] == pd.Timestamp(END)]
    assert len(kept) == len(kept.merge(before)) > 0.9 * len(before)


#: `python -m jobs`, killed when it is about to rename its n-th file.
KILLED = """
import os, signal, sys
from jobs.commands import jobs
left, rename = int(sys.argv[1]), os.replace
def counted(*paths):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    rename(*paths)
os.replace = counted
jobs(sys.argv[2:])
"""


@pytest.mark.slow
def test_killed_while_writing_each_day_is_old_or_new(root: Path, orders: pd.DataFrame):
    compute(settings.root(), USER_ORDERS, END, END)
    old = {day: part[0] for day, part in parts().items()}
    orders.assign(amount=orders["amount"] + 1).to_parquet(root / "raw" / "orders.parquet")
    execute = ["execute", "feature_store.user_orders", "--end-date", END.isoformat()]
    new = 0
    for renames in (1, 8):
        command = [sys.executable, "-c", KILLED, str(renames), *execute]
        run(command, code=-signal.SIGKILL, env=environment(RISK_DATA=root))
        new += renames  # a day that is new already is not written again
        assert sum(part[0] != old[day] for day, part in parts().items()) == new < len(old)
        assert sum(len(pd.read_parquet(settings.root().feature_table("user_orders") / day)) for day in old) > 0
    compute(settings.root(), USER_ORDERS, END, END)
    assert [day for day, part in parts().items() if part[0] == old[day]] == []
    assert not [path for path in (root / "features").iterdir() if path.name.startswith(".user_orders-")]
    whole = rows().drop(columns="created")
    for part in settings.root().feature_table("user_orders").rglob("*.parquet"):
        part.unlink()
    compute(settings.root(), USER_ORDERS, END, END)
    pd.testing.assert_frame_equal(rows().drop(columns="created"), whole)


def test_a_second_run_on_a_table_exits_with_3(root: Path):
    (root / "features").mkdir()
    with (root / "features" / ".user_orders.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "Another run is at work" in job("execute", "feature_store.user_orders", code=3)


def spoil(orders: pd.DataFrame, column: str, row: int, value: object) -> pd.DataFrame:
    spoiled = orders.astype({"order_timestamp": str, "chargeback_timestamp": str, "amount": object})
    spoiled = spoiled.replace({"NaT": None})
    spoiled.iloc[row, spoiled.columns.get_loc(column)] = value
    return spoiled


SPOILED = {
    "amount-minus": ("amount", -4.5, r"amount: 1 row is under 0, the first is row 8 of .* \(-4.5\)"),
    "amount-word": ("amount", "much", r"amount: 1 row is no float, the first is row 8 of .* \(much\)"),
    "amount-endless": ("amount", "inf", r"amount: 1 row is beyond"),
    "key": ("user_id", None, "user_id: 1 row is empty, the first is row 8"),
    "id": ("order_id", "", "order_id: 1 row is empty"),
    "no-zone": ("order_timestamp", "2026-01-05 10:00:00", "order_timestamp: 1 row is without a time zone"),
    "no-time": ("order_timestamp", "2026-13-05T10:00:00Z", "order_timestamp: 1 row is no timestamp"),
    "soon": ("order_timestamp", "soon", "order_timestamp: 1 row is without a time zone"),
}


@pytest.mark.parametrize("spoiled", SPOILED)
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_bad_row_stops_the_job_with_its_column_and_place_or_is_put_aside(root: Path, orders, spoiled, suffix):
    column, value, message = SPOILED[spoiled]
    bad = spoil(orders, column, 7, value).astype({"amount": str})
    path, quarantine = root / f"input{suffix}", root / f"bad{suffix}"
    bad.to_csv(path, index=False) if suffix == ".csv" else bad.to_parquet(path)
    with pytest.raises(BadInput, match=message):
        compute(settings.root(), USER_ORDERS, END, END, files=[path])
    assert parts() == {}
    report = compute(settings.root(), USER_ORDERS, END, END, files=[path], quarantine=quarantine)
    assert (report.events.rows, report.events.quarantined) == (len(orders), 1)
    aside = pd.read_csv(quarantine) if suffix == ".csv" else pd.read_parquet(quarantine)
    assert aside["reason"].str.startswith(column).tolist() == [True]


def test_a_quarantine_for_several_pipelines_is_a_folder_with_a_file_for_each(root: Path, orders: pd.DataFrame):
    bad = spoil(orders, "amount", 7, -4.5).astype({"amount": float})
    bad = bad.assign(order_timestamp=orders["order_timestamp"], chargeback_timestamp=orders["chargeback_timestamp"])
    bad.to_parquet(root / "raw" / "orders.parquet")
    chosen = [named(settings.root(), f"feature_store.{table.name}") for table in (USER_ORDERS, MERCHANT_RISK)]
    reports = list(execute.run(settings.root(), chosen, None, END, END, quarantine=root / "aside.d"))
    assert len(reports) == 2
    (file,) = (root / "aside.d").iterdir()  # the other table does not read the amount
    assert file.name == "feature_store.user_orders.parquet"
    assert pd.read_parquet(file)["reason"].tolist() == ["amount is under 0"]


def test_csv_parquet_and_a_folder_of_either_give_the_same_rows(root: Path, orders: pd.DataFrame):
    compute(settings.root(), USER_ORDERS, END, END)
    wanted = rows()
    (root / "folder").mkdir()
    for i, part in enumerate((orders.iloc[:500], orders.iloc[500:])):
        part.to_csv(root / "folder" / f"{i}.csv", index=False)
    report = job("execute", "feature_store.user_orders", "--input", str(root / "folder"), "--end-date", "2026-01-31")
    assert f"{len(orders):,} rows in, {len(wanted):,} rows out, 0 partitions replaced" in report
    pd.testing.assert_frame_equal(rows(), wanted)


def test_features_of_columns_that_an_input_lacks_are_missing(root: Path, orders: pd.DataFrame):
    path = root / "few.csv"
    orders[["order_id", "order_timestamp", "user_id"]].to_csv(path, index=False)
    printed = job("execute", "feature_store.user_orders", "--input", str(path), "--end-date", "2026-01-31")
    assert "no column amount: what rests on it is missing" in printed
    assert rows()["orders_amount_mean_7d"].isna().all()
    assert rows()["orders_count_7d"].gt(0).any()
    report = compute(settings.root(), MERCHANT_RISK, END, END, files=[path])
    assert report.out.rows == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "bad_input|no_data"), ("order_id,order_timestamp,user_id\n", "no_data.*holds no rows"),
     ("order_id,user_id\no1,u1\n", "no column order_timestamp"), ("a,b\n1,2,3\n", "bad_input")],
)  # fmt: skip
def test_an_invalid_input_changes_nothing_and_says_why(root: Path, content: str, message: str):
    compute(settings.root(), USER_ORDERS, END, END)
    before = parts()
    (root / "input.csv").write_text(content)
    printed = job("execute", "feature_store.user_orders", "--input", str(root / "input.csv"), code=1)
    assert pd.Series([printed.replace("\n", " ")]).str.contains(message)[0], printed
    assert "Traceback" not in printed
    assert parts() == before


def test_the_same_event_twice_counts_once_with_its_chargeback(root: Path, orders: pd.DataFrame):
    compute(settings.root(), MERCHANT_RISK, END, END)
    wanted = rows(MERCHANT_RISK)
    again = pd.concat([orders.assign(chargeback_timestamp=pd.NaT), orders], ignore_index=True)
    again["chargeback_timestamp"] = pd.to_datetime(again["chargeback_timestamp"], utc=True)
    again.to_parquet(root / "raw" / "orders.parquet")
    report = compute(settings.root(), MERCHANT_RISK, END, END)
    assert (report.events.repeated, report.out.replaced) == (len(orders), 0)
    pd.testing.assert_frame_equal(rows(MERCHANT_RISK), wanted)
