"""What a state keeps of one key: tiles, and the recent entries, which are in the tiles of every slot later.

A busy key has thousands of recent entries, and its state is written with each batch. So their bytes are made in runs of
`RUN_US` each, and a batch makes the bytes of those runs only that it changes. A run of few entries is written entry by
entry, one of many column by column.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import sub
from typing import Any

import msgspec
from pydantic_core import to_json

from features.windows.tiles import NEVER, TIME, Entry

#: How long a run is, µs.
RUN_US = 250_000
#: A run of so many entries is written column by column. A state of fewer has no runs.
LEAST_COLUMNS = 16
_encode = msgspec.json.Encoder().encode


class Columns(msgspec.Struct):
    """A run as the bytes of a state have it.

    steps     the first time, and how much later each other one is, µs
    columns   for each other place its different values, and for each entry which of them it has. Without these numbers,
              there is a value for each entry, or one for all
    """

    steps: list[int]
    columns: list[tuple[list[Any], list[int]]]

    @classmethod
    def made(cls, entries: Sequence[Entry]) -> "Columns":
        """
        >>> Columns.made([(50, 0, 0, "b"), (57, 0, 0, "b"), (61, 0, 0, "a"), (61, 0, 0, "b")])
        Columns(steps=[50, 7, 4, 0], columns=[([0], []), ([0], []), (['b', 'a'], [0, 0, 1, 0])])
        """
        times, *columns = zip(*entries, strict=True)
        return cls([times[0], *map(sub, times[1:], times)], list(map(_numbered, columns)))

    def entries(self) -> Iterable[Entry]:
        """
        >>> list(Columns([50, 7], [([0], []), ([0], []), (["b", "a"], [])]).entries())
        [(50, 0, 0, 'b'), (57, 0, 0, 'a')]
        """
        count = len(self.steps)
        columns = [
            map(values.__getitem__, numbers) if numbers else values * count if len(values) == 1 else values
            for values, numbers in self.columns
        ]
        return zip(accumulate(self.steps), *columns, strict=True)


def _numbered(column: Sequence[Any]) -> tuple[list[Any], list[int]]:
    """A column of `Columns`. Floats stay as they are: two that are equal may differ, 0.0 and -0.0."""
    different = list(dict.fromkeys(column))
    if 2 * len(different) > len(column) or float in map(type, different):
        return list(column), []
    if len(different) == 1:
        return different, []
    numbers = {value: number for number, value in enumerate(different)}
    return different, list(map(numbers.__getitem__, column))


class Recent(list[Entry]):
    """Entries, oldest first. Only `add` and `drop` change them."""

    __slots__ = ("_changed", "_runs")

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        super().__init__(entries)
        #: Start of a run → its bytes, once the entries were written in runs; and the runs that have changed.
        self._runs: dict[int, bytes] | None = None
        self._changed = set[int]()

    @classmethod
    def read(cls, stored: Iterable[Entry | Columns]) -> "Recent":
        """What the bytes of a state have: entries, and runs of them."""
        recent = cls()
        for part in stored:
            if isinstance(part, Columns):
                recent.extend(part.entries())
            else:
                recent.append(part)
        return recent

    def add(self, entries: Sequence[Entry]) -> None:
        """Put entries into their places."""
        if len(entries) > 1:
            entries = _in_order(entries)
        try:
            is_newer = not self or not entries or entries[0] >= self[-1]
        except TypeError:
            is_newer = False
        self.extend(entries)
        if not is_newer:
            self[:] = _in_order(self)
        self._note(entries)

    def drop(self, count: int, but: Sequence[Entry]) -> None:
        """Drop the first `count` entries, but not those of them in `but`, which are in order."""
        self._note(self[:count])
        self[:count] = but

    def _note(self, entries: Iterable[Entry]) -> None:
        if self._runs is not None:
            self._changed |= {entry[TIME] - entry[TIME] % RUN_US for entry in entries}

    def to_json(self) -> bytes:
        """The same bytes for the same entries."""
        if len(self) < LEAST_COLUMNS:
            self._runs = None
            return to_json(list(self))
        if self._runs is None:
            self._runs = {}
            self._note(self)
        runs = self._runs
        for start in self._changed:
            run = self[bisect_left(self, (start,)) : bisect_left(self, (start + RUN_US,))]
            if not run:
                runs.pop(start, None)
            else:
                runs[start] = _encode(Columns.made(run)) if len(run) >= LEAST_COLUMNS else to_json(run)[1:-1]
        self._changed.clear()
        return b"[%b]" % b",".join([runs[start] for start in sorted(runs)])  # nearly all are in order already


def _in_order(entries: Sequence[Entry]) -> list[Entry]:
    try:
        return sorted(entries)
    except TypeError:  # events of one timestamp that differ first where one has no value
        return sorted(entries, key=_missing_last)


def _missing_last(entry: Entry) -> tuple[tuple[bool, Any], ...]:
    """The order of entries, also where one has a value and the other has none. Otherwise it is the order of tuples."""
    return tuple((value is None, value) for value in entry)


@dataclass
class State:
    """The state of one key.

    tiles    for each of the table's slots: start of a tile, µs → the tile
    recent   the entries that are not in the tiles of every slot yet, oldest first
    newest   the latest timestamp of any entry, µs
    """

    tiles: list[dict[int, Any]]
    recent: Recent = field(default_factory=Recent)
    newest: int = NEVER
