"""The last batch decisions of each entity, for its page. They are in one SQLite file; a run is one transaction."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from errors import RootBroken
from files import explained, make_folder, read_only
from serving import strict_json

#: The file keeps this many runs of a risk. The audit log keeps every decision.
KEPT_RUNS = 30

_SCHEMA = """CREATE TABLE IF NOT EXISTS score (
    risk TEXT, entity TEXT, as_of TEXT, score REAL, decision TEXT,
    PRIMARY KEY (risk, entity, as_of))"""


_DAMAGED = "Move it away, and score again: python -m jobs score RISK. The audit log has every decision."


def _explained(path: Path) -> AbstractContextManager[None]:
    return explained(path, RootBroken, _DAMAGED)


@contextmanager
def new_run(path: Path, risk: str) -> Iterator[Callable[[Iterable[tuple[Any, Mapping[str, Any]]]], None]]:
    """Yield a function that takes (entity, decision as JSON) pairs of a run, some at a time. At the end of the block,
    all of them are added at once, and a pair with the same entity and `as_of` is replaced. A reader sees all of a run
    or nothing of it, and nobody waits while it is made. Both raise RootBroken."""
    with _explained(path):
        make_folder(path.parent)
        connection = sqlite3.connect(path, timeout=30)
    with closing(connection):
        with _explained(path):
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_SCHEMA)
            connection.execute("CREATE TEMP TABLE run AS SELECT * FROM score LIMIT 0")

        def add(decisions: Iterable[tuple[Any, Mapping[str, Any]]]) -> None:
            rows = (
                (risk, str(entity), decision["as_of"], decision["score"], strict_json.written(decision).decode())
                for entity, decision in decisions
            )
            with _explained(path):
                connection.executemany("INSERT INTO run VALUES (?, ?, ?, ?, ?)", rows)

        yield add
        with _explained(path), connection:
            connection.execute("INSERT OR REPLACE INTO score SELECT * FROM run")
            connection.execute(
                "DELETE FROM score WHERE risk = ?1 AND as_of NOT IN "
                "(SELECT DISTINCT as_of FROM score WHERE risk = ?1 ORDER BY as_of DESC LIMIT ?2)",
                (risk, KEPT_RUNS),
            )


def latest(path: Path, risk: str, entity: Any) -> tuple[dict[str, Any] | None, list[tuple[datetime, float]]]:
    """The newest decision about the entity, or None, and its (as_of, score) pairs, oldest first."""
    rows = _rows(
        path, "SELECT as_of, score, decision FROM score WHERE risk = ? AND entity = ? ORDER BY as_of", risk, str(entity)
    )
    newest = json.loads(rows[-1][2]) if rows else None
    return newest, [(datetime.fromisoformat(as_of), score) for as_of, score, _ in rows]


def runs(path: Path, risk: str) -> set[datetime]:
    """The `as_of` of each run of a risk."""
    rows = _rows(path, "SELECT DISTINCT as_of FROM score WHERE risk = ?", risk)
    return {datetime.fromisoformat(as_of) for (as_of,) in rows}


def _rows(path: Path, query: str, *values: str) -> list[tuple[Any, ...]]:
    """None where nothing was scored yet. Raises RootBroken."""
    if not path.exists():
        return []
    with _explained(path), read_only(path) as connection:
        return connection.execute(query, values).fetchall()
