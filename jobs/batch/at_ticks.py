"""A table's definitions as one SQL query for its ticks, and in pieces for `jobs/batch/at_moments.py`.

Input is the relation `event`: `key`, `t` (microseconds since 1970), `tie` (orders events of one time), and each column
that a definition names; sums also take `<column>_units`, whole billionths, and `<column>_root_units`, millionths.

1. Tiles: the states of the events of a key in each stretch of time, so small that no window's edge cuts one.
2. A grid: tiles and the ticks asked about, ordered by time. Where both are evenly spaced (windows of whole days at
   days' ends) the grid has a row for every day, and a window is a number of rows, four times faster to find.
3. Windows: states merged over a frame of the grid, read as values.

An outcome that becomes known while its event is in the window enters a `rate` at that moment, and leaves it with its
event: two more tiles of +1 and −1, summed from the beginning.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from features.windows.aggregation import TICK, Aggregation
from features.windows.folds import ROOT_UNITS, UNITS
from jobs import sql
from jobs.batch.layout import Layout, microseconds

KEY_ORDER = "PARTITION BY key ORDER BY t"


def where(a: Aggregation) -> list[str]:
    values = {column: value if isinstance(value, tuple) else (value,) for column, value in a.where.items()}
    return [f"c_{column} IN ({', '.join(map(sql.literal, of))})" for column, of in values.items()]


def _conditions(a: Aggregation, further: Sequence[str]) -> str:
    tests = [*further, *where(a)]
    if a.column and a.function != "rate":
        tests.append(f"c_{a.column} IS NOT NULL")
    return f" FILTER (WHERE {' AND '.join(tests)})" if tests else ""


def states(a: Aggregation, further: Sequence[str] = ()) -> dict[str, tuple[str, str]]:
    """Role → (the state of some events, how states merge over a frame), as SQL; `{}` is the state's column. `further`
    says which events count, beside the definition."""
    x, only = f"c_{a.column}", _conditions(a, further)
    count = (f"count(*){only}", "sum({})")
    units = "_units" if a.function.startswith("last_n") else ""
    event = f"struct_pack(t := t, tie := tie, x := {x}{units})"
    roles: dict[str, dict[str, tuple[str, str]]] = {
        "count": {"n": count},
        "rate": {"n": count},
        "sum": {"s": (f"sum({x}_units){only}", "sum({})")},
        "mean": {"s": (f"sum({x}_units){only}", "sum({})"), "n": count},
        "stddev": {
            "q": (f"sum({x}_root_units::HUGEINT * {x}_root_units){only}", "sum({})"),
            "s": (f"sum({x}_root_units){only}", "sum({})"),
            "n": count,
        },
        "min": {"x": (f"min({x}){only}", "min({})")},
        "max": {"x": (f"max({x}){only}", "max({})")},
        "count_distinct": {"l": (f"list(DISTINCT {x}){only}", "list({}) FILTER (WHERE {} IS NOT NULL)")},
        "last": {"x": (f"max({event}){only}", "max({})")},
    }
    recent = {"l": (f"max({event}, {a.n}){only}", "list({}) FILTER (WHERE {} IS NOT NULL)")}
    return roles.get(a.function, recent)


def value(a: Aggregation, role: dict[str, str]) -> str:
    """A feature of the merged states, whose columns `role` names."""
    newest = f"list_sort(flatten({role.get('l')}), 'DESC')[:{a.n}]"
    units = f"list_sum(list_transform({newest}, lambda e : e.x))"
    n, s, q, x = (role.get(r, "") for r in "nsqx")
    return {
        "count": f"coalesce({n}, 0)::BIGINT",
        "rate": f"CASE WHEN {n} > 0 THEN coalesce({role.get('came')}, 0)::DOUBLE / {n}::DOUBLE END",
        "sum": f"coalesce({s}, 0)::DOUBLE / {UNITS}::DOUBLE",
        "mean": f"CASE WHEN {n} > 0 THEN {s}::DOUBLE / ({n} * {UNITS})::DOUBLE END",
        "stddev": f"CASE WHEN {n} > 1 THEN sqrt(({n} * {q} - {s}::HUGEINT * {s})::DOUBLE / ({n} * ({n} - 1))::DOUBLE) "
        f"/ {ROOT_UNITS}::DOUBLE END",
        "min": x,
        "max": x,
        "count_distinct": f"coalesce(len(list_distinct(flatten({role.get('l')}))), 0)::BIGINT",
        "last": f"({x}).x",
        "last_n_mean": f"{units}::DOUBLE / (len({newest}) * {UNITS})::DOUBLE",
        "last_n_sum": f"coalesce({units}, 0)::DOUBLE / {UNITS}::DOUBLE",
    }[a.function]


@dataclass(frozen=True)
class _Parts:
    """The pieces that all a table's aggregations share: each state and each merged state stands once."""

    tiles: dict[str, str]
    merged: dict[str, str]
    values: dict[str, str]


def _parts(layout: Layout) -> _Parts:
    tiles: dict[str, str] = {}
    merged: dict[str, str] = {}
    values: dict[str, str] = {}
    for a in layout.table.aggregations:
        role = {}
        for name, (state, merge) in states(a).items():
            column = tiles.setdefault(state, f"s{len(tiles)}")
            over = f"{merge.replace('{}', column)} OVER ({KEY_ORDER} {layout.frame(a)})"
            role[name] = merged.setdefault(over, f"m{len(merged)}")
        if a.function == "rate":
            since = "ROWS" if layout.is_dense else "RANGE"
            over = f"sum(came_{a.name}) OVER ({KEY_ORDER} {since} BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)"
            role["came"] = merged.setdefault(over, f"m{len(merged)}")
        values[a.name] = value(a, role)
    return _Parts(tiles, merged, values)


def tiles(layout: Layout) -> str:
    """SELECT of the tiles: `key`, `t` (where it begins) and the states."""
    states = "".join(f", {state} AS {name}" for state, name in _parts(layout).tiles.items())
    tile = f"SELECT key, t // {layout.size} * {layout.size} AS t{states} FROM event GROUP BY 1, 2"
    outcomes = [a for a in layout.table.aggregations if a.function == "rate"]
    if not outcomes:
        return tile
    steps = " UNION ALL ".join(step for a in outcomes for step in _outcome_steps(layout, a, outcomes))
    sums = ", ".join(f"sum(came_{a.name}) AS came_{a.name}" for a in outcomes)
    floored = f"t // {layout.size} * {layout.size}"
    return (
        f"SELECT * FROM ({tile}) FULL JOIN (SELECT key, {floored} AS t, {sums} FROM ({steps}) GROUP BY 1, 2) "
        "USING (key, t)"
    )


def _outcome_steps(layout: Layout, a: Aggregation, outcomes: list[Aggregation]) -> Iterator[str]:
    """+1 from the moment that an outcome counts and is known, −1 from when its event leaves the window."""
    tests = [f"c_{a.column} IS NOT NULL", *where(a)]
    known = f"greatest(t + {microseconds(a.delay)}, c_{a.column})"
    last = layout.leaves(a)
    for moment, step in ((known, 1), (last, -1)):
        came = ", ".join(f"{step if other is a else 0} AS came_{other.name}" for other in outcomes)
        yield f"SELECT key, {moment} AS t, {came} FROM event WHERE {' AND '.join(tests)} AND {known} < {last}"


def _valued(layout: Layout, grid: str, keep: str) -> str:
    """SELECT of the values over `grid`, for the rows that `keep` says; `*` of the grid's own columns is `{keep}`."""
    parts = _parts(layout)
    merged = ", ".join(f"{over} AS {name}" for over, name in parts.merged.items())
    values = ", ".join(f"{sql} AS {name}" for name, sql in parts.values.items())
    return f"SELECT ask, key, t, {values} FROM (SELECT ask, key, t, {merged} FROM ({grid})) WHERE {keep}"


def _and_asked(layout: Layout, of_tile: str, of_asked: str, asked: str) -> str:
    """The tiles and the moments asked about, told apart by `ask`."""
    states = [
        *_parts(layout).tiles.values(),
        *(f"came_{a.name}" for a in layout.table.aggregations if a.function == "rate"),
    ]
    here, nothing = "".join(f", {s}" for s in states), ", NULL" * len(states)
    tiles_of = f"SELECT {of_tile} AS ask, key, t{here} FROM tile"
    return f"{tiles_of} UNION ALL SELECT {of_asked} AS ask, key, t{nothing} FROM {asked}"


def at_ticks(layout: Layout, since: int | None, until: int) -> str:
    """SELECT the rows of a feature table dated since < t ≤ until (µs), over the relation `tile`: key, values, t.

    A row stands where a value changed. Should nothing change for a whole longest window, it stands again at each tick
    from then on, so that it never expires while it holds; with `since`, the look back for that is one window.
    """
    tick, again_after = microseconds(TICK), layout.repeats_after
    day_0 = None if since is None else since - (again_after or 0)
    values = ", ".join(a.name for a in layout.table.aggregations)
    here = f"struct_pack({', '.join(f'{a.name} := {a.name}' for a in layout.table.aggregations)})"
    empty = f"struct_pack({', '.join(f'{a.name} := {_typed_empty(a)}' for a in layout.table.aggregations)})"
    valued = _valued(layout, _dense(layout, until) if layout.is_dense else _sparse(layout, day_0, until), "ask")
    base = "" if day_0 is None else f"WHERE t >= {day_0}"
    after = "" if since is None else f"WHERE t > {since}"
    again = (
        f"SELECT key, {values}, unnest(range(t + {again_after}, next_t, {tick})) AS t "
        f"FROM change WHERE next_t - t > {again_after} AND {here} IS DISTINCT FROM {empty}"
    )
    return f"""
        WITH valued AS ({valued}), now_and_before AS (
            SELECT key, t, {values}, {here} AS here, lag({here}, 1, {empty}) OVER ({KEY_ORDER}) AS before
            FROM valued {base}
        ), change AS (
            SELECT key, {values}, t, lead(t, 1, {until // tick * tick + tick}) OVER ({KEY_ORDER}) AS next_t
            FROM now_and_before WHERE here IS DISTINCT FROM before
        )
        SELECT key, {values}, t FROM (
            SELECT key, {values}, t FROM change {f"UNION ALL {again}" if again_after else ""}
        ) {after}"""


def _typed_empty(a: Aggregation) -> str:
    return "NULL" if a.empty is None else f"{a.empty}::{'BIGINT' if isinstance(a.empty, int) else 'DOUBLE'}"


def _dense(layout: Layout, until: int) -> str:
    """Every tick of a key from its first tile to the first one without events; the tile that begins there, if any."""
    end = f"least(max(t) + {layout.longest + layout.size}, {until // layout.size * layout.size}) + {layout.size}"
    every = f"SELECT key, unnest(range(min(t), {end}, {layout.size})) AS t FROM tile GROUP BY key"
    return f"SELECT true AS ask, * FROM ({every}) LEFT JOIN tile USING (key, t)"


def _sparse(layout: Layout, since: int | None, until: int) -> str:
    """The tiles, and the ticks at which something enters or leaves a window of their key."""
    tick, size = microseconds(TICK), layout.size
    moments = {f"t + {size}"}
    for a in layout.table.aggregations:
        moments.add(f"t + {size + microseconds(a.delay)}")
        if a.window is not None:
            moments.add(f"{layout.leaves(a)} + 1")
    ceilings = ", ".join(f"({moment} + {tick - 1}) // {tick} * {tick}" for moment in sorted(moments))
    asked = f"SELECT DISTINCT key, unnest([{ceilings}]) AS t FROM tile"
    if since is not None:
        asked += f" UNION SELECT DISTINCT key, {since} FROM tile WHERE t < {since}"
    wanted = f"({asked}) WHERE t <= {until}" + ("" if since is None else f" AND t >= {since}")
    return _and_asked(layout, "false", "true", wanted)
