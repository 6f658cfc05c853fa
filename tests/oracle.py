"""What a window holds, by plain list comprehensions over the raw events: every engine must give the same."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

from features.windows import Aggregation, AggregationTable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Event = Mapping[str, Any]


def floor(timestamp: datetime, hop: timedelta) -> datetime:
    return EPOCH + (timestamp - EPOCH) // hop * hop if hop else timestamp


def exact(values: Iterable[Any], places: int = 9) -> list[Decimal]:
    """The values in whole billionths, or in whole units of another decimal place."""
    return [Decimal(round(v * 10**places)).scaleb(-places) for v in values]


def mean(values: Sequence[Decimal]) -> float:
    """The exact mean, rounded once."""
    return float(Fraction(sum(values, Decimal())) / len(values))


def stddev(values: Sequence[Decimal]) -> float | None:
    """From the exact sums of whole millionths."""
    x, n = [int(value.scaleb(6)) for value in values], len(values)
    if n < 2:
        return None
    return math.sqrt(float(n * sum(v * v for v in x) - sum(x) ** 2) / float(n * (n - 1))) / 10**6


def distinct(values: set[Any]) -> int:
    """Up to a thousand: how many. Above: 1,000 values have hashes below that of the 1,001st, in the order of hashes."""
    if len(values) <= 1000:
        return len(values)
    texts = [f"{v + 0.0:.17g}" if isinstance(v, float) else str(v) for v in values]
    hashes = sorted(int.from_bytes(hashlib.md5(text.encode()).digest()[:7:-1], "big") for text in texts)
    return max(1001, int(1000 * Fraction(2**64, hashes[1000])))


#: Function → its value, from the values in the window, oldest first: of a function of n, of the n newest; of a rate,
#: whether each outcome was known.
BY_HAND: dict[str, Callable[[Any], Any]] = {
    "count": len,
    "count_distinct": lambda x: distinct(set(x)),
    "sum": lambda x: float(sum(exact(x))),
    "mean": lambda x: mean(exact(x)) if x else None,
    "stddev": lambda x: stddev(exact(x, 6)),
    "min": lambda x: min(x, default=None),
    "max": lambda x: max(x, default=None),
    "last": lambda x: x[-1] if x else None,
    "last_n_mean": lambda x: mean(exact(x)) if x else None,
    "last_n_sum": lambda x: float(sum(exact(x))),
    "rate": lambda x: sum(x) / len(x) if x else None,
    "last_n_rate": lambda x: sum(x) / len(x) if x else None,
}


def window(a: Aggregation, events: Iterable[Event], time: str, key: Any, t: datetime) -> list[Event]:
    """The events of `key` that count at `t`, oldest first, ties by id."""
    oldest = datetime.min.replace(tzinfo=UTC) if a.window is None else floor(t - a.delay - a.window, a.old_edge_hop)
    own = [e for e in events if e["key"] == key and e[time] is not None and oldest <= e[time] < t - a.delay]
    counted = [e for e in own if all(e[c] in (v if isinstance(v, tuple) else (v,)) for c, v in a.where.items())]
    return sorted(counted, key=lambda e: (e[time], e["id"]))


def value(a: Aggregation, events: Iterable[Event], time: str, key: Any, t: datetime) -> Any:
    x: list[Any] = [event[a.column] if a.column else event for event in window(a, events, time, key, t)]
    x = [at is not None and at < t for at in x] if a.outcome else [v for v in x if v is not None]
    return BY_HAND[a.function](x if a.n is None else x[-a.n :])


def values(table: AggregationTable, events: Iterable[Event], key: Any, t: datetime) -> dict[str, Any]:
    return {a.name: value(a, events, table.event_time, key, t) for a in table.aggregations}


def known_at(event: Event) -> datetime:
    """When a version of an event was known: at `created`, or else when it happened."""
    created: datetime = event.get("created") or event["at"]
    return created


def once(versions: Iterable[Event], until: datetime | None = None) -> list[Event]:
    """Each event once, as it was known at `until`: column by column the last value that was known. Of two that became
    known at the same time, the greater one counts."""
    by_id: dict[Any, list[Event]] = {}
    for version in versions:
        if until is None or known_at(version) <= until:
            by_id.setdefault(version["id"], []).append(version)

    def last(column: str, of_event: list[Event]) -> Any:
        values = [(known_at(v), v[column]) for v in of_event if v[column] is not None]
        return max(values)[1] if values else None

    return [{column: last(column, of_event) for column in of_event[0]} for of_event in by_id.values()]


def rows(
    table: AggregationTable,
    events: Sequence[Event],
    since: datetime | None,
    until: datetime,
    tick: timedelta = timedelta(days=1),
) -> list[dict[str, Any]]:
    """The feature table's rows dated in (since, until]: where a value changed, or none did for a longest window."""
    stored, empty = list[dict[str, Any]](), {a.name: a.empty for a in table.aggregations}
    whole = -(-table.longest_reach // tick) * tick
    for key in sorted({e["key"] for e in events if e["key"] is not None}):
        t, before, changed = floor(min(e[table.event_time] or until for e in events), tick), empty, None
        while t <= until:
            current = values(table, events, key, t)
            if current != before:
                before, changed = current, t
            is_old = current != empty and changed is not None and t - changed >= whole
            if (changed == t or is_old) and (since is None or t > since):
                stored.append({"key": key, **current, "event_timestamp": t})
            t += tick
    return sorted(stored, key=lambda r: (r["event_timestamp"], r["key"]))
