"""A feature service as a plan: the stored views to read, their keys and TTLs, and the on-demand functions to run on the
values. `serving/compiler.py` makes one for each version of the registry; every request follows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from features.utc import EPOCH, MICROSECOND, since_1970
from features.windows.live import Columns
from serving.store import Answers, EventTimes, Row, Vector
from serving.stored import NOT_FOUND, NULL_VALUE, PRESENT, TOO_OLD, Kept, Read, ReadTogether, Stored

#: Gets a view, NOT_FOUND or OUTSIDE_MAX_AGE, and how many rows.
Missed = Callable[[str, str, int], object]
#: A key that no entity has, by its Feast type; a text otherwise.
_NOBODY: Mapping[str, Any] = {"INT32": -1, "INT64": -1, "BYTES": b"", "BOOL": False, "UNIX_TIMESTAMP": EPOCH}


@dataclass(frozen=True)
class Computed:
    """An on-demand view. `inputs` are the stored features that it takes: name → `<view>__<feature>`."""

    view: str
    inputs: Mapping[str, str]
    run: Callable[[Columns], Mapping[str, Sequence[Any]]]


def _in_turn(requests: Sequence[tuple[Read, Sequence[tuple[Any, ...]]]]) -> list[Sequence[Kept | None]]:
    return [read(keys) for read, keys in requests]


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
    read_together: ReadTogether = _in_turn

    @cached_property
    def views(self) -> dict[str, str]:
        """Feature → view. Nobody may change it."""
        return {name: view for name, (view, _) in self.outputs.items()}

    def answer(self, rows: Sequence[Row], as_of: datetime, missed: Missed | None = None) -> Answers:
        """The features of each row at `as_of`, which is now, in order; None where nothing is stored that holds then.
        `missed` gets how many. Raises FeaturesNotReady."""
        kept = self._kept(rows, since_1970(as_of))
        held = self._held(kept, since_1970(as_of))
        features = list(map(self._named, *self._values(rows, as_of, held)))
        times = {view: [row and EPOCH + row[0] * MICROSECOND for row in column] for view, column in held.items()}
        if missed is not None:
            self._note_missed(rows, kept, held, missed)
        return Answers(features, self.event_times(times, len(rows)))

    def check(self, now: datetime) -> None:
        """Read each stored view under keys that nobody has. Raises FeaturesNotReady."""
        self._kept([{name: _NOBODY.get(kind, "") for name, kind in self.keys.items()}], since_1970(now))

    def vectors(self, rows: Sequence[Row], as_of: datetime, clock: datetime) -> list[Vector]:
        """The same, with the date and the status of each feature. `as_of` may be in the past; `clock` is now."""
        now = since_1970(as_of)
        kept = self._kept(rows, since_1970(clock))
        values = self._values(rows, as_of, self._held(kept, now))
        shown = {view for view, _ in self.outputs.values()}
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

    @cached_property
    def _sources(self) -> dict[str, tuple[str, ...]]:
        """Computed view → the stored views that it takes values of."""
        return {
            view.view: tuple(s.view for s in self.stored if not set(s.names).isdisjoint(view.inputs.values()))
            for view in self.computed
        }

    def event_times(self, by_view: Mapping[str, Sequence[datetime | None]], count: int) -> list[EventTimes]:
        """Of each of `count` rows, view → event time, from the column of each stored view. A computed view has the
        newest time of the stored views that it takes values of."""
        columns = dict(by_view)
        for view, sources in self._sources.items():
            of_sources = [by_view[source] for source in sources if source in by_view]
            columns[view] = list(map(_newest, *of_sources)) if of_sources else [None] * count
        return [dict(zip(columns, times, strict=True)) for times in zip(*columns.values(), strict=True)]

    def _note_missed(
        self,
        rows: Sequence[Row],
        kept: Mapping[str, Sequence[Kept | None]],
        held: Mapping[str, Sequence[Kept | None]],
        missed: Missed,
    ) -> None:
        """Count the rows of each stored view that are not there, or do not hold. Nothing is missed under a key that is
        null."""
        for stored in self.stored:
            view = stored.view
            gone = [number for number, row in enumerate(held[view]) if row is None]
            if gone:
                old = sum(kept[view][number] is not None for number in gone)
                absent = len(gone) - old - sum(None in stored.key(rows[number]) for number in gone)
                if old:
                    missed(view, TOO_OLD, old)
                if absent:
                    missed(view, NOT_FOUND, absent)

    def _held(self, kept: Mapping[str, Sequence[Kept | None]], now: int) -> dict[str, list[Kept | None]]:
        """What is kept and holds at `now`, µs since 1970."""
        return {
            stored.view: [row if row and stored.holds(row, now) else None for row in kept[stored.view]]
            for stored in self.stored
        }

    def _kept(self, rows: Sequence[Row], now: int) -> dict[str, list[Kept | None]]:
        keys = [[stored.key(row) for row in rows] for stored in self.stored]
        reads = self.read_together([(s.read, s.wanted(k)) for s, k in zip(self.stored, keys, strict=True)])
        kept = {
            stored.view: stored.placed(keys_of_view, read)
            for stored, keys_of_view, read in zip(self.stored, keys, reads, strict=True)
        }
        for stored in self.stored:
            stored.check_clock(kept[stored.view], now)
        return kept

    def _values(
        self, rows: Sequence[Row], as_of: datetime, held: Mapping[str, Sequence[Kept | None]]
    ) -> list[Sequence[Any]]:
        """The features, a column each, in the order of `outputs`."""
        values: Columns = {name: [row.get(name) for row in rows] for name in self.request}
        values["as_of"] = [as_of] * len(rows)
        for stored in self.stored:
            nothing = (None,) * len(stored.names)
            stored_rows = [row[1] if row else nothing for row in held[stored.view]]
            values |= zip(stored.names, map(list, zip(*stored_rows, strict=True)), strict=True)
        for view in self.computed:
            inputs = values | {name: values[full_name] for name, full_name in view.inputs.items()}
            values |= {full(view.view, name): list(column) for name, column in view.run(inputs).items()}
        return [values[full_name] for _, full_name in self.outputs.values()]


def _newest(*times: datetime | None) -> datetime | None:
    return max(filter(None, times), default=None)


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
