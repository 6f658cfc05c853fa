"""A feature service as a plan: which stored views are read and by which keys, how long their values hold, and which
on-demand functions run on top. `serving/compiler.py` makes one a version of the registry; a request follows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from features.utc import EPOCH, MICROSECOND, since_1970
from features.windows.columns import Columns
from serving.store import Row, Vector

#: Feast's words for a feature that is there, null, unknown, or older than its view's TTL.
PRESENT, NULL_VALUE, NOT_FOUND, TOO_OLD = "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"

#: Event time (µs since 1970) and values of a stored row.
Kept = tuple[int, tuple[Any, ...]]
Read = Callable[[Sequence[tuple[Any, ...]]], Sequence[Kept | None]]


@dataclass(frozen=True)
class Stored:
    """A view that is read. `names` are those of its values, `<view>__<feature>`; `ttl` is in µs, None for ever."""

    view: str
    key: Callable[[Row], tuple[Any, ...]]
    names: tuple[str, ...]
    ttl: int | None
    read: Read

    def rows(self, rows: Sequence[Row]) -> list[Kept | None]:
        """What is stored for each row, whatever its age. A key that is null is nobody's."""
        keys = [self.key(row) for row in rows]
        known = [key for key in keys if None not in key]
        if len(known) == len(keys):
            return list(self.read(keys))
        found = iter(self.read(known) if known else ())
        return [None if None in key else next(found) for key in keys]

    def holds(self, kept: Kept, as_of: int) -> bool:
        """Whether the point-in-time join would find the row at `as_of` (µs): it is not dated later, and within its TTL
        to the microsecond."""
        return kept[0] <= as_of and (self.ttl is None or as_of - kept[0] <= self.ttl)

    def about(self, kept: Sequence[Kept | None], as_of: int) -> tuple[list[datetime | None], list[str]]:
        """For each row, when it is dated, and whether its values are to be had at `as_of` (µs)."""
        found = [row if row and row[0] <= as_of else None for row in kept]
        dates = [EPOCH + row[0] * MICROSECOND if row else None for row in found]
        return dates, [(PRESENT if self.holds(row, as_of) else TOO_OLD) if row else NOT_FOUND for row in found]


@dataclass(frozen=True)
class Computed:
    """An on-demand view. `inputs` are its stored ones: the feature's name → `<view>__<feature>`."""

    view: str
    inputs: Mapping[str, str]
    run: Callable[[Columns], Mapping[str, Sequence[Any]]]


@dataclass(frozen=True)
class Plan:
    """`outputs`: feature → (view, `<view>__<feature>`), in the service's order; a feature that two of its views have is
    told apart as `<view>__<feature>`. `keys` and `request`: what a row
    has, and its Feast type."""

    stored: tuple[Stored, ...]
    computed: tuple[Computed, ...]
    outputs: Mapping[str, tuple[str, str]]
    keys: Mapping[str, str]
    request: Mapping[str, str]

    def answer(self, rows: Sequence[Row], as_of: datetime) -> list[dict[str, Any]]:
        """The features at `as_of` of each row, in order; None where nothing is stored, or nothing that still holds."""
        return list(map(self._named, *self._values(rows, as_of, self._kept(rows))))

    def vectors(self, rows: Sequence[Row], as_of: datetime) -> list[Vector]:
        """The same, with the moment that each feature is dated and its status."""
        kept = self._kept(rows)
        values = self._values(rows, as_of, kept)
        shown = {view for view, _ in self.outputs.values()}
        now = since_1970(as_of)
        about = {of.view: of.about(kept[of.view], now) for of in self.stored if of.view in shown}
        computed = ([None] * len(rows), [PRESENT] * len(rows))
        dates, statuses = zip(*[about.get(view, computed) for view, _ in self.outputs.values()], strict=True)
        # Most rows are alike in these two, and what is alike is made once.
        dated, stated = map(cache(self._named), *dates), map(cache(self._named), *map(_with_nulls, statuses, values))
        return list(map(Vector, map(self._named, *values), dated, stated))

    def _named(self, *values: Any) -> dict[str, Any]:
        return dict(zip(self.outputs, values, strict=True))

    def _kept(self, rows: Sequence[Row]) -> dict[str, list[Kept | None]]:
        return {stored.view: stored.rows(rows) for stored in self.stored}

    def _values(
        self, rows: Sequence[Row], as_of: datetime, kept: Mapping[str, Sequence[Kept | None]]
    ) -> list[Sequence[Any]]:
        """The features, column by column."""
        now = since_1970(as_of)
        values: Columns = {name: [row.get(name) for row in rows] for name in self.request}
        values["as_of"] = [as_of] * len(rows)
        for stored in self.stored:
            nothing = (None,) * len(stored.names)
            held = [row[1] if row and stored.holds(row, now) else nothing for row in kept[stored.view]]
            values |= zip(stored.names, map(list, zip(*held, strict=True)), strict=True)
        for view in self.computed:
            given = values | {name: values[whole] for name, whole in view.inputs.items()}
            values |= {full(view.view, name): list(column) for name, column in view.run(given).items()}
        return [values[whole] for _, whole in self.outputs.values()]


def _with_nulls(statuses: Sequence[str], values: Sequence[Any]) -> Sequence[str]:
    if None not in values:
        return statuses
    return [
        NULL_VALUE if value is None and status == PRESENT else status
        for status, value in zip(statuses, values, strict=True)
    ]


def full(view: str, feature: str) -> str:
    return f"{view}__{feature}"
