"""A feature service as a plan: the stored views to read, their keys and TTLs, and the on-demand functions to run on the
values. `serving/compiler.py` makes one for each version of the registry; every request follows it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from errors import FeaturesNotReady
from features.identifiers import KeyedHash
from features.utc import EPOCH, MICROSECOND, since_1970
from features.windows.live import Columns
from serving.completeness import Completeness
from serving.store import Answers, Row, StoredRow, Vector

#: Feast's words for a value that is stored, is null, is not stored, or is older than its view's TTL.
PRESENT, NULL_VALUE, NOT_FOUND, TOO_OLD = "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"

#: A state of a live view may be dated this much after a request, in µs: the clocks of machines differ.
CLOCK_SLACK_US = 60_000_000

Kept = StoredRow
#: A function from join keys to their stored rows, in order, None for a key without one.
Read = Callable[[Sequence[tuple[Any, ...]]], Sequence[Kept | None]]

#: Gets a view, NOT_FOUND or OUTSIDE_MAX_AGE, and how many rows.
Missed = Callable[[str, str, int], object]
#: A key that no entity has, by its Feast type; a text otherwise.
_NOBODY: Mapping[str, Any] = {"INT32": -1, "INT64": -1, "BYTES": b"", "BOOL": False, "UNIX_TIMESTAMP": EPOCH}


@dataclass(frozen=True)
class Stored:
    """A stored view. `names` are the names of its values, `<view>__<feature>`. `ttl_us` is None if values never
    expire. `completeness` is None if the view is not live."""

    view: str
    key: Callable[[Row], tuple[Any, ...]]
    names: tuple[str, ...]
    ttl_us: int | None
    read: Read
    completeness: Completeness | None = None

    def rows(self, rows: Sequence[Row], now: int = 0) -> list[Kept | None]:
        """The stored row of each row, however old it is. Nothing is stored under a key that is null. `now` is in µs
        since 1970. Raises FeaturesNotReady where states of a live view are missing."""
        keys = [self.key(row) for row in rows]
        complete = [key for key in keys if None not in key]
        stored = iter(self._read(complete, now) if complete else ())
        kept = [None if None in key else next(stored) for key in keys]
        return self._under_old_keys(keys, kept, now) if None in kept else kept

    def _under_old_keys(self, keys: Sequence[tuple[Any, ...]], kept: list[Kept | None], now: int) -> list[Kept | None]:
        """What is not stored under a keyed hash may be stored under that of the key before."""
        old = {
            place: tuple(getattr(part, "old", part) for part in key)
            for place, (key, row) in enumerate(zip(keys, kept, strict=True))
            if row is None and any(isinstance(part, KeyedHash) for part in key)
        }
        if old:
            for place, row in zip(old, self._read(list(old.values()), now), strict=True):
                kept[place] = row
        return kept

    def _read(self, keys: list[tuple[Any, ...]], now: int) -> Sequence[Kept | None]:
        kept = self.read(keys)
        if self.completeness is None:
            return kept
        has_all = None not in kept
        if has_all and not self.completeness.is_due(now):
            return kept
        self.completeness.check(has_all, now)
        return kept if has_all else self.read(keys)  # again: the states may have come between the two reads

    def check_clock(self, kept: Sequence[Kept | None], now: int) -> None:
        """Raises FeaturesNotReady where a state of a live view is dated after `now`, µs since 1970: to take it for
        missing would be to forget all events of its key."""
        newest = max((row[0] for row in kept if row), default=now)
        if self.completeness is not None and newest > now + CLOCK_SLACK_US:
            raise FeaturesNotReady(
                f"A state of {self.view} has an event of {_in_words(newest)}, and the clock of this machine says "
                f"{_in_words(now)}. Set the clock. If it is right, it was ahead when the event was accepted: stop the "
                "stream job, remove its file in streams/ and the online store, and run: make pipeline"
            )

    def holds(self, kept: Kept, as_of: int) -> bool:
        """Whether the point-in-time join would find the row at `as_of` (µs since 1970): it is not dated later, and not
        older than the TTL, to the microsecond. A state of a live view may be dated a little later."""
        slack = 0 if self.completeness is None else CLOCK_SLACK_US
        return kept[0] <= as_of + slack and (self.ttl_us is None or as_of - kept[0] <= self.ttl_us)

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

    def answer(self, rows: Sequence[Row], as_of: datetime, missed: Missed | None = None) -> Answers:
        """The features of each row at `as_of`, which is now, in order; None where nothing is stored that holds then.
        `missed` gets how many. Raises FeaturesNotReady."""
        kept = self._kept(rows, since_1970(as_of))
        features = list(map(self._named, *self._values(rows, as_of, kept)))
        answers = Answers(features, self._event_times(rows, as_of, kept))
        if missed is not None:
            self._note_missed(rows, kept, answers.event_times, missed)
        return answers

    def check(self, now: datetime) -> None:
        """Read each stored view under keys that nobody has. Raises FeaturesNotReady."""
        self._kept([{name: _NOBODY.get(kind, "") for name, kind in self.keys.items()}], since_1970(now))

    def vectors(self, rows: Sequence[Row], as_of: datetime, clock: datetime) -> list[Vector]:
        """The same, with the date and the status of each feature. `as_of` may be in the past; `clock` is now."""
        now = since_1970(as_of)
        kept = self._kept(rows, since_1970(clock))
        values = self._values(rows, as_of, kept)
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

    def _event_times(
        self, rows: Sequence[Row], as_of: datetime, kept: Mapping[str, Sequence[Kept | None]]
    ) -> list[dict[str, datetime | None]]:
        """View → event time of what holds at `as_of`, for each row."""
        now, times = since_1970(as_of), []
        for number in range(len(rows)):
            by_view: dict[str, datetime | None] = {}
            for stored in self.stored:
                row = kept[stored.view][number]
                by_view[stored.view] = EPOCH + row[0] * MICROSECOND if row and stored.holds(row, now) else None
            for view, sources in self._sources.items():
                by_view[view] = max((time for source in sources if (time := by_view[source])), default=None)
            times.append(by_view)
        return times

    def _note_missed(
        self,
        rows: Sequence[Row],
        kept: Mapping[str, Sequence[Kept | None]],
        times: Sequence[Mapping[str, datetime | None]],
        missed: Missed,
    ) -> None:
        """Count the rows of each stored view that are not there, or do not hold. Nothing is missed under a key that is
        null."""
        for stored in self.stored:
            view = stored.view
            gone = [number for number, by_view in enumerate(times) if by_view[view] is None]
            if gone:
                old = sum(kept[view][number] is not None for number in gone)
                absent = len(gone) - old - sum(None in stored.key(rows[number]) for number in gone)
                if old:
                    missed(view, TOO_OLD, old)
                if absent:
                    missed(view, NOT_FOUND, absent)

    def _kept(self, rows: Sequence[Row], now: int) -> dict[str, list[Kept | None]]:
        kept = {stored.view: stored.rows(rows, now) for stored in self.stored}
        for stored in self.stored:
            stored.check_clock(kept[stored.view], now)
        return kept

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


def _in_words(timestamp: int) -> str:
    return f"{EPOCH + timestamp * MICROSECOND:%Y-%m-%d %H:%M:%S} UTC"


def full(view: str, feature: str) -> str:
    """The name of a feature that is unique in a service."""
    return f"{view}__{feature}"
