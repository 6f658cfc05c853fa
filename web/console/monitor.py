"""What goes on: decisions and their mix by time, latency, scores and features against training, freshness, streams and
alarms."""

import statistics
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import Blueprint, render_template

from errors import LogUnavailable
from features.domains import risks, streams
from features.risk import Risk
from features.utc import EPOCH, MICROSECOND, since_1970
from serving import audit, monitoring
from serving.audit import counts
from serving.audit.positions import Positions
from web.access import needs
from web.console.decisions import LOOKS
from web.face import Face
from web.turns import out_of_turn

#: The bars of the page: how far back they go, and how much time one stands for.
SPAN, STEP = timedelta(hours=24), timedelta(hours=1)
#: Latency is that of the newest decisions.
NEWEST = 500
SHOWN_ALARMS = 20
REFRESH_SECONDS = 5


def add(pages: Blueprint, face: Face, positions: Positions) -> None:
    """`/console/monitor`."""

    @pages.get("/monitor", strict_slashes=False)
    @needs("audit:read")
    @out_of_turn
    def monitor() -> str:
        now, path = face.clock(), face.root.monitor_db
        windows = {window.risk: window for window in monitoring.latest(path)}
        by_hour = mix(positions, now)
        return render_template(
            "console/monitor.html",
            risks=[
                {"risk": risk, "bars": bars(by_hour[risk.name], risk, now), "latency": latency(face, risk, now),
                 "total": sum(sum(n.values()) for n in by_hour[risk.name].values()), "window": windows.get(risk.name)}
                for risk in risks().values()
            ],
            streams=[shown(face, name, now) for name in streams()],
            alarms=monitoring.alarms(path)[:SHOWN_ALARMS], now=now, hours=SPAN // STEP, refresh_seconds=REFRESH_SECONDS,
        )  # fmt: skip


#: Begin of an hour, µs → outcome → decisions.
ByHour = dict[int, dict[str, int]]


def mix(positions: Positions, now: datetime) -> defaultdict[str, ByHour]:
    """Risk → its decisions by hour and outcome."""
    by_risk: defaultdict[str, ByHour] = defaultdict(dict)
    for begin, risk, outcome, count in counts.by_time(positions, since_1970(_first(now)), STEP // MICROSECOND):
        by_risk[risk].setdefault(begin, {})[outcome] = count
    return by_risk


def _first(now: datetime) -> datetime:
    """The begin of the first bar."""
    return now - (now - EPOCH) % STEP - SPAN + STEP


def bars(by_hour: Mapping[int, Mapping[str, int]], risk: Risk, now: datetime) -> list[dict[str, Any]]:
    """A bar for each hour, oldest first: its parts with their height and place in percent of the highest bar."""
    highest = max((sum(counted.values()) for counted in by_hour.values()), default=0) or 1
    drawn = []
    for nth in range(SPAN // STEP):
        begin = _first(now) + nth * STEP
        counted, below, parts = by_hour.get(since_1970(begin), {}), 0.0, []
        for word, look in zip(risk.appetite.words, LOOKS, strict=True):
            height = 100 * counted.get(word, 0) / highest
            below += height
            parts.append(
                {"look": look, "word": word, "count": counted.get(word, 0), "y": 100 - below, "height": height}
            )
        drawn.append({"begin": f"{begin:%H:%M}", "x": nth, "parts": parts})
    return drawn


def latency(face: Face, risk: Risk, now: datetime) -> dict[str, float] | None:
    """p50 and p99 of the newest decisions that requests waited for, ms, by the audit log; None where there are none."""
    records = audit.latest(face.root.decisions, risk, now, NEWEST)
    records = [record for record in records if record.get("request_id")]  # nobody waits for those of a job
    totals = [sum(steps.values()) / 1e3 for record in records if (steps := record.get("latency_us"))]
    if len(totals) < 2:
        return None
    cuts = statistics.quantiles(totals, n=100, method="inclusive")
    return {"p50": cuts[49], "p99": cuts[98], "decisions": len(totals)}


def shown(face: Face, stream: str, now: datetime) -> dict[str, Any]:
    """A stream: how long the oldest event has been waiting for the stream job, in seconds, None if none is waiting; how
    many messages wait where; and why nobody knows."""
    try:
        waiting = face.service.events.waiting(stream, now)
    except LogUnavailable as error:
        return {"name": stream, "problem": error.message}
    behind = [(*place, messages) for place, messages in sorted(waiting.messages.items()) if messages]
    seconds = waiting.oldest.total_seconds() if waiting.oldest else None
    return {"name": stream, "waiting": seconds, "messages": behind}
