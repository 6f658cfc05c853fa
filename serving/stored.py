"""A stored view of a plan: which keys it reads, what it has under them, and whether that holds at a timestamp."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from errors import FeaturesNotReady
from features.identifiers import KeyedHash
from features.utc import EPOCH, MICROSECOND
from serving.completeness import Completeness
from serving.store import Row, StoredRow

#: Feast's words for a value that is stored, is null, is not stored, or is older than its view's TTL.
PRESENT, NULL_VALUE, NOT_FOUND, TOO_OLD = "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"

#: A state of a live view may be dated this much after a request, in µs: the clocks of machines differ.
CLOCK_SLACK_US = 60_000_000

Kept = StoredRow
#: A function from join keys to their stored rows, in order, None for a key without one.
Read = Callable[[Sequence[tuple[Any, ...]]], Sequence[Kept | None]]
#: A function from several of these and their keys to what each gives. The online store is asked once for all of them.
ReadTogether = Callable[[Sequence[tuple[Read, Sequence[tuple[Any, ...]]]]], Sequence[Sequence[Kept | None]]]


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

    def rows(self, rows: Sequence[Row]) -> list[Kept | None]:
        """The stored row of each row, however old it is. Nothing is stored under a key that is null. Raises
        FeaturesNotReady where states of a live view are missing."""
        keys = [self.key(row) for row in rows]
        return self.placed(keys, self.read(self.wanted(keys)))

    def wanted(self, keys: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """What to read for these keys, of which some may have a null: each once. It begins with the marker of a live
        view."""
        complete = [key for key in dict.fromkeys(keys) if None not in key]
        return [self.completeness.key, *complete] if complete and self.completeness else complete

    def placed(self, keys: Sequence[tuple[Any, ...]], read: Sequence[Kept | None]) -> list[Kept | None]:
        """As `rows`, where `read` is what the store has under `wanted(keys)`."""
        by_key = dict(zip(self.wanted(keys), read, strict=True))
        if self.completeness and by_key:
            states = (by_key[key] for key in keys if None not in key)
            self.completeness.check(by_key[self.completeness.key], states)
        kept = list(map(by_key.get, keys))
        return self._under_old_keys(keys, kept) if None in kept else kept

    def _under_old_keys(self, keys: Sequence[tuple[Any, ...]], kept: list[Kept | None]) -> list[Kept | None]:
        """What is not stored under a keyed hash may be stored under that of the key before."""
        old = {
            place: tuple(getattr(part, "old", part) for part in key)
            for place, (key, row) in enumerate(zip(keys, kept, strict=True))
            if row is None and any(isinstance(part, KeyedHash) for part in key)
        }
        if old:
            old_keys = list(old.values())
            for place, row in zip(old, self.placed(old_keys, self.read(self.wanted(old_keys))), strict=True):
                kept[place] = row
        return kept

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


def _in_words(timestamp: int) -> str:
    return f"{EPOCH + timestamp * MICROSECOND:%Y-%m-%d %H:%M:%S} UTC"
