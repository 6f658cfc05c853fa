"""Where a table's windows lie: how long a tile may be, and which part of the grid each window is."""

import math
from dataclasses import dataclass, field
from datetime import timedelta

from features.utc import MICROSECOND
from features.windows.aggregation import TICK, Aggregation
from features.windows.tables import AggregationTable

KEY_ORDER = "PARTITION BY key ORDER BY t"


def microseconds(length: timedelta) -> int:
    """A length of time in whole µs."""
    return length // MICROSECOND


def old_edge(timestamp: str, a: Aggregation) -> str:
    """SQL: from when on an event counts at a timestamp, µs; `features.windows.aggregation.old_edge`."""
    reach, hop = microseconds(a.reach), microseconds(a.old_edge_hop)
    edge = f"({timestamp} - {reach})"
    return f"{edge} // {hop} * {hop}" if hop else edge


def last_counted(timestamp: str, a: Aggregation) -> str:
    """SQL: the last timestamp at which an event counts, µs; the inverse of `old_edge`."""
    reach, hop = microseconds(a.reach), microseconds(a.old_edge_hop)
    return f"({timestamp} // {hop} * {hop} + {hop + reach - 1})" if hop else f"({timestamp} + {reach})"


@dataclass(frozen=True)
class Layout:
    """How a table's windows lie on the grid of its ticks. All lengths are in µs.

    is_dense   the grid has a row for every tick, so a window is a number of rows
    in_order   the grid is a table in the order of key and time, in which DuckDB reads it: a window over the rows before
               needs no sorting
    size       the length of a tile: the largest that no edge cuts
    """

    table: AggregationTable
    is_dense: bool = False
    in_order: bool = False
    size: int = field(init=False)

    def __post_init__(self) -> None:
        edges = [microseconds(TICK)]
        for a in self.table.aggregations:
            fixed = self.fixed_reach(a)
            edges += [microseconds(a.delay)]
            if a.window is not None:
                edges += [microseconds(a.reach), microseconds(a.old_edge_hop)] if fixed is None else [fixed]
        object.__setattr__(self, "size", math.gcd(*edges))

    @property
    def can_be_dense(self) -> bool:
        """Whether the grid may have a row for each tick, because every edge falls on one, and every window has as many
        ticks at each."""
        windows = [a for a in self.table.aggregations if a.window is not None]
        return self.size == microseconds(TICK) and all(self.fixed_reach(a) is not None for a in windows)

    @property
    def longest(self) -> int:
        """An event further back than this changes no value any more: it has left every window, or entered one without
        an end."""
        aggregations = self.table.aggregations
        return max(microseconds(a.delay) if a.window is None else self.upper_reach(a) for a in aggregations)

    def fixed_reach(self, a: Aggregation) -> int | None:
        """How far back the old edge is, if that is the same at every tick; else None."""
        hop, reach = microseconds(a.old_edge_hop), microseconds(a.reach)
        if hop == 0:
            return reach
        return -(-reach // hop) * hop if microseconds(TICK) % hop == 0 else None

    def upper_reach(self, a: Aggregation) -> int:
        """How far back an event may lie and still count, with the hop, in µs."""
        return microseconds(a.reach) + microseconds(a.old_edge_hop)

    @property
    def repeats_after(self) -> int | None:
        """How long a row may stand before it is written again, in whole ticks; None: for ever."""
        if any(a.window is None for a in self.table.aggregations):
            return None
        return -(-microseconds(self.table.longest_reach) // microseconds(TICK)) * microseconds(TICK)

    def first_event(self, since: int) -> int | None:
        """No event before this one matters to a row dated after `since`, µs since 1970; None: any may."""
        return None if self.repeats_after is None else since - self.repeats_after - self.longest - self.size

    def rows_back(self, a: Aggregation) -> tuple[int, int | None]:
        """How many rows of a dense grid lie from a tick back to the newest tile that counts, and to the newest that is
        too old to count; None: no tile is."""
        fixed = self.fixed_reach(a)
        too_old = None if a.window is None or fixed is None else fixed // self.size + 1
        return microseconds(a.delay) // self.size + 1, too_old

    @property
    def order(self) -> str:
        """SQL: the order in which windows look at the rows before and after."""
        return "" if self.in_order else KEY_ORDER

    def frame(self, a: Aggregation) -> str:
        """SQL: what a window has of the grid."""
        if self.is_dense:
            newest, too_old = self.rows_back(a)
            oldest = "UNBOUNDED" if too_old is None else too_old - 1
            if self.in_order:  # the rows before belong to another key
                oldest = "nth" if too_old is None else f"least(nth, {oldest})"
            return f"{self.order} ROWS BETWEEN {oldest} PRECEDING AND {newest} PRECEDING"
        fixed = self.fixed_reach(a)
        oldest = "UNBOUNDED" if a.window is None else fixed or f"(t - {old_edge('t', a)})"
        return f"{KEY_ORDER} RANGE BETWEEN {oldest} PRECEDING AND {microseconds(a.delay) + 1} PRECEDING"

    def leaves(self, a: Aggregation) -> str:
        """SQL: the last timestamp at which an event at `t` counts, or its tile."""
        fixed = self.fixed_reach(a)
        return last_counted("t", a) if fixed is None else f"t // {self.size} * {self.size} + {fixed}"
