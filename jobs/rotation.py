"""What is still under the hash key of before: identifiers whose raw numbers nobody keeps, so they stay until they are
seen again."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from errors import NoData
from features.domains import raw_tables, secret_tables
from features.identifiers import HASH
from features.utc import utc
from features.windows import RawTable
from hash_keys import keys_of
from jobs import sql
from jobs.raw import checks, places
from jobs.raw.forms.readers import DuckdbReader
from root import Root
from serving import lines
from serving.policy_history import HISTORY
from serving.store import Store

#: Stored rows are asked for by this many keys at a time.
MOST_KEYS = 10_000
_HASHES = re.compile(rf"\b{HASH}\b")


class Remaining(NamedTuple):
    """A place, and the hashes that are there under the old key and not under the new one, in their order."""

    kind: str
    place: str
    hashes: Sequence[str]


@dataclass(frozen=True)
class _Moved:
    """The hashes that were moved: those of before, and those of now."""

    old: frozenset[str]
    new: frozenset[str]


def left_at(root: Root) -> datetime | None:
    """When the root left its last key. None where it has only had one."""
    checks_of_root = keys_of(root.hash_key)
    return utc(checks_of_root[1][1]) if len(checks_of_root) > 1 else None


def remaining(root: Root, store: Store, left: datetime) -> list[Remaining]:
    """The places that have identifiers of the key that the root left at `left`: raw tables, views of the online store,
    and the policies with their lists. Raises BadInput, FeaturesNotReady."""
    records = list(lines.read(root.rekeyed))
    moved = _Moved(*(frozenset(record[name] for record in records) for name in ("old", "new")))
    places_left: list[Remaining] = []
    by_name: dict[str, set[str]] = {}
    for table in raw_tables().values():
        for column in table.columns:
            if column.is_secret and column.pattern == HASH:
                hashes = _in_table(root, table, column.name, left) - moved.old - moved.new
                by_name.setdefault(column.name, set()).update(hashes)
                places_left.append(Remaining("raw table", f"{table.name}.{column.name}", sorted(hashes)))
    for name, hashes in by_name.items():
        for view, values in secret_tables(name):
            places_left.append(Remaining("online view", view, _in_view(store, view, values, sorted(hashes))))
    places_left += [Remaining("policy", name, hashes) for name, hashes in _in_policies(root, moved, left)]
    return [place for place in places_left if place.hashes]


def _in_table(root: Root, table: RawTable, column: str, left: datetime) -> set[str]:
    """The hashes of a column in rows that were known before the key was left."""
    known = table.created or table.time
    with sql.connect() as connection:
        try:
            files = places.raw_files(root, table.name)
        except NoData:
            return set()
        rows = checks.check(DuckdbReader(connection), table, files, [known], [column]).rows
        name = sql.identifier(column)
        query = f"SELECT DISTINCT {name} FROM {rows} WHERE {sql.identifier(known)} < ? AND {name} IS NOT NULL"
        return {text for (text,) in connection.execute(query, [left]).fetchall()}


def _in_view(store: Store, view: str, values: Sequence[str], hashes: Sequence[str]) -> list[str]:
    stored: list[str] = []
    for begin in range(0, len(hashes), MOST_KEYS):
        some = hashes[begin : begin + MOST_KEYS]
        rows = store.kept(view, values, [(text,) for text in some])
        stored += [text for text, row in zip(some, rows, strict=True) if row is not None]
    return stored


def _in_policies(root: Root, moved: _Moved, left: datetime) -> Iterator[tuple[str, list[str]]]:
    """The hashes in files that nobody has changed since: what is written later has the new key."""
    for file in sorted(path for path in root.policies.rglob("*") if path.is_file() and _is_in_force(root, path)):
        if datetime.fromtimestamp(file.stat().st_mtime, UTC) < left:
            hashes = set(_HASHES.findall(file.read_text(errors="replace")))
            yield str(file.relative_to(root.policies)), sorted(hashes - moved.new)


def _is_in_force(root: Root, path: Path) -> bool:
    return root.policies / HISTORY not in path.parents and not path.name.startswith(".")
