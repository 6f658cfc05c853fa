"""The SQLite tables of the index of decisions. They hold positions and no copies.

`posting` says for a term (an id, a caller, an entity key, a kind) in which lines it is, in the order of time. A kind is
a risk, an outcome and a bucket of scores. A line is named by its `as_of` and its place: the day
of its file and its first byte there (`terms.position`). A job may log a decision about a day of before."""

import sqlite3
from collections.abc import Callable, Iterator
from datetime import date, timedelta

from pydantic_core import from_json

from serving.audit.terms import ID, entry, position, term

#: A file of another version is built again.
VERSION = 2
SCHEMA = """
CREATE TABLE file (
    log TEXT, day TEXT, read_to INTEGER, signature TEXT, ends TEXT, PRIMARY KEY (log, day)
) WITHOUT ROWID;
CREATE TABLE kind (
    id INTEGER PRIMARY KEY, risk TEXT, outcome TEXT, bucket INTEGER, added INTEGER, UNIQUE (risk, outcome, bucket)
);
CREATE TABLE decision (
    as_of INTEGER, offset INTEGER, length INTEGER, kind INTEGER, score REAL, PRIMARY KEY (as_of, offset)
) WITHOUT ROWID;
CREATE TABLE posting (
    term INTEGER, as_of INTEGER, offset INTEGER, PRIMARY KEY (term, as_of, offset)
) WITHOUT ROWID;
CREATE TABLE outcome (
    term INTEGER, day TEXT, offset INTEGER, length INTEGER, PRIMARY KEY (term, day, offset)
) WITHOUT ROWID;
"""
#: More postings than twice those of the decisions that are there: the days of the others were removed.
MOST_ORPHANS = 100_000

#: Adds the lines of a chunk: connection, day, first byte of the chunk, chunk, table of the postings.
Add = Callable[[sqlite3.Connection, date, int, bytes, str], None]


def add_decisions(db: sqlite3.Connection, day: date, first: int, chunk: bytes, postings: str) -> None:
    """Add the decisions in a chunk of whole lines. `postings` is the table that takes the postings."""
    kinds = {(risk, outcome, bucket): n for n, risk, outcome, bucket in db.execute(
        "SELECT id, risk, outcome, bucket FROM kind")}  # fmt: skip
    counts: dict[int, int] = {}
    decisions, additions = [], []
    for offset, line in _lines(first, chunk):
        if made := entry(line, day):
            n = kinds.setdefault(made.kind, len(kinds) + 1)
            counts[n] = counts.get(n, 0) + 1
            place = position(day, offset)
            decisions.append((made.as_of, place, len(line), n, made.score))
            additions += [(number, made.as_of, place) for number in (n, *made.terms)]
    db.executemany("INSERT OR REPLACE INTO decision VALUES (?, ?, ?, ?, ?)", decisions)
    additions.sort()
    db.executemany(f"INSERT OR IGNORE INTO {postings} VALUES (?, ?, ?)", additions)
    db.executemany(
        "INSERT INTO kind VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET added = added + excluded.added",
        [(n, *kind, counts[n]) for kind, n in kinds.items() if n in counts],
    )


def add_outcomes(db: sqlite3.Connection, day: date, first: int, chunk: bytes, postings: str) -> None:
    """Add the outcomes in a chunk of whole lines."""
    rows = []
    for offset, line in _lines(first, chunk):
        try:
            decision = from_json(line)["decision_id"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(decision, str):
            rows.append((term(ID, decision), day.isoformat(), offset, len(line)))
    db.executemany("INSERT OR REPLACE INTO outcome VALUES (?, ?, ?, ?)", rows)


#: Log → what adds its lines.
ADD: dict[str, Add] = {"decisions": add_decisions, "outcomes": add_outcomes}


def forget(db: sqlite3.Connection, log: str, day: date) -> None:
    """Take the lines of a file out. The postings of its decisions stay: they lead nowhere."""
    db.execute("DELETE FROM file WHERE log = ? AND day = ?", (log, day.isoformat()))
    if log == "outcomes":
        db.execute("DELETE FROM outcome WHERE day = ?", (day.isoformat(),))
    else:
        begin, end = position(day, 0), position(day + timedelta(days=1), 0)
        db.execute("DELETE FROM decision WHERE offset >= ? AND offset < ?", (begin, end))


def is_worn(db: sqlite3.Connection) -> bool:
    """Whether most postings lead nowhere, so that the file is better built again."""
    (added,) = db.execute("SELECT coalesce(sum(added), 0) FROM kind").fetchone()
    return bool(added > MOST_ORPHANS) and added > 2 * db.execute("SELECT count(*) FROM decision").fetchone()[0]


def _lines(first: int, chunk: bytes) -> Iterator[tuple[int, bytes]]:
    """The lines of a chunk, each with its first byte in the file."""
    for line in chunk.split(b"\n")[:-1]:
        yield first, line
        first += len(line) + 1
