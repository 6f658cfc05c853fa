"""Tables of aggregations that nobody chose."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import hypothesis.strategies as st

from features.windows.aggregation import ZERO, Aggregation
from features.windows.functions import FUNCTIONS
from features.windows.raw import RawTable
from features.windows.tables import AggregationTable

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


@dataclass(frozen=True)
class Grid:
    """Of windows, delays and hops a table has few, so that its aggregations often share tiles."""

    windows: tuple[timedelta, ...]
    delays: tuple[timedelta, ...]
    hops: tuple[timedelta | None, ...]


GRIDS = (
    Grid((DAY, 3 * DAY, 7 * DAY, 30 * DAY), (ZERO, ZERO, DAY), (DAY,)),
    Grid((HOUR, DAY, 3 * DAY, 30 * DAY), (ZERO, ZERO, 7 * MINUTE, DAY), (None, None, None, ZERO, HOUR, 2 * DAY)),
    Grid((10 * MINUTE, HOUR, 5 * HOUR), (ZERO, HOUR), (None,)),
)
WHERES: tuple[Mapping[str, Any], ...] = ({}, {}, {"kind": "good"}, {"kind": ("bad", "odd")})


@st.composite
def aggregations(draw: st.DrawFn, name: str, grid: Grid) -> Aggregation:
    """Of columns `x`, `who`, `kind` and `outcome`."""
    record = draw(st.sampled_from(tuple(FUNCTIONS.values())))
    columns = ["outcome"] if record.takes_outcomes else ["x", "who"] if record.dtype is None else ["x"]
    windows = (*grid.windows, *(() if record.needs_window else (None,)))
    return Aggregation(
        name, record.name, draw(st.sampled_from(columns if record.needs_column else [None, "x"])),
        draw(st.sampled_from(windows)), draw(st.sampled_from(WHERES)), draw(st.sampled_from(grid.delays)),
        draw(st.sampled_from(grid.hops)), draw(st.integers(1, 3)) if record.needs_n else None,
    )  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, source: RawTable) -> AggregationTable:
    """Of up to eight aggregations of a raw table by its column `key`."""
    grid, count = draw(st.sampled_from(GRIDS)), draw(st.integers(1, 8))
    return AggregationTable("made_table", source, "key", tuple(draw(aggregations(f"a{n}", grid)) for n in range(count)))
