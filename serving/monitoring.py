"""What monitoring found, for the pages and for `/metrics`: windows of traffic with their statistics, and alarms.

`python -m jobs monitor` writes them into one SQLite file, `monitor.db`, in the tables below. This module only reads."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from errors import RootBroken
from features.utc import EPOCH, MICROSECOND, since_1970
from files import explained, read_only

#: Timestamps are µs since 1970. `outcomes` and `views` are JSON objects.
SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE IF NOT EXISTS window (
    id INTEGER PRIMARY KEY, risk TEXT, version TEXT, began INTEGER, ended INTEGER, decisions INTEGER, outcomes TEXT,
    outcome_psi REAL, views TEXT, note TEXT);
CREATE INDEX IF NOT EXISTS window_of_risk ON window (risk, id);
CREATE TABLE IF NOT EXISTS statistic (
    window INTEGER, name TEXT, rows INTEGER, psi REAL, psi_limit REAL, ks REAL, missing REAL, trained_missing REAL,
    defaults REAL, trained_defaults REAL, PRIMARY KEY (window, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarm (
    id INTEGER PRIMARY KEY, risk TEXT, version TEXT, kind TEXT, name TEXT, began INTEGER, ended INTEGER, text TEXT);
CREATE TABLE IF NOT EXISTS performance (
    risk TEXT, version TEXT, outcomes INTEGER, mean_outcome REAL, mean_score REAL, roc_auc REAL, brier REAL, rmse REAL,
    PRIMARY KEY (risk, version));
"""
_DAMAGED = "Stop the monitor, move it away and start the monitor again: it reads the audit log again."


@dataclass(frozen=True)
class Statistic:
    """One feature, or the score, in one window. `missing` and `defaults` are shares; those of the training rows begin
    with `trained_`. `psi_limit` is the index that alarms, and None where the window has too few rows to tell."""

    name: str
    rows: int
    psi: float
    psi_limit: float | None
    ks: float
    missing: float
    trained_missing: float
    defaults: float
    trained_defaults: float

    @property
    def is_beyond(self) -> bool:
        """Whether the index is at its limit or above."""
        return self.psi_limit is not None and self.psi >= self.psi_limit


@dataclass(frozen=True)
class Window:
    """The traffic of a risk from the first decision to the last one. `outcome_psi` compares the outcomes with those of
    the card. `views` has the newest event time of each feature view. `note` says why there are no statistics."""

    risk: str
    version: str
    began: datetime
    ended: datetime
    decisions: int
    outcomes: Mapping[str, int]
    outcome_psi: float | None
    views: Mapping[str, datetime]
    note: str = ""
    statistics: tuple[Statistic, ...] = field(default=())


@dataclass(frozen=True)
class Alarm:
    """An alarm about a feature, a view or the score. `kind` is `drift` or `freshness`. `ended` is None if it goes
    on."""

    risk: str
    version: str
    kind: str
    name: str
    began: datetime
    ended: datetime | None
    text: str


@dataclass(frozen=True)
class Performance:
    """The decisions of a model in the last 30 days whose outcomes were fed back. A figure is None where it does not
    apply, or where too few outcomes are known."""

    risk: str
    version: str
    outcomes: int
    mean_outcome: float
    mean_score: float
    roc_auc: float | None
    brier: float | None
    rmse: float | None


def monitored(path: Path) -> AbstractContextManager[None]:
    """Inside, a fault of the file is raised as RootBroken."""
    return explained(path, RootBroken, _DAMAGED)


def latest(path: Path) -> list[Window]:
    """The newest window of each risk. None where nothing was monitored yet. Raises RootBroken."""
    newest = "id IN (SELECT max(id) FROM window GROUP BY risk)"
    return list(_windows(path, f"SELECT * FROM window WHERE {newest} ORDER BY risk"))


def windows(path: Path, risk: str, since: datetime) -> list[Window]:
    """The windows of a risk that ended at `since` or later, oldest first. Raises RootBroken."""
    query = "SELECT * FROM window WHERE risk = ? AND ended >= ? ORDER BY id"
    return list(_windows(path, query, risk, since_1970(since)))


def alarms(path: Path, only_open: bool = False) -> list[Alarm]:
    """The alarms, the newest first. Raises RootBroken."""
    where = "WHERE ended IS NULL" if only_open else ""
    rows = _rows(path, f"SELECT risk, version, kind, name, began, ended, text FROM alarm {where} ORDER BY id DESC")
    return [
        Alarm(risk, version, kind, name, _time(began), None if ended is None else _time(ended), text)
        for risk, version, kind, name, began, ended, text in rows
    ]


def performance(path: Path) -> list[Performance]:
    """What each model achieved, by risk and version. Raises RootBroken."""
    rows = _rows(
        path,
        "SELECT risk, version, outcomes, mean_outcome, mean_score, roc_auc, brier, rmse FROM performance ORDER BY 1, 2",
    )
    return [Performance(*row) for row in rows]


def _windows(path: Path, query: str, *values: Any) -> Iterator[Window]:
    for number, risk, version, began, ended, decisions, outcomes, outcome_psi, views, note in _rows(
        path, query, *values
    ):
        statistics = _rows(
            path,
            "SELECT name, rows, psi, psi_limit, ks, missing, trained_missing, defaults, trained_defaults "
            "FROM statistic WHERE window = ?",
            number,
        )
        yield Window(
            risk, version, _time(began), _time(ended), decisions, json.loads(outcomes), outcome_psi,
            {view: _time(newest) for view, newest in json.loads(views).items()}, note,
            tuple(Statistic(*row) for row in statistics),
        )  # fmt: skip


def _time(microseconds: int) -> datetime:
    return EPOCH + microseconds * MICROSECOND


def _rows(path: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    if not path.exists():
        return []
    with monitored(path), read_only(path) as connection:
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return []  # the monitor is creating its tables
