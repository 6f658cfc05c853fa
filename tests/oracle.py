"""What a window holds, by plain list comprehensions over the raw events: what every engine is held to."""

import math
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BILLIONTH, MILLIONTH = Decimal("1e-9"), Decimal("1e-6")


def floor(moment, hop):
    return EPOCH + (moment - EPOCH) // hop * hop if hop else moment


def window(a, events, time, key, t):
    """The events of `key` that count at `t`, oldest first, ties by id."""
    oldest = datetime.min.replace(tzinfo=UTC) if a.window is None else floor(t - a.delay - a.window, a.old_edge_hop)
    mine = [e for e in events if e["key"] == key and e[time] is not None and oldest <= e[time] < t - a.delay]
    kept = [e for e in mine if all(e[c] in (v if isinstance(v, tuple) else (v,)) for c, v in a.where.items())]
    return sorted(kept, key=lambda e: (e[time], e["id"]))


def exact(values, unit=BILLIONTH):
    return [Decimal(v).quantize(unit, ROUND_HALF_EVEN) for v in values]


def value(a, events, time, key, t):
    inside = window(a, events, time, key, t)
    if a.function == "rate":
        return sum(e[a.column] is not None and e[a.column] < t for e in inside) / len(inside) if inside else None
    x = [e[a.column] for e in inside if e[a.column] is not None] if a.column else inside
    if a.function.startswith("last_n"):
        x = x[-a.n :]
    match a.function:
        case "count":
            return len(x)
        case "count_distinct":
            return len(set(x))
        case "sum" | "last_n_sum":
            return float(sum(exact(x)))
        case "mean" | "last_n_mean":
            return float(sum(exact(x)) / len(x)) if x else None
        case "stddev":
            return stddev(exact(x, MILLIONTH))
        case "last":
            return x[-1] if x else None
        case extreme:
            return {"min": min, "max": max}[extreme](x) if x else None


def stddev(x):
    if len(x) < 2:
        return None
    middle = sum(x) / len(x)
    return math.sqrt(sum((v - middle) ** 2 for v in x) / (len(x) - 1))


def values(table, events, key, t):
    return {a.name: value(a, events, table.event_time, key, t) for a in table.aggregations}


def once(events):
    """Of several events with one id, the last learned of, and of those the one that says most."""
    newest = {}
    for e in events:
        rank = [(e[c] is not None, e[c] or 0) for c in ("id", "key", "x", "who", "kind", "outcome", "at")]
        if e["id"] not in newest or rank > newest[e["id"]][0]:
            newest[e["id"]] = (rank, e)
    return [e for _, e in newest.values()]


def rows(table, events, since, until, tick=timedelta(days=1)):
    """The feature table's rows dated in (since, until]: where a value changed, or nothing did for a longest window."""
    answer, empty = [], {a.name: a.empty for a in table.aggregations}
    whole = -(-table.longest_reach // tick) * tick
    for key in sorted({e["key"] for e in events if e["key"] is not None}):
        t, before, changed = floor(min(e[table.event_time] or until for e in events), tick), empty, None
        while t <= until:
            here = values(table, events, key, t)
            if here != before:
                before, changed = here, t
            is_old = here != empty and changed is not None and t - changed >= whole
            if (changed == t or is_old) and (since is None or t > since):
                answer.append({"key": key, **here, "event_timestamp": t})
            t += tick
    return sorted(answer, key=lambda r: (r["event_timestamp"], r["key"]))
