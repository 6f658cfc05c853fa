"""A scheduler asks whether the events of a day are there before it computes features."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from raw_files import csv

from cli.exit_codes import ExitCode
from jobs.commands import jobs


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two orders, of the first and of the last microsecond of a day."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    (tmp_path / "raw").mkdir()
    rows = ("1,u1,m1,1,2026-01-10T00:00:00Z,", "2,u1,m1,1,2026-01-10T23:59:59.999999Z,")
    (tmp_path / "raw/orders.csv").write_text(csv(*rows))
    return tmp_path


def arrived(table: str, start: str, end: str) -> Result:
    return CliRunner().invoke(jobs, ["arrived", table, "--start-date", start, "--end-date", end])


def test_a_day_is_there_when_one_of_its_events_is(root: Path):
    answer = arrived("orders", "2026-01-10", "2026-01-11")
    assert (answer.exit_code, answer.output) == (0, "orders: 2 rows from 2026-01-10 00:00 to 2026-01-11 00:00 UTC\n")


@pytest.mark.parametrize(("start", "end"), [("2026-01-09", "2026-01-10"), ("2026-01-11", "2026-01-12")])
def test_an_event_of_a_neighbouring_day_does_not_count(root: Path, start: str, end: str):
    answer = arrived("orders", start, end)
    assert answer.exit_code == ExitCode.FAILED
    assert f"orders has no event from {start} 00:00 to {end} 00:00 UTC. Wait for its sender" in answer.output


@pytest.mark.parametrize(
    ("table", "end", "words"),
    [
        ("order", "2026-01-11", "Did you mean 'orders'?"),
        ("orders", "2026-01-10", "is not before --end-date"),
        ("purchases", "2026-01-11", "No raw events at"),
    ],
)
def test_what_cannot_be_answered_says_why(root: Path, table: str, end: str, words: str):
    answer = arrived(table, "2026-01-10", end)
    assert answer.exit_code == ExitCode.FAILED
    assert words in answer.output
