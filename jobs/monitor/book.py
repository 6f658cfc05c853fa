"""The monitor's SQLite file: how far the log was read, the windows and the alarms. A step is one transaction, so a
crash in the middle counts nothing twice and loses nothing."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from files import make_folder
from jobs.monitor.window import Window
from serving.monitoring import SCHEMA, Performance, Statistic, monitored

#: Windows and ended alarms are kept this long, µs.
KEPT_US = 400 * 24 * 3600 * 1_000_000
_STATISTIC = f"INSERT INTO statistic VALUES ({', '.join('?' * 10)})"


class Book:
    """Writes the file. Nothing is written before a `step` ends."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def value(self, name: str) -> Any:
        """The JSON value that is kept under a name, or None."""
        row = self._connection.execute("SELECT value FROM progress WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def keep(self, name: str, value: Any) -> None:
        """Keep a JSON value under a name."""
        self._connection.execute("INSERT OR REPLACE INTO progress VALUES (?, ?)", (name, json.dumps(value)))

    def add(
        self, risk: str, version: str, window: Window, ended: int, outcome_psi: float | None, note: str,
        statistics: list[Statistic],
    ) -> None:  # fmt: skip
        """Add a window that is over, and remove what is too old."""
        values = (risk, version, window.began, ended, window.decisions, json.dumps(window.outcomes), outcome_psi,
                  json.dumps(window.views), note)  # fmt: skip
        cursor = self._connection.execute(
            "INSERT INTO window (risk, version, began, ended, decisions, outcomes, outcome_psi, views, note) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values,
        )  # fmt: skip
        self._connection.executemany(_STATISTIC, [(cursor.lastrowid, *astuple(row)) for row in statistics])
        old = (risk, ended - KEPT_US)
        self._connection.execute(
            "DELETE FROM statistic WHERE window IN (SELECT id FROM window WHERE risk = ? AND ended < ?)", old
        )
        self._connection.execute("DELETE FROM window WHERE risk = ? AND ended < ?", old)
        self._connection.execute("DELETE FROM alarm WHERE risk = ? AND ended < ?", old)

    def begin(self, risk: str, version: str, kind: str, name: str, began: int, text: str) -> None:
        """Add an alarm that goes on."""
        self._connection.execute(
            "INSERT INTO alarm (risk, version, kind, name, began, text) VALUES (?, ?, ?, ?, ?, ?)",
            (risk, version, kind, name, began, text),
        )

    def end(self, risk: str, ended: int, kind: str | None = None, name: str | None = None) -> int:
        """End the alarm about a name, or all of the risk. Returns how many went on."""
        return self._connection.execute(
            "UPDATE alarm SET ended = ?1 WHERE risk = ?2 AND ended IS NULL AND (?3 IS NULL OR kind = ?3) "
            "AND (?4 IS NULL OR name = ?4)",
            (ended, risk, kind, name),
        ).rowcount

    def measure(self, performances: Iterable[Performance]) -> None:
        """Replace what is known of the models' performance."""
        self._connection.execute("DELETE FROM performance")
        rows = [astuple(performance) for performance in performances]
        self._connection.executemany("INSERT INTO performance VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    @contextmanager
    def step(self) -> Iterator[None]:
        """A transaction: if it raises, nothing was written."""
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield


@contextmanager
def opened(path: Path) -> Iterator[Book]:
    """The file, made if there is none. Raises RootBroken."""
    with monitored(path):
        make_folder(path.parent)
        with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)
            yield Book(connection)
