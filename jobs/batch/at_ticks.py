"""A feature table's definitions as one SQL query for its ticks.

Input is the relation `event`: `key`, `t` (µs since 1970), `tie` (orders the events of one time), and the columns that
`jobs/raw/relations.py` makes of each column that a definition names.

1. Tiles: the states of the events of a key in each stretch of time, so small that no window's edge cuts one.
2. A grid: tiles and ticks, ordered by time. Where both are evenly spaced (windows of whole days at days' ends), the
   grid is dense: each tile becomes the ticks up to the next one, so a window is a number of rows, which DuckDB finds
   four times faster.
3. Windows: states merged over a frame of the grid, read as values. On a dense grid, a sum over a window is the
   difference of two running totals, and its newest events are those before its end, of which it keeps its own.
4. Changes: the rows whose values differ from those before.

An outcome may become known while its event is in the window. It then enters a rate, and leaves it with its event: two
more tiles of +1 and −1, summed from the beginning.
"""

from dataclasses import dataclass, field, replace

from features.windows.aggregation import TICK, Aggregation
from jobs import sql
from jobs.batch import states
from jobs.batch.layout import KEY_ORDER, Layout, microseconds, old_edge

#: A grid with a row for every tick is the faster one up to this many rows for each tick at which something happens.
DENSE_UP_TO = 4


@dataclass(frozen=True)
class _Parts:
    """What a table's aggregations share, so that it is computed once: SQL → its column.

    tiles    a tile's state
    newest   a tile's state → the newest events up to the end of each tile, which take its place on a dense grid
    totals   a tile's state → its running total, which takes its place there
    framed   a state merged over a frame of the grid
    earlier  a total some rows before
    merged   a state summed over a window of a dense grid
    values   a feature, in quotes → its SQL over the merged states
    """

    tiles: dict[str, str] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)
    totals: dict[str, str] = field(default_factory=dict)
    framed: dict[str, str] = field(default_factory=dict)
    earlier: dict[str, str] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)

    def named(self, columns: dict[str, str], merged: str) -> str:
        """The column of a merged state, of `framed` or `merged`."""
        return columns.setdefault(merged, f"m{len(self.framed) + len(self.merged)}")

    def before(self, layout: Layout, state: str, rows: int) -> str:
        """The column of the total of a state, so many rows before; 0 before the first row of the key."""
        self.totals[state] = _total(state, layout)
        total = f"CASE WHEN nth >= {rows} THEN lag({state}, {rows}) OVER ({layout.order}) ELSE 0 END"
        return self.earlier.setdefault(total, f"k{len(self.earlier)}")

    def newest_in(self, a: Aggregation, state: str, n: int, over: str) -> str:
        """The newest events in a frame, of tiles whose state has their n newest. The last n tiles have all of them."""
        tiles = f"PARTITION BY key, {state} IS NULL ORDER BY t ROWS {n - 1} PRECEDING"
        of_tiles = f"list({state}) FILTER (WHERE {state} IS NOT NULL) OVER ({tiles})"
        self.newest[state] = f"flatten(list_reverse({of_tiles}))[:{n}]"
        newest = f"last_value({state} IGNORE NULLS) {over}"
        return newest if a.window is None else f"list_filter({newest}, lambda e : e.t >= {old_edge('t', a)})"


def _parts(layout: Layout) -> _Parts:
    parts = _Parts()
    for a in layout.table.aggregations:
        columns, over, n = {}, f"OVER ({layout.frame(a)})", _kept(layout, a)
        for part, select in states.states(replace(a, n=n)).items():
            state, fold = parts.tiles.setdefault(select, f"s{len(parts.tiles)}"), a.record.states[part].fold
            if layout.is_dense and fold in ("counted", "added"):
                newest, too_old = layout.rows_back(a)  # sums are whole numbers, so their difference is exact
                total = parts.before(layout, state, newest)
                total = total if too_old is None else f"{total} - {parts.before(layout, state, too_old)}"
                columns[part] = parts.named(parts.merged, f"nullif({total}, 0)" if fold == "counted" else total)
            elif layout.is_dense and fold == "newest" and n:
                columns[part] = f"{parts.named(parts.framed, parts.newest_in(a, state, n, over))}[:{a.n}]"
            else:
                columns[part] = parts.named(parts.framed, states.merge(a, part, state, over))
        if a.record.counts_known and layout.is_dense:
            columns["known"] = parts.named(parts.merged, parts.before(layout, f"known_{a.name}", 1))
        elif a.record.counts_known:
            frame = "RANGE BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING"
            columns["known"] = parts.named(parts.framed, f"sum(known_{a.name}) OVER ({KEY_ORDER} {frame})")
        parts.values[sql.identifier(a.name)] = states.value(a, columns)
    return parts


def _kept(layout: Layout, a: Aggregation) -> int | None:
    """How many of its newest events a tile keeps for an aggregation, and for all that fold the same events."""
    if a.n is None or any(state.fold != "newest" for state in a.record.states.values()):
        return a.n
    return max(b.n for b in layout.table.aggregations if b.n and states.states(replace(a, n=b.n)) == states.states(b))


def tiles(layout: Layout) -> str:
    """SELECT of the tiles: `key`, `t` (where it begins) and the states."""
    columns = "".join(f", {state} AS {name}" for state, name in _parts(layout).tiles.items())
    begin = f"t // {layout.size} * {layout.size}"
    tile = f"SELECT key, {begin} AS t{columns} FROM event GROUP BY 1, 2"
    rates = states.rates(layout.table)
    if not rates:
        return tile
    steps = " UNION ALL ".join(step for a in rates for step in states.outcome_steps(layout, a, rates))
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


def grid(layout: Layout, since: int | None, until: int) -> str:
    """SELECT of the grid, over the relation `tile`: `key`, `t`, and at ticks the states merged over frames. Of a dense
    grid it has the tiles, and their states."""
    if layout.is_dense:
        return _dense(layout, until)
    framed = "".join(f", {window} AS {name}" for window, name in _parts(layout).framed.items())
    return f"FROM (SELECT is_tick, key, t{framed} FROM ({_sparse(layout, _day_0(layout, since), until)})) WHERE is_tick"


def _day_0(layout: Layout, since: int | None) -> int | None:
    """From when on values are computed: a row that stands again has had its values for one longest window."""
    return None if since is None else since - (layout.repeats_after or 0)


def at_ticks(layout: Layout, since: int | None, until: int, rows: str = "grid") -> str:
    """SELECT the rows of a feature table dated since < t ≤ until (µs), over `rows` of the grid, which have all of some
    keys: key, values, t.

    A row stands where a value changed. If nothing changes for a whole longest window, the row stands again at each tick
    from then on, so that it never expires while it holds. With `since`, the query looks back for that by one window.
    """
    tick, again_after, day_0 = microseconds(TICK), layout.repeats_after, _day_0(layout, since)
    names = [sql.identifier(a.name) for a in layout.table.aggregations]
    values = ", ".join(names)
    row_values = f"struct_pack({', '.join(f'{name} := {name}' for name in names)})"
    empty = (
        f"struct_pack({', '.join(f'{sql.identifier(a.name)} := {_typed_empty(a)}' for a in layout.table.aggregations)})"
    )
    base = "" if day_0 is None else f"WHERE t >= {day_0}"
    after = "" if since is None else f"WHERE t > {since}"
    again = (
        f"SELECT key, {values}, unnest(range(t + {again_after}, next_t, {tick})) AS t "
        f"FROM change WHERE next_t - t > {again_after} AND {row_values} IS DISTINCT FROM {empty}"
    )
    over = f"OVER ({layout.order})"
    return f"""
        WITH valued AS ({_valued(layout, rows)}), now_and_before AS (
            SELECT key, t, {values}, {row_values} AS row_values,
                CASE WHEN lag(key) {over} = key THEN lag({row_values}) {over} ELSE {empty} END AS before
            FROM valued {base}
        ), change AS (
            SELECT key, {values}, t,
                CASE WHEN lead(key) {over} = key THEN lead(t) {over} ELSE {until // tick * tick + tick} END AS next_t
            FROM now_and_before WHERE row_values IS DISTINCT FROM before
        )
        SELECT key, {values}, t FROM (
            SELECT key, {values}, t FROM change {f"UNION ALL {again}" if again_after else ""}
        ) {after}"""


def _typed_empty(a: Aggregation) -> str:
    return "NULL" if a.empty is None else f"{a.empty}::{'BIGINT' if isinstance(a.empty, int) else 'DOUBLE'}"


def _valued(layout: Layout, rows: str) -> str:
    """SELECT of the values at the ticks of the grid."""
    parts = _parts(layout)
    if layout.is_dense:
        rows = f"({_ticks(layout, rows)})"
        for columns in filter(None, (parts.framed | parts.earlier, parts.merged)):
            rows = f"(SELECT *{''.join(f', {part} AS {name}' for part, name in columns.items())} FROM {rows})"
    values = ", ".join(f"{value} AS {name}" for name, value in parts.values.items())
    return f"SELECT key, t, {values} FROM {rows}"


def _dense(layout: Layout, until: int) -> str:
    """The tiles of a key, and a row for the first tick that it does not need, where the totals go back to 0. `back` is
    what the number of ticks goes back by."""
    parts, size, last = _parts(layout), layout.size, until // layout.size * layout.size
    states = _state_columns(layout)
    of_tile = "".join(f", {parts.newest.get(state, state)} AS {state}" for state in states)
    to_zero = "".join(f", {f'-sum({state})' if state in parts.totals else 'NULL'}" for state in states)
    end = f"(least(max(t) + {layout.longest + size}, {last}) + {size})"
    return (
        f"SELECT key, t, 0 AS back{of_tile} FROM tile WHERE t <= {last} "
        f"UNION ALL SELECT key, {end}, (min(t) - {end}) // {size}{to_zero} FROM tile WHERE t <= {last} GROUP BY key"
    )


def _ticks(layout: Layout, rows: str) -> str:
    """SELECT of every tick of a dense grid: `nth`, how many ticks of the key are before it, the totals, and the other
    states of the tile that begins there, if one does."""
    parts, size, over = _parts(layout), layout.size, f"OVER ({layout.order})"
    states = _state_columns(layout)
    totals = "".join(f", {parts.totals.get(state, state)} AS {state}" for state in states)
    of_first = "CASE WHEN i = 0 THEN {0} END AS {0}"
    of_tick = ", ".join(state if state in parts.totals else of_first.format(state) for state in states)
    return f"""
        SELECT key, t + i * {size} AS t, nth + i AS nth, {of_tick} FROM (
            SELECT *, unnest(range(0, ticks, 1)) AS i FROM (
                SELECT key, t, ticks, CAST({_total("ticks", layout)} - ticks AS BIGINT) AS nth{totals} FROM (
                    SELECT *, CASE WHEN lead(key) {over} = key
                        THEN (lead(t) {over} - t) // {size} ELSE back END AS ticks FROM {rows}
                )
            ) WHERE ticks > 0
        )"""


def _total(column: str, layout: Layout) -> str:
    """The sum of a column over the tiles up to each."""
    return f"sum(coalesce({column}, 0)) OVER ({layout.order} ROWS UNBOUNDED PRECEDING)"


def _state_columns(layout: Layout) -> list[str]:
    """What a tile has beside `key` and `t`."""
    return [*_parts(layout).tiles.values(), *(f"known_{a.name}" for a in states.rates(layout.table))]


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
    columns = _state_columns(layout)
    tiles = f"SELECT false AS is_tick, key, t{''.join(f', {column}' for column in columns)} FROM tile"
    return f"{tiles} UNION ALL SELECT true AS is_tick, key, t{', NULL' * len(columns)} FROM {ticks}"
