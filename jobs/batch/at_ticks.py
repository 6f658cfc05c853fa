"""A feature table's definitions as one SQL query for its ticks.

Input is the relation `event`: `key`, `t` (µs since 1970), `tie` (orders the events of one time), and the columns that
`jobs/raw/relations.py` makes of each column that a definition names.

1. Tiles: the states of the events of a key in each stretch of time, so small that no window's edge cuts one.
2. A grid: tiles and ticks, ordered by time. Where both are evenly spaced (windows of whole days at days' ends), the
   grid has a row for every day, and a window is a number of rows, which DuckDB finds four times faster.
3. Windows: states merged over a frame of the grid, read as values.

An outcome may become known while its event is in the window. It then enters a rate, and leaves it with its event: two
more tiles of +1 and −1, summed from the beginning.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from features.windows.aggregation import TICK, Aggregation
from jobs import sql
from jobs.batch import states
from jobs.batch.layout import Layout, microseconds

KEY_ORDER = "PARTITION BY key ORDER BY t"
#: A grid with a row for every tick is the faster one up to this many rows for each tick at which something happens.
DENSE_UP_TO = 4


@dataclass(frozen=True)
class _Parts:
    """What a table's aggregations share: each state, and each merged state, is computed once.

    tiles    SQL of a tile's state → its column
    merged   SQL of a merged state → its column
    values   feature, in quotes → SQL over the merged states
    """

    tiles: dict[str, str]
    merged: dict[str, str]
    values: dict[str, str]


def _parts(layout: Layout) -> _Parts:
    tiles: dict[str, str] = {}
    merged: dict[str, str] = {}
    values: dict[str, str] = {}
    for a in layout.table.aggregations:
        columns = {}
        for part, state in states.states(a).items():
            column = tiles.setdefault(state, f"s{len(tiles)}")
            window = states.merge(a, part, column, f"OVER ({KEY_ORDER} {layout.frame(a)})")
            columns[part] = merged.setdefault(window, f"m{len(merged)}")
        if a.record.counts_known:
            unit = "ROWS" if layout.is_dense else "RANGE"
            frame = f"{unit} BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
            window = f"sum(known_{a.name}) OVER ({KEY_ORDER} {frame})"
            columns["known"] = merged.setdefault(window, f"m{len(merged)}")
        values[sql.identifier(a.name)] = states.value(a, columns)
    return _Parts(tiles, merged, values)


def tiles(layout: Layout) -> str:
    """SELECT of the tiles: `key`, `t` (where it begins) and the states."""
    columns = "".join(f", {state} AS {name}" for state, name in _parts(layout).tiles.items())
    begin = f"t // {layout.size} * {layout.size}"
    tile = f"SELECT key, {begin} AS t{columns} FROM event GROUP BY 1, 2"
    rates = _rates(layout)
    if not rates:
        return tile
    steps = " UNION ALL ".join(step for a in rates for step in _outcome_steps(layout, a, rates))
    has_outcome = " OR ".join(f"({states.has_outcome(a)})" for a in rates)
    sums = ", ".join(f"sum(known_{a.name}) AS known_{a.name}" for a in rates)
    return (
        f"SELECT * FROM ({tile}) FULL JOIN (WITH outcome AS (SELECT * FROM event WHERE {has_outcome}) "
        f"SELECT key, {begin} AS t, {sums} FROM ({steps}) GROUP BY 1, 2) USING (key, t)"
    )


def is_dense_enough(layout: Layout) -> str:
    """SELECT whether the keys have events on so many days that a row for every day costs little, over the relation
    `tile`."""
    most = DENSE_UP_TO * (1 + len(layout.table.aggregations))
    return (
        f"SELECT coalesce(sum(ticks), 0) <= {most} * coalesce(sum(n), 0) FROM (SELECT count(*) AS n, "
        f"(max(t) - min(t) + {layout.longest}) // {layout.size} AS ticks FROM tile GROUP BY key)"
    )


def _rates(layout: Layout) -> list[Aggregation]:
    return [a for a in layout.table.aggregations if a.outcome]


def _outcome_steps(layout: Layout, rate: Aggregation, rates: list[Aggregation]) -> Iterator[str]:
    """+1 from when an outcome counts and is known, −1 from when its event leaves the window. `outcome` has the events
    that have one: they are few, and are found once."""
    known, last = states.known_from(rate), layout.leaves(rate)
    for timestamp, step in ((known, 1), (last, -1)):
        steps = ", ".join(f"{step if other is rate else 0} AS known_{other.name}" for other in rates)
        where = f"{states.has_outcome(rate)} AND {known} < {last}"
        yield f"SELECT key, {timestamp} AS t, {steps} FROM outcome WHERE {where}"


def at_ticks(layout: Layout, since: int | None, until: int) -> str:
    """SELECT the rows of a feature table dated since < t ≤ until (µs), over the relation `tile`: key, values, t.

    A row stands where a value changed. If nothing changes for a whole longest window, the row stands again at each tick
    from then on, so that it never expires while it holds. With `since`, the query looks back for that by one window.
    """
    tick, again_after = microseconds(TICK), layout.repeats_after
    day_0 = None if since is None else since - (again_after or 0)
    names = [sql.identifier(a.name) for a in layout.table.aggregations]
    values = ", ".join(names)
    row_values = f"struct_pack({', '.join(f'{name} := {name}' for name in names)})"
    empty = (
        f"struct_pack({', '.join(f'{sql.identifier(a.name)} := {_typed_empty(a)}' for a in layout.table.aggregations)})"
    )
    valued = _valued(layout, _dense(layout, until) if layout.is_dense else _sparse(layout, day_0, until))
    base = "" if day_0 is None else f"WHERE t >= {day_0}"
    after = "" if since is None else f"WHERE t > {since}"
    again = (
        f"SELECT key, {values}, unnest(range(t + {again_after}, next_t, {tick})) AS t "
        f"FROM change WHERE next_t - t > {again_after} AND {row_values} IS DISTINCT FROM {empty}"
    )
    return f"""
        WITH valued AS ({valued}), now_and_before AS (
            SELECT key, t, {values}, {row_values} AS row_values,
                lag({row_values}, 1, {empty}) OVER ({KEY_ORDER}) AS before
            FROM valued {base}
        ), change AS (
            SELECT key, {values}, t, lead(t, 1, {until // tick * tick + tick}) OVER ({KEY_ORDER}) AS next_t
            FROM now_and_before WHERE row_values IS DISTINCT FROM before
        )
        SELECT key, {values}, t FROM (
            SELECT key, {values}, t FROM change {f"UNION ALL {again}" if again_after else ""}
        ) {after}"""


def _typed_empty(a: Aggregation) -> str:
    return "NULL" if a.empty is None else f"{a.empty}::{'BIGINT' if isinstance(a.empty, int) else 'DOUBLE'}"


def _valued(layout: Layout, grid: str) -> str:
    """SELECT of the values over `grid`, at its ticks."""
    parts = _parts(layout)
    merged = ", ".join(f"{window} AS {name}" for window, name in parts.merged.items())
    values = ", ".join(f"{value} AS {name}" for name, value in parts.values.items())
    return f"SELECT key, t, {values} FROM (SELECT is_tick, key, t, {merged} FROM ({grid})) WHERE is_tick"


def _dense(layout: Layout, until: int) -> str:
    """Every tick of a key from its first tile to the first one without events, each with the tile that begins there, if
    there is one."""
    end = f"least(max(t) + {layout.longest + layout.size}, {until // layout.size * layout.size}) + {layout.size}"
    every = f"SELECT key, unnest(range(min(t), {end}, {layout.size})) AS t FROM tile GROUP BY key"
    return f"SELECT true AS is_tick, * FROM ({every}) LEFT JOIN tile USING (key, t)"


def _sparse(layout: Layout, since: int | None, until: int) -> str:
    """The tiles, and the ticks at which something enters or leaves a window of their key."""
    tick, size = microseconds(TICK), layout.size
    edges = {f"t + {size}"}
    for a in layout.table.aggregations:
        edges.add(f"t + {size + microseconds(a.delay)}")
        if a.window is not None:
            edges.add(f"{layout.leaves(a)} + 1")
    ceilings = ", ".join(f"({edge} + {tick - 1}) // {tick} * {tick}" for edge in sorted(edges))
    ticks = f"SELECT DISTINCT key, unnest([{ceilings}]) AS t FROM tile"
    if since is not None:
        ticks += f" UNION SELECT DISTINCT key, {since} FROM tile WHERE t < {since}"
    ticks = f"({ticks}) WHERE t <= {until}" + ("" if since is None else f" AND t >= {since}")
    columns = [*_parts(layout).tiles.values(), *(f"known_{a.name}" for a in _rates(layout))]
    tiles = f"SELECT false AS is_tick, key, t{''.join(f', {column}' for column in columns)} FROM tile"
    return f"{tiles} UNION ALL SELECT true AS is_tick, key, t{', NULL' * len(columns)} FROM {ticks}"
