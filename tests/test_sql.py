"""Names and values become SQL in one place, whatever characters they hold; a DuckDB of ours is in UTC."""

import ast
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest

import settings
from jobs import sql

TEXTS = ["plain", "a b", "it's", 'say "x"', "--", ";DROP TABLE t", "é", "'\"'"]
KEYWORDS = ("SELECT ", "FROM ", "WHERE ", "TABLE ", "COPY ", "INSERT ", "SET ")


@pytest.mark.parametrize("text", TEXTS)
def test_a_name_and_a_value_stay_what_they_are_in_both_databases(text: str) -> None:
    query = f"SELECT {sql.literal(text)} AS {sql.identifier(text)}"
    with sql.connect() as connection:
        result = connection.execute(query)
        assert (result.description[0][0], result.fetchone()) == (text, (text,))
    with closing(sqlite3.connect(":memory:")) as database:
        cursor = database.execute(query)
        assert (cursor.description[0][0], cursor.fetchone()) == (text, (text,))


@pytest.mark.parametrize("value", [True, False, 0, -7, 1.5, 1e300])
def test_a_number_stays_what_it_is(value: float) -> None:
    with sql.connect() as connection:
        assert sql.row(connection, f"SELECT {sql.literal(value)} = ?", value) == (True,)


def test_a_path_is_read_with_a_quote_in_its_name(tmp_path: Path) -> None:
    file = tmp_path / "it's.csv"
    file.write_text("n\n7\n")
    with sql.connect() as connection:
        assert sql.row(connection, f"SELECT n FROM read_csv({sql.literal(file)})") == (7,)


def test_a_timestamp_keeps_its_instant_to_the_microsecond() -> None:
    value = datetime(2026, 3, 1, 1, 2, 3, 456_789, timezone(timedelta(hours=5, minutes=30)))
    with sql.connect() as connection:
        assert sql.row(connection, f"SELECT {sql.timestamp(value)}") == (value,)


def test_a_connection_is_in_utc_whatever_the_machine_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    with sql.connect() as connection:
        (text,) = sql.row(connection, f"SELECT {sql.timestamp(datetime(2026, 7, 1, tzinfo=UTC))}::VARCHAR")
    assert text == "2026-07-01 00:00:00+00"


def quoted_by_hand(text: str) -> Iterator[int]:
    """The lines of SQL in which an f-string has quotes around a value."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            if any(word in str(part) for part in parts for word in KEYWORDS):
                before = [str(part) for part, following in pairwise(parts) if following is None and part is not None]
                yield from (node.lineno for part in before if part[-1] in "'\"")


def test_no_query_has_quotes_by_hand() -> None:
    rooms = ("jobs", "serving", "model", "bench", "simulators", "web")
    files = [file for room in rooms for file in sorted((settings.PROJECT / room).rglob("*.py"))]
    assert [f"{file}:{line}" for file in files for line in quoted_by_hand(file.read_text())] == []


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("f\"SELECT * FROM '{file}'\"", [1]),
        ("f'SELECT * FROM \"{table}\"'", [1]),
        ('f"SELECT {column} FROM {table}"', []),
        ("f\"There is no '{name}'\"", []),
    ],
)
def test_quotes_by_hand_are_noticed(line: str, lines: list[int]) -> None:
    assert list(quoted_by_hand(line)) == lines
