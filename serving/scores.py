"""The last batch decisions of each entity, for its page. They are in one SQLite file; a run is one transaction."""

import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

from serving.decision import Decision

#: The file keeps this many runs of a risk. The audit log keeps every decision.
KEPT_RUNS = 30

_SCHEMA = """CREATE TABLE IF NOT EXISTS score (
    risk TEXT, entity TEXT, as_of TEXT, score REAL, decision TEXT,
    PRIMARY KEY (risk, entity, as_of))"""


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(_SCHEMA)
    return connection


def write(path: Path, risk: str, decisions: Iterable[tuple[Any, Decision]]) -> None:
    """Add a run of (entity, decision) pairs. A pair with the same entity and `as_of` is replaced. A reader sees all of
    a run or nothing of it."""
    rows = (
        (risk, str(entity), decision.as_of.isoformat(), decision.score, json.dumps(decision.as_json()))
        for entity, decision in decisions
    )
    with closing(_connect(path)) as connection, connection:
        connection.executemany("INSERT OR REPLACE INTO score VALUES (?, ?, ?, ?, ?)", rows)
        connection.execute(
            "DELETE FROM score WHERE risk = ?1 AND as_of NOT IN "
            "(SELECT DISTINCT as_of FROM score WHERE risk = ?1 ORDER BY as_of DESC LIMIT ?2)",
            (risk, KEPT_RUNS),
        )


def latest(path: Path, risk: str, entity: Any) -> tuple[dict[str, Any] | None, list[tuple[datetime, float]]]:
    """The newest decision about the entity, or None, and its (as_of, score) pairs, oldest first."""
    with closing(_connect(path)) as connection:
        rows = connection.execute(
            "SELECT as_of, score, decision FROM score WHERE risk = ? AND entity = ? ORDER BY as_of",
            (risk, str(entity)),
        ).fetchall()
    newest = json.loads(rows[-1][2]) if rows else None
    return newest, [(datetime.fromisoformat(as_of), score) for as_of, score, _ in rows]


def runs(path: Path, risk: str) -> set[datetime]:
    """The `as_of` of each run of a risk."""
    with closing(_connect(path)) as connection:
        rows = connection.execute("SELECT DISTINCT as_of FROM score WHERE risk = ?", (risk,)).fetchall()
    return {datetime.fromisoformat(as_of) for (as_of,) in rows}
