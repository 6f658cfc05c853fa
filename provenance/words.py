"""Definitions of features as sentences, made from the declarations."""

from datetime import timedelta

from features.on_demand import OnDemand
from features.windows.aggregation import TICK, Aggregation, Flag
from features.windows.live import LiveFeatures
from features.windows.tables import AggregationTable, LastDistinctTable

_UNITS = (
    (timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute"),
    (timedelta(seconds=1), "second"),
)  # fmt: skip
_BEYOND = {"<": "below", ">": "above"}


def length(duration: timedelta) -> str:
    """
    >>> length(timedelta(days=7)), length(timedelta(hours=1)), length(timedelta(minutes=90))
    ('7 days', '1 hour', '90 minutes')
    """
    for unit, name in _UNITS:
        if not duration % unit:
            count = duration // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    return str(duration)


def of_aggregation(table: AggregationTable, a: Aggregation, is_live: bool) -> str:
    """What an aggregation computes, as a sentence. `is_live`: at the request, and else at the last midnight."""
    return f"{_capital(_folded(table, a))}, {_window(a, 'the request' if is_live else 'the last midnight, UTC')}."


def of_flag(table: AggregationTable, flag: Flag, is_live: bool) -> str:
    """What a flag says."""
    (a,) = (a for a in table.aggregations if a.name == flag.aggregation)
    return (
        f"1 if {a.name} is {_BEYOND[flag.operator]} {flag.bound:g}, 0 if not, missing if {a.name} is missing. "
        f"{a.name}: {of_aggregation(table, a, is_live)}"
    )


def of_sightings(table: LastDistinctTable) -> str:
    """What the features of a `LastDistinctTable` are."""
    return (
        f"{table.last} is the {table.value} that was most recently seen for the first time in {table.source.name} with "
        f"the same {table.key} before the request, and {table.previous} the one seen before that."
    )


def of_on_demand(feature: OnDemand) -> str:
    """What is computed from the request, or from it and a stored row."""
    return f"{feature.says} {of_sightings(feature.table)}" if feature.table else feature.says


def of_more(live: LiveFeatures, description: str) -> str:
    """What `LiveFeatures.then` computes."""
    fields = f" and from {', '.join(live.request)} of the request" if live.request else ""
    return f"{description} Computed from the other features{fields}."


def of_stored(view: str, name: str, keys: str) -> str:
    """What is stored as it came."""
    return f"The value {name} of the newest row of {view} with the same {keys}, dated up to the request."


def _folded(table: AggregationTable, a: Aggregation) -> str:
    """What is folded of which events, as in `the mean of amount, over orders with the same user_id`."""
    about = a.record.about.partition(";")[0].replace("`n`", str(a.n))
    where = "".join(f", whose {column} is {_either(value)}" for column, value in a.where.items())
    time = "" if table.event_time == table.source.time else f", dated by {table.event_time}"
    events = f"{table.source.name} with the same {' and '.join(table.keys)}{where}{time}"
    if a.column is None:
        return f"{about.partition(',')[0].replace('events', events)}"
    return f"{about}{', by' if a.outcome else ' of'} {a.column}, over {events}"


def _window(a: Aggregation, end: str) -> str:
    if a.window is None:
        return f"before {end}" if not a.delay else f"up to {length(a.delay)} before {end}"
    hop = a.old_edge_hop
    moves = f"; the beginning is rounded down to {_whole(hop)}" if hop else ""
    before = f"before {end}" if not a.delay else f"that end {length(a.delay)} before {end}"
    return f"in the {length(a.window)} {before}{moves}"


def _whole(hop: timedelta) -> str:
    return "midnight" if hop == TICK else f"a multiple of {length(hop)}"


def _either(value: object) -> str:
    return " or ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
