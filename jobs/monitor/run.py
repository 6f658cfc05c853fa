"""Reads what was added to the audit log, ends the windows that are over, and raises alarms. One process at a time works
on a root."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from errors import Busy, ModelBroken
from features.domains import streams, tables
from features.utc import since_1970
from features.windows import AggregationTable
from features.windows.live import state_of
from files import locked
from jobs.monitor import log
from jobs.monitor.book import Book, opened
from jobs.monitor.log import Decided
from jobs.monitor.performance import realised, size_of
from jobs.monitor.rule import Streaks
from jobs.monitor.window import LENGTH_US, Window, outcome_psi
from model.card import Card
from model.reference import SCORE, Reference, read
from model.shelf import CARD
from root import Root
from serving.monitoring import Statistic

POSITION, STATE, OUTCOMES_READ = "position", "risk {risk}", "outcomes"
NO_REFERENCE = "The model has no reference: train again."
Report = Callable[[str], object]


@dataclass
class Followed:
    """One risk: the model whose decisions are counted, the window that is open, and its streaks."""

    risk: str
    folder: Path
    version: str
    window: Window | None
    streaks: Streaks

    @cached_property
    def reference(self) -> Reference | None:
        """The reference of the version; None if it has none any more."""
        try:
            return read(self.folder / self.risk / self.version)
        except ModelBroken:
            return None

    @cached_property
    def card(self) -> Card | None:
        """The card of the version; None if it cannot be read."""
        try:
            return Card.model_validate_json((self.folder / self.risk / self.version / CARD).read_bytes())
        except (OSError, ValueError):
            return None

    def as_json(self) -> dict[str, Any]:
        """What is kept between two readings."""
        window = self.window and self.window.as_json()
        return {"version": self.version, "window": window, "streaks": vars(self.streaks)}


def run(
    root: Root, risks: Collection[str], now: datetime, report: Report = lambda line: None, since: datetime | None = None
) -> int:
    """Read the log up to its end, and end what is over at `now`. Of `risks`, windows are counted; decisions of before
    `since` are not. `report` gets a line for each alarm that begins or ends. Returns how many decisions were read.
    Raises Busy, RootBroken."""
    busy = Busy(f"Another monitor is at work in {root}. Stop it first.")
    with locked(root.monitor_lock, busy), opened(root.monitor_db) as book:
        count, first = 0, -1 if since is None else since_1970(since)
        chunks = log.read(root.decisions, book.value(POSITION) or {})
        for decided, position in chunks:
            wanted = [decision for decision in decided if decision.risk in risks and decision.as_of >= first]
            with book.step():
                _take(book, root, wanted, report)
                book.keep(POSITION, position)
            count += len(decided)
        with book.step():
            for risk in risks:
                followed = _followed(book, root, risk)
                if followed and followed.window and followed.window.is_over(since_1970(now)):
                    _end(book, followed, report)
                    book.keep(STATE.format(risk=risk), followed.as_json())
        if (size := size_of(root)) != (book.value(OUTCOMES_READ) or []):
            performances = realised(root, now)
            with book.step():
                book.measure(performances)
                book.keep(OUTCOMES_READ, size)
    return count


def _take(book: Book, root: Root, decided: Iterable[Decided], report: Report) -> None:
    """Count the decisions of a chunk, each risk's in the order of the log."""
    for risk, of_risk in groupby(sorted(decided, key=lambda decision: decision.risk), lambda decision: decision.risk):
        followed = _followed(book, root, risk)
        for version, of_version in groupby(of_risk, lambda decision: decision.version):
            left = list(of_version)
            if followed is None or followed.version != version:
                followed = _replaced(book, root, risk, version, left[0].as_of, report)
            while left:
                if followed.window is None:
                    followed.window = Window(began=left[0].as_of, newest=left[0].as_of)
                fitting = followed.window.room_for([decision.as_of for decision in left])
                if fitting:
                    followed.window.add(left[:fitting], followed.reference)
                if left := left[fitting:]:
                    _end(book, followed, report)
        assert followed is not None, "a group is not empty"
        book.keep(STATE.format(risk=risk), followed.as_json())


def _followed(book: Book, root: Root, risk: str) -> Followed | None:
    kept = book.value(STATE.format(risk=risk))
    if kept is None:
        return None
    window = kept["window"] and Window(**kept["window"])
    return Followed(risk, root.models, kept["version"], window, Streaks.from_json(kept["streaks"]))


def _replaced(book: Book, root: Root, risk: str, version: str, now: int, report: Report) -> Followed:
    """Another model serves: its windows begin anew, and the alarms about the one before end."""
    if ended := book.end(risk, now):
        report(f"{risk}: {ended} alarms end: the model {version} serves now.")
    return Followed(risk, root.models, version, None, Streaks())


def _end(book: Book, followed: Followed, report: Report) -> None:
    """End the open window: store its statistics, and begin or end alarms."""
    window, followed.window = followed.window, None
    assert window is not None, "there is one to end"
    statistics, card = window.statistics(followed.reference), followed.card
    shares = [(word, rate.share) for word, rate in card.outcomes.items()] if card else []
    psi = outcome_psi(shares, card.test.rows, window.outcomes) if card else None
    note = "" if followed.reference else NO_REFERENCE
    ended = window.newest
    book.add(followed.risk, followed.version, window, ended, psi, note, statistics)
    for statistic in statistics:
        if statistic.psi_limit is not None:
            _judge(book, followed, "drift", statistic.name, statistic.is_beyond, window.began, ended,
                   _drift_text(followed, statistic), report)  # fmt: skip
    for view, newest in window.views.items():
        is_live = view in live_views()
        if is_live or view in batch_views():
            is_late = followed.streaks.is_late(view, ended - newest, is_live, LENGTH_US)
            if is_late is not None:
                _judge(book, followed, "freshness", view, is_late, window.began, ended,
                       _late_text(view, ended - newest, is_live), report)  # fmt: skip


def _judge(
    book: Book, followed: Followed, kind: str, name: str, is_beyond: bool, began: int, ended: int, text: str,
    report: Report,
) -> None:  # fmt: skip
    change = followed.streaks.step(f"{kind} {name}", is_beyond)
    if change == "begins":
        book.begin(followed.risk, followed.version, kind, name, began, text)
        report(f"{followed.risk}: ALARM: {text}")
    elif change == "ends":
        book.end(followed.risk, ended, kind, name)
        report(f"{followed.risk}: the alarm about {name} ends.")


def _drift_text(followed: Followed, statistic: Statistic) -> str:
    subject = "The score" if statistic.name == SCORE else statistic.name
    return (
        f"{subject} is not as in training: PSI {statistic.psi:.2f} (limit {statistic.psi_limit:.2f}), KS "
        f"{statistic.ks:.2f}, missing {statistic.missing:.0%} (in training {statistic.trained_missing:.0%}), default "
        f"{statistic.defaults:.0%} ({statistic.trained_defaults:.0%}). Check where it comes from; if the change is "
        f"real, train again: python -m jobs train {followed.risk}"
    )


def _late_text(view: str, age: int, is_live: bool) -> str:
    remedy = "python -m jobs stream all" if is_live else "python -m jobs pipeline"
    return f"{view} is late: its newest event is {age / 3.6e9:.1f} h old. Look whether its job runs: {remedy}"


def live_views() -> frozenset[str]:
    """The feature views that a stream job keeps up to date."""
    return frozenset(state_of(table) for stream in streams().values() for table in stream.tables)


def batch_views() -> frozenset[str]:
    """The feature views that have a row for each day."""
    return frozenset(table.name for table in tables() if isinstance(table, AggregationTable))
