"""How one entity's features lie in Redis: the rows of all views of an entity are the fields of one hash.

A row is a header and the stored values as MessagePack. The header has the event timestamp and `created`, so that the
order of the first sixteen bytes is the order of time, and a digest of the row's layout, which is the list of its
columns. The layouts lie in a hash of their own, so rows stay readable when the view changes.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from operator import itemgetter
from struct import Struct
from typing import Any

import msgpack
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from exact_stores.exact_online import Row
from exact_stores.rows import PLAIN, Column

_HEADER = Struct(">QQ4s")
#: Added to microseconds since 1970, so that their bytes are in the order of time. `created` has 0 for null.
_OFFSET = 1 << 63

#: Takes the values of a row in the order of its layout, and gives those that a reader asks for.
Pick = Callable[[list[Any]], tuple[Any, ...]]


def prefix(config: RepoConfig) -> bytes:
    """What the keys of all entities of the project begin with. A project's name has no `/`."""
    return f"rows/{config.project}/".encode()


def views_key(config: RepoConfig) -> bytes:
    """The hash of the applied views: name → when it was last materialized, µs since 1970; empty if never."""
    return f"views/{config.project}".encode()


def layouts_key(config: RepoConfig, view: bytes) -> bytes:
    """The hash of the layouts that rows of the view have: digest → names of columns, as JSON."""
    return f"layouts/{config.project}/".encode() + view


class Layout:
    """The columns of a view's rows, in order."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.names = json.dumps([column.name for column in columns]).encode()
        self._floats = [place for place, column in enumerate(columns) if column.affinity == "REAL"]
        self.digest = blake2b(self.names, digest_size=4).digest()

    def pack(self, row: Sequence[Any]) -> bytes:
        """The bytes of a row's event timestamp, created (µs since 1970), and stored values. As in SQLite, NaN is stored
        as null, and -0.0 as 0.0."""
        event_timestamp, created, *values = row
        for place in self._floats:
            if (value := values[place]) is not None:
                values[place] = value + 0.0 if value == value else None
        header = _HEADER.pack(event_timestamp + _OFFSET, 0 if created is None else created + _OFFSET, self.digest)
        packed: bytes = msgpack.packb(values)
        return header + packed


def digest_of(row: bytes) -> bytes:
    """The digest of the row's layout."""
    return row[16:20]


def names(layout: bytes) -> list[str]:
    """The names of the columns of a layout, as `Layout.names` has them."""
    columns: list[str] = json.loads(layout)
    return columns


def by_column(names: Sequence[str], row: bytes) -> dict[str, Any]:
    """The stored values of a row with these columns: column → value."""
    return dict(zip(names, msgpack.unpackb(row[20:]), strict=True))


def unpack(row: bytes, pick: Pick) -> Row:
    """The event timestamp of a row, and what `pick` takes of its values."""
    return int.from_bytes(row[:8], "big") - _OFFSET, pick(msgpack.unpackb(row[20:]))


def picking(names: Sequence[str], columns: Iterable[Column], as_python: bool) -> Pick:
    """A function from the values of a row with the columns `names` to those of `columns`, null for one that it has not.

    With `as_python` they are as Feast's `to_dict()` gives them, else as they are stored.
    """
    places = {name: place for place, name in enumerate(names)}
    wanted = [(places.get(column.name), column.to_python if as_python else None) for column in columns]
    if any(place is None or convert for place, convert in wanted):
        return lambda values: tuple(_converted(values, place, convert) for place, convert in wanted)
    existing = [place for place, _ in wanted if place is not None]
    if len(existing) > 1:
        return itemgetter(*existing)
    return lambda values: tuple(values[place] for place in existing)


def _converted(values: list[Any], place: int | None, convert: Callable[[Any], Any] | None) -> Any:
    value = None if place is None else values[place]
    return convert(value) if convert and value is not None else value


def is_newer(row: dict[str, Any], stored: dict[str, Any]) -> bool:
    """Of two rows with the same timestamps, column → value: whether the first is the newer one, by its values.

    The order is that of `tables.upsert`: column by column by name, and a null is the greatest, of bytes the least.
    """
    names = sorted({*row, *stored})
    return list(_ranks(names, row)) > list(_ranks(names, stored))


def _ranks(names: Iterable[str], row: dict[str, Any]) -> Iterator[tuple[bool, Any]]:
    for name in names:
        kind, value = ValueType[name.rpartition(" ")[2].upper()], row.get(name)
        is_bytes = kind == ValueType.BYTES or kind not in PLAIN
        yield (value is None) != is_bytes, 0 if value is None else value
