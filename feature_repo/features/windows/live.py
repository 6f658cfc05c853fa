"""The features that an on-demand view computes, at the timestamp of a request, from the live states of its tables.
`jobs stream` keeps a state online, because a state's numbers change with time even if nothing happens."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from features.windows.state import LiveTable
from features.windows.tables import AggregationTable, Feature

#: An on-demand view's inputs and its features: name → n values.
Columns = dict[str, list[Any]]

#: Table, state and timestamp → the table's features.
_Known = dict[tuple[str, bytes, Any], Mapping[str, Any]]
_SAMPLES = {"int": 0, "float": 0.0, "string": ""}


def lift(function: Callable[..., dict[str, Any]], inputs: Columns, names: Sequence[str]) -> Columns:
    """A function of one row, as one of columns. Feast gives an on-demand view its inputs as columns.

    Shapes: every input has n values, n ≥ 1. The answer has the function's names, n values each.

    >>> lift(lambda a, b: {"sum": a + b}, {"a": [1, 2], "b": [10, 20]}, ["a", "b"])
    {'sum': [11, 22]}
    """
    rows = [function(*values) for values in zip(*(inputs[name] for name in names), strict=True)]
    return {name: [row[name] for row in rows] for name in rows[0]}


def state_of(table: AggregationTable) -> str:
    """The name of a live view, and of its column with a key's state."""
    return f"{table.name}_state"


def seen_of(table: AggregationTable) -> str:
    """The column with the version of a key's state: the state holds what the stream job had processed by then, and
    nothing else. The version is the commit timestamp of the key's newest batch, µs since 1970; where the job is one on
    Kafka, the offset of the key's newest row."""
    return f"{table.name}_seen"


#: A version from here on is a commit timestamp. The first is of 12 January 1970, and no partition has so many rows.
FIRST_COMMIT_US = 10**12


#: Of a live view, the rows that the stream job keeps beside the states, under keys that no event has. One is a marker:
#: it says that the states of all keys were written, by which state file. The other says up to which batch.
MARKER, PROGRESS = {"string": "", "int": -(2**63)}, {"string": " ", "int": 1 - 2**63}


def reserved_key(by_type: Mapping[str, Any], dtypes: Sequence[str]) -> tuple[Any, ...]:
    """The key of such a row: `MARKER` or `PROGRESS` for keys of these types.

    >>> reserved_key(PROGRESS, ["string", "int"])
    (' ', -9223372036854775807)
    """
    return tuple(by_type[dtype] for dtype in dtypes)


def is_offset(table: AggregationTable, key: Sequence[Any], version: int) -> bool:
    """Whether the version of the state of a key is an offset. That of a missing key is none: there the marker answers,
    whose version is 0 or 1."""
    marker = reserved_key(MARKER, [table.source.column(name).dtype for name in table.keys])
    return 0 <= version < FIRST_COMMIT_US and None not in key and tuple(key) != marker


def is_whole(marker: Sequence[Any]) -> bool:
    """Whether the values of a marker, of one or of both columns of its view, say that all states are there."""
    return all(value == 1 if isinstance(value, int) else b'"whole":true' in (value or b"") for value in marker)


@dataclass(frozen=True)
class LiveFeatures:
    """The features of some live tables, and `more` features that `then` computes from those and from the `request`
    columns. A feature that two tables have is named `<table>__<name>`. All of it is pure, and the same for a request
    and for a training row."""

    name: str
    tables: tuple[AggregationTable, ...]
    request: tuple[str, ...] = ()
    then: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    more: tuple[Feature, ...] = ()

    @cached_property
    def _live_tables(self) -> tuple[LiveTable, ...]:
        return tuple(map(LiveTable, self.tables))

    def named(self, table: AggregationTable, feature: str) -> str:
        """The name of a table's feature among all."""
        is_shared = sum(feature in other.empty for other in self.tables) > 1
        return f"{table.name}__{feature}" if is_shared else feature

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features that an on-demand view serves, for the catalogue."""
        features = (
            Feature(self.named(table, f.name), f.dtype, f.window, f.unit, f.description)
            for table in self.tables
            for f in table.features
        )
        return (*features, *self.more)

    @cached_property
    def _names(self) -> tuple[dict[str, str], ...]:
        return tuple({f.name: self.named(table, f.name) for f in table.features} for table in self.tables)

    def values(self, by_table: Mapping[str, Mapping[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
        """All features, from table → its features, and the values of the request."""
        values = {
            name: by_table[table.name][own_name]
            for table, names in zip(self.tables, self._names, strict=True)
            for own_name, name in names.items()
        }
        return values | self.then(values | dict(request)) if self.then else values

    def columns(self, inputs: Columns) -> Columns:
        """The on-demand view's function. Inputs: each table's state, `as_of` and the columns of the request, n values
        each, n ≥ 1. Raises FeaturesNotReady on a state of another definition."""
        known: _Known = {}
        rows = [self._row(dict(zip(inputs, row, strict=True)), known) for row in zip(*inputs.values(), strict=True)]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _row(self, inputs: Mapping[str, Any], known: _Known) -> dict[str, Any]:
        """The features of a row. `known` has the values of the rows before it, many of which share a key."""
        by_table: dict[str, Mapping[str, Any]] = {}
        for live in self._live_tables:
            state = inputs[state_of(live.table)]
            if state is None or state[:1] == b"{":  # of a reserved key
                by_table[live.table.name] = live.empty
            elif state[:1] == b"[":
                place = live.table.name, state, inputs["as_of"]
                if place not in known:
                    known[place] = live.values(live.from_json(state), inputs["as_of"])
                by_table[live.table.name] = known[place]
            else:  # `feast apply` calls every view with invented bytes, to learn the types of its features
                return {feature.name: _SAMPLES[feature.dtype] for feature in self.features}
        return self.values(by_table, {name: inputs[name] for name in self.request})
