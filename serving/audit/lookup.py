"""Reads from the logs what the index has the positions of: decisions by id, and the outcomes that were fed back."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import IO, Any

from pydantic_core import from_json

from features.utc import since_1970, utc
from serving.audit.positions import Moved, Positions
from serving.audit.terms import ID, split, term
from serving.lines import SUFFIX

#: `as_of` in µs since 1970, position in the log, length.
Place = tuple[int, int, int]
#: The key under which a record that is given has the outcomes about it.
OUTCOMES = "outcomes"


def by_id(positions: Positions, ids: Collection[str], waits: bool = False) -> dict[str, dict[str, Any]]:
    """Id → record, of the decisions that the log has, each with its `outcomes` in the order of receipt. Raises
    IndexBehind, unless the caller `waits`; RootBroken."""

    def question(db: sqlite3.Connection) -> dict[str, dict[str, Any]]:
        query = (
            "SELECT d.as_of, d.offset, d.length FROM posting p CROSS JOIN decision d "
            "ON d.as_of = p.as_of AND d.offset = p.offset WHERE p.term = ?"
        )
        places = {place for number in set(ids) for place in db.execute(query, (term(ID, number),))}
        records = {record["decision_id"]: record for record in decisions(positions, sorted(places))}
        return with_outcomes(db, positions, {name: records[name] for name in records.keys() & set(ids)})

    return positions.ask(question, waits)


def with_outcomes(
    db: sqlite3.Connection, positions: Positions, records: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The records by id, each with its `outcomes`. Raises Moved."""
    query = "SELECT day, offset, length FROM outcome WHERE term = ?"
    places = {place for decision_id in records for place in db.execute(query, (term(ID, decision_id),))}
    by_decision: dict[str, list[dict[str, Any]]] = {decision_id: [] for decision_id in records}
    for given in _lines(positions, "outcomes", ((date.fromisoformat(day), *line) for day, *line in sorted(places))):
        if (decision_id := given.pop("decision_id", None)) in by_decision:
            by_decision[decision_id].append(given)
    return {decision_id: {**record, OUTCOMES: by_decision[decision_id]} for decision_id, record in records.items()}


def decisions(positions: Positions, places: Iterable[Place]) -> Iterator[dict[str, Any]]:
    """The records of the lines. Raises Moved."""
    many = list(places)
    records = _lines(positions, "decisions", ((*split(place), length) for _, place, length in many))
    for (as_of, place, _), record in zip(many, records, strict=True):
        try:
            is_right = since_1970(utc(record["as_of"])) == as_of
        except (KeyError, TypeError, ValueError):
            is_right = False
        if not is_right:
            raise Moved("decisions", split(place)[0])
        yield record


def _lines(positions: Positions, log: str, places: Iterable[tuple[date, int, int]]) -> Iterator[dict[str, Any]]:
    """The JSON objects at (day, first byte, length) of a log. Raises Moved."""
    with ExitStack() as stack:
        files: dict[Path, IO[bytes]] = {}
        for day, offset, length in places:
            path = positions.logs[log] / f"{day}{SUFFIX}"
            try:
                file = files[path] if path in files else files.setdefault(path, stack.enter_context(path.open("rb")))
                file.seek(offset)
                line = from_json(file.read(length))
            except (FileNotFoundError, ValueError):
                raise Moved(log, day) from None
            if not isinstance(line, dict):
                raise Moved(log, day)
            yield line
