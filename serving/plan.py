"""A feature service as a plan: the stored views to read, their keys and TTLs, and the on-demand functions to run on the
values. `serving/compiler.py` makes one for each version of the registry; every request follows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from features.utc import EPOCH, MICROSECOND, since_1970
from features.windows.live import Columns
from serving.store import Row, Vector

#: Feast's words for a value that is stored, is null, is not stored, or is older than its view's TTL.
PRESENT, NULL_VALUE, NOT_FOUND, TOO_OLD = "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"

#: A stored row: its event time (µs since 1970) and its values.
Kept = tuple[int, tuple[Any, ...]]
#: A function from join keys to their stored rows, in order, None for a key without one.
Read = Callable[[Sequence[tuple[Any, ...]]], Sequence[Kept | None]]


@dataclass(frozen=True)
class Stored:
    """A stored view. `names` are the names of its values, `<view>__<feature>`. `ttl_us` is None if values never
    expire."""

    view: str
    key: Callable[[Row], tuple[Any, ...]]
    names: tuple[str, ...]
    ttl_us: int | None
    read: Read

    def rows(self, rows: Sequence[Row]) -> list[Kept | None]:
        """The stored row of each row, however old it is. Nothing is stored under a key that is null."""
        keys = [self.key(row) for row in rows]
        complete = [key for key in keys if None not in key]
        if len(complete) == len(keys):
            return list(self.read(keys))
        stored = iter(self.read(complete) if complete else ())
        return [None if None in key else next(stored) for key in keys]

    def holds(self, kept: Kept, as_of: int) -> bool:
        """Whether the point-in-time join would find the row at `as_of` (µs since 1970): it is not dated later, and not
        older than the TTL, to the microsecond."""
        return kept[0] <= as_of and (self.ttl_us is None or as_of - kept[0] <= self.ttl_us)

    def dates_and_statuses(self, kept: Sequence[Kept | None], as_of: int) -> tuple[list[datetime | None], list[str]]:
        """The date of each row, and whether its values hold at `as_of` (µs since 1970)."""
        rows = [row if row and row[0] <= as_of else None for row in kept]
        dates = [EPOCH + row[0] * MICROSECOND if row else None for row in rows]
        return dates, [(PRESENT if self.holds(row, as_of) else TOO_OLD) if row else NOT_FOUND for row in rows]


@dataclass(frozen=True)
class Computed:
    """An on-demand view. `inputs` are the stored features that it takes: name → `<view>__<feature>`."""

    view: str
    inputs: Mapping[str, str]
    run: Callable[[Columns], Mapping[str, Sequence[Any]]]


@dataclass(frozen=True)
class Plan:
    """`outputs` maps a feature to (view, `<view>__<feature>`), in the service's order. A name that two views share is
    written out as `<view>__<feature>`. `keys` and `request` map the columns of a row to their Feast types, and `types`
    maps the features to theirs."""

    stored: tuple[Stored, ...]
    computed: tuple[Computed, ...]
    outputs: Mapping[str, tuple[str, str]]
    keys: Mapping[str, str]
    request: Mapping[str, str]
    types: Mapping[str, str] = field(default_factory=dict)

    def answer(self, rows: Sequence[Row], as_of: datetime) -> list[dict[str, Any]]:
        """The features of each row at `as_of`, in order; None where nothing is stored that holds then."""
        return list(map(self._named, *self._values(rows, as_of, self._kept(rows))))

    def vectors(self, rows: Sequence[Row], as_of: datetime) -> list[Vector]:
        """The same, with the date and the status of each feature."""
        kept = self._kept(rows)
        values = self._values(rows, as_of, kept)
        shown = {view for view, _ in self.outputs.values()}
        now = since_1970(as_of)
        by_view = {
            stored.view: stored.dates_and_statuses(kept[stored.view], now)
            for stored in self.stored
            if stored.view in shown
        }
        computed = ([None] * len(rows), [PRESENT] * len(rows))
        columns = [by_view.get(view, computed) for view, _ in self.outputs.values()]
        dates, statuses = zip(*columns, strict=True)
        # Most rows have the same dates and the same statuses as others: equal dicts are made once.
        named_dates = map(cache(self._named), *dates)
        named_statuses = map(cache(self._named), *map(_with_nulls, statuses, values))
        return list(map(Vector, map(self._named, *values), named_dates, named_statuses))

    def _named(self, *values: Any) -> dict[str, Any]:
        return dict(zip(self.outputs, values, strict=True))

    def _kept(self, rows: Sequence[Row]) -> dict[str, list[Kept | None]]:
        return {stored.view: stored.rows(rows) for stored in self.stored}

    def _values(
        self, rows: Sequence[Row], as_of: datetime, kept: Mapping[str, Sequence[Kept | None]]
    ) -> list[Sequence[Any]]:
        """The features, a column each, in the order of `outputs`."""
        now = since_1970(as_of)
        values: Columns = {name: [row.get(name) for row in rows] for name in self.request}
        values["as_of"] = [as_of] * len(rows)
        for stored in self.stored:
            nothing = (None,) * len(stored.names)
            stored_rows = [row[1] if row and stored.holds(row, now) else nothing for row in kept[stored.view]]
            values |= zip(stored.names, map(list, zip(*stored_rows, strict=True)), strict=True)
        for view in self.computed:
            inputs = values | {name: values[full_name] for name, full_name in view.inputs.items()}
            values |= {full(view.view, name): list(column) for name, column in view.run(inputs).items()}
        return [values[full_name] for _, full_name in self.outputs.values()]


def _with_nulls(statuses: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
    if None not in values:
        return statuses
    return [
        NULL_VALUE if value is None and status == PRESENT else status
        for status, value in zip(statuses, values, strict=True)
    ]


def full(view: str, feature: str) -> str:
    """The name of a feature that is unique in a service."""
    return f"{view}__{feature}"
