"""The features that an on-demand view makes, at the moment of a request, of the live states of its tables: what
`jobs stream` keeps online is a state, and a state's numbers change with time though nothing happens."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from features.windows.aggregation import AggregationTable, Feature
from features.windows.columns import Columns
from features.windows.state import LiveTable

_SAMPLES = {"int": 0, "float": 0.0, "string": ""}


def state_of(table: AggregationTable) -> str:
    """The column of a live view with a key's state, and the name of the view."""
    return f"{table.name}_state"


def seen_of(table: AggregationTable) -> str:
    """The column that says when the stream last took in something of the key, µs since 1970: the state has what was
    taken in up to then, and nothing else."""
    return f"{table.name}_seen"


@dataclass(frozen=True)
class LiveFeatures:
    """`then` makes `more` features of the tables' (a name that two tables have is `<table>__<name>`) and of `request`,
    what the caller says. All of it is pure, and the same for a request and for a training row."""

    name: str
    tables: tuple[AggregationTable, ...]
    request: tuple[str, ...] = ()
    then: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    more: tuple[Feature, ...] = ()

    @cached_property
    def _live(self) -> tuple[LiveTable, ...]:
        return tuple(map(LiveTable, self.tables))

    def named(self, table: AggregationTable, feature: str) -> str:
        shared = sum(feature in of.empty for of in self.tables) > 1
        return f"{table.name}__{feature}" if shared else feature

    @property
    def features(self) -> tuple[Feature, ...]:
        of_tables = (
            Feature(self.named(table, f.name), f.dtype, f.window, f.unit, f.description)
            for table in self.tables
            for f in table.features
        )
        return (*of_tables, *self.more)

    @cached_property
    def _names(self) -> tuple[dict[str, str], ...]:
        return tuple({f.name: self.named(table, f.name) for f in table.features} for table in self.tables)

    def of(self, by_table: Mapping[str, Mapping[str, Any]], request: Mapping[str, Any]) -> dict[str, Any]:
        """Table → its features, and the request's values → all features."""
        found = {
            name: by_table[table.name][own]
            for table, names in zip(self.tables, self._names, strict=True)
            for own, name in names.items()
        }
        return found | self.then(found | dict(request)) if self.then else found

    def columns(self, inputs: Columns) -> Columns:
        """The on-demand view's function. Inputs: each table's state column, `as_of` and the request's."""
        rows = [self._row(dict(zip(inputs, row, strict=True))) for row in zip(*inputs.values(), strict=True)]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _row(self, given: Mapping[str, Any]) -> dict[str, Any]:
        by_table: dict[str, Mapping[str, Any]] = {}
        for live in self._live:
            state = given[state_of(live.table)]
            if state is None:
                by_table[live.table.name] = live.table.empty
            elif state[:1] == b"[":
                by_table[live.table.name] = live.values(live.from_json(state), given["as_of"])
            else:  # `feast apply` tries every function on invented bytes, and learns the types of what it answers
                return {feature.name: _SAMPLES[feature.dtype] for feature in self.features}
        return self.of(by_table, {name: given[name] for name in self.request})
