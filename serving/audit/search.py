"""Finds decisions in the audit log: by id, and by what they are about, newest first, page by page."""

import sqlite3
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from hashlib import sha256
from heapq import merge
from itertools import islice
from struct import Struct
from struct import error as StructError
from typing import Any

from errors import BadParameter, UnknownDecision
from features.utc import since_1970, utc
from serving.audit import lookup
from serving.audit.lookup import Place
from serving.audit.positions import Positions
from serving.audit.terms import CALLER, bucket, names_of, term

#: `as_of` and first byte of the last decision of a page, and a digest of what was searched for.
_CURSOR = Struct(">qq8s")
#: The lines of a term are counted up to here. Among more, those that a search is for are near the newest.
MOST_COUNTED = 100_000
_END = (2**63 - 1, 2**63 - 1)


@dataclass(frozen=True)
class Search:
    """What to search for. `since` and `until` are µs since 1970, the latter not included. `names` are pairs of a name,
    an entity key, and the values that it may have, as the log holds them."""

    risk: str | None = None
    outcome: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    since: int | None = None
    until: int | None = None
    caller: str | None = None
    names: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def pairs(self) -> list[list[tuple[str, str]]]:
        """Lists of (name, value) pairs. A decision has at least one pair of each list."""
        named = [[(name, value) for value in values] for name, values in self.names]
        return named if self.caller is None else [*named, [(CALLER, self.caller)]]

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether a record is one of those. The index may be wrong about a few: two texts may have one term."""
        has, score, as_of = set(names_of(record)), record["score"], since_1970(utc(record["as_of"]))
        return (
            self.risk in (None, record["risk"])
            and self.outcome in (None, record["decision"])
            and (self.min_score is None or (score is not None and score >= self.min_score))
            and (self.max_score is None or (score is not None and score <= self.max_score))
            and (self.since is None or as_of >= self.since)
            and (self.until is None or as_of < self.until)
            and all(not has.isdisjoint(pairs) for pairs in self.pairs)
        )


def page(
    positions: Positions, search: Search, most: int, cursor: str | None = None
) -> tuple[list[dict[str, Any]], str | None]:
    """At most `most` records with their `outcomes`, newest first, and the cursor of the next page, None after the last
    one. A decision that arrives meanwhile changes no later page. Raises BadParameter on a cursor of another search,
    IndexBehind, RootBroken."""
    after = _END if cursor is None else _after(cursor, search)

    def question(db: sqlite3.Connection) -> tuple[list[dict[str, Any]], str | None]:
        places = list(islice(_places(db, search, after), most + 1))
        records = [record for record in lookup.decisions(positions, places[:most]) if search.matches(record)]
        following = _cursor(places[most - 1], search) if len(places) > most else None
        by_id = lookup.with_outcomes(db, positions, {record["decision_id"]: record for record in records})
        return [by_id[record["decision_id"]] for record in records], following

    return positions.ask(question)


def by_id(positions: Positions, decision_id: str) -> dict[str, Any]:
    """The record of a decision, with its `outcomes`. Raises UnknownDecision, IndexBehind, RootBroken."""
    records = lookup.by_id(positions, [decision_id])
    if decision_id not in records:
        raise UnknownDecision(
            "The audit log has no decision of this id. Check it: an answer has it as decision_id.", "decision_id"
        )
    return records[decision_id]


def _places(db: sqlite3.Connection, search: Search, after: tuple[int, int]) -> Iterator[Place]:
    """The lines that the index has for a search, before the line `after`, newest first. It goes through the lines of
    the rarest thing that is searched for, and looks at the others for each."""
    groups = [[term(*pair) for pair in pairs] for pairs in search.pairs]
    kinds = _kinds(db, search)
    most = MOST_COUNTED if kinds is None else min(MOST_COUNTED, sum(kinds.values()))
    counted = sorted((sum(_count(db, number, most) for number in group), group) for group in groups)
    if kinds is not None and (not counted or (counted[0][0] >= most < MOST_COUNTED)):
        counted.insert(0, (0, list(kinds)))
        kinds = None
    if not counted:
        where, values = _bounds("d", search, after)
        yield from db.execute(
            f"SELECT as_of, offset, length FROM decision d WHERE {where} ORDER BY as_of DESC, offset DESC", values
        )
        return
    (_, lead), *others = counted
    yield from _of_terms(db, lead, search, after, kinds, [group for _, group in others])


def _of_terms(
    db: sqlite3.Connection,
    terms: Iterable[int],
    search: Search,
    after: tuple[int, int],
    kinds: Iterable[int] | None = None,
    others: Iterable[list[int]] = (),
) -> Iterator[Place]:
    """The lines that have one of the terms, one of the kinds, and one term of each group of `others`."""
    where, values = _bounds("p", search, after)
    if kinds is not None:
        where += f" AND d.kind IN ({', '.join(map(str, kinds))})"
    for group in others:
        where += (
            f" AND EXISTS (SELECT 1 FROM posting o WHERE o.term IN ({', '.join(map(str, group))}) "
            "AND o.as_of = p.as_of AND o.offset = p.offset)"
        )
    if search.min_score is not None:
        where, values = f"{where} AND d.score >= ?", [*values, search.min_score]
    if search.max_score is not None:
        where, values = f"{where} AND d.score <= ?", [*values, search.max_score]
    query = (
        "SELECT d.as_of, d.offset, d.length FROM posting p CROSS JOIN decision d "
        f"ON d.as_of = p.as_of AND d.offset = p.offset WHERE p.term = ? AND {where} "
        "ORDER BY p.as_of DESC, p.offset DESC"
    )
    return merge(*(db.execute(query, (number, *values)) for number in terms), reverse=True)


def _bounds(table: str, search: Search, after: tuple[int, int]) -> tuple[str, list[Any]]:
    """The lines before `after`, within the times of the search, as SQL."""
    where, values = f"({table}.as_of, {table}.offset) < (?, ?)", [*after]
    if search.until is not None and (search.until, 0) < after:
        values = [search.until, 0]
    if search.since is not None:
        where, values = f"{where} AND {table}.as_of >= ?", [*values, search.since]
    return where, values


def _kinds(db: sqlite3.Connection, search: Search) -> dict[int, int] | None:
    """The kinds of decision that a search is for, and how many decisions each has; None where it is for all."""
    scores = (search.min_score, search.max_score)
    if (search.risk, search.outcome, *scores) == (None, None, None, None):
        return None
    low, high = (None if score is None else bucket(score) for score in scores)
    if low is None and high is not None:
        low = bucket(float("-1e300"))  # not the decisions without a score
    rows = db.execute(
        "SELECT id, added FROM kind WHERE coalesce(risk = ?, 1) AND coalesce(outcome = ?, 1) "
        "AND coalesce(bucket >= ?, 1) AND coalesce(bucket <= ?, 1)",
        (search.risk, search.outcome, low, high),
    )
    return dict(rows)


def _count(db: sqlite3.Connection, number: int, most: int) -> int:
    query = "SELECT count(*) FROM (SELECT 1 FROM posting WHERE term = ? LIMIT ?)"
    return int(db.execute(query, (number, most)).fetchone()[0])


def _digest(search: Search) -> bytes:
    return sha256(repr(astuple(search)).encode()).digest()[:8]


def _cursor(place: Place, search: Search) -> str:
    return urlsafe_b64encode(_CURSOR.pack(place[0], place[1], _digest(search))).decode()


def _after(cursor: str, search: Search) -> tuple[int, int]:
    try:
        as_of, offset, digest = _CURSOR.unpack(urlsafe_b64decode(cursor.encode()))
    except (NotBase64, ValueError, StructError):
        raise BadParameter("cursor is none of ours. Send `next` of an answer as it is.", "cursor") from None
    if digest != _digest(search):
        raise BadParameter("cursor belongs to another search. Send the parameters of the first page too.", "cursor")
    return as_of, offset
