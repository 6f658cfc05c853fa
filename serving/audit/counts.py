"""Counts the decisions of the audit log by time, for pages and metrics."""

import sqlite3

from serving.audit.positions import Positions

#: Begin of an interval in µs since 1970, risk, outcome, decisions.
Count = tuple[int, str, str, int]


def by_time(positions: Positions, since_us: int, step_us: int) -> list[Count]:
    """The decisions from `since_us` on, by interval, risk and outcome. An interval begins at a multiple of `step_us`.
    Raises IndexBehind, RootBroken."""

    def question(db: sqlite3.Connection) -> list[Count]:
        query = (
            "SELECT d.as_of / ?1 * ?1, k.risk, k.outcome, count(*) FROM decision d JOIN kind k ON k.id = d.kind "
            "WHERE d.as_of >= ?2 GROUP BY 1, 2, 3"
        )
        return db.execute(query, (step_us, since_us)).fetchall()

    return positions.ask(question)
