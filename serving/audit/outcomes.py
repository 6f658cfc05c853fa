"""What happened after a decision, as callers feed it back: a log of its own, JSON lines in a file for each day of
receipt. Lines are appended and never changed: the outcome of a decision is the one that became known last."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from errors import BadParameter, LogUnavailable, UnknownDecision, WrongType
from features.domains import risks
from features.risk import Risk
from features.utc import MICROSECOND, utc
from features.windows.folds import LARGEST
from features.windows.tiles import AHEAD_US
from files import explained, locked
from serving import lines
from serving.audit import lookup
from serving.audit.lookup import OUTCOMES
from serving.audit.positions import Positions

#: Decisions that are looked up at a time.
CHUNK = 5000
#: What a caller says of an outcome. Two that agree in all of it are one.
SENT = ("outcome", "known_at", "occurred_at", "source", "note")


class Given(NamedTuple):
    """How many outcomes were new, and how many were there before."""

    recorded: int
    unchanged: int


class Decided(NamedTuple):
    """A decision and what happened: for monitoring. `outcome` is the newest one, known since `known_at`."""

    risk: str
    as_of: datetime
    score: float
    decision: str
    outcome: float
    known_at: datetime


def give(
    positions: Positions,
    items: Sequence[Mapping[str, Any]],
    now: datetime,
    receipt: Mapping[str, Any],
    prefixes: Sequence[str],
) -> Given:
    """Append all outcomes to the log, or none; they survive a power cut once this returns. An item has `decision_id`
    and those of SENT that were sent, as JSON values; `receipt` is written with each. `prefixes` say where each item is
    in the request, for an error. An outcome that was given before changes nothing. Raises UnknownDecision, WrongType,
    BadParameter, IndexBehind, LogUnavailable."""
    folder = positions.logs["outcomes"]
    with explained(folder, LogUnavailable, "Move it away."), locked(positions.path.with_name("outcomes.lock")):
        ids = [item["decision_id"] for item in items]
        records = lookup.by_id(positions, ids)
        new = []
        for item, prefix in zip(items, prefixes, strict=True):
            if item["decision_id"] not in records:
                field = f"{prefix}decision_id"
                raise UnknownDecision(f"{field} is no decision of the audit log. Check it; nothing was stored.", field)
            record = records[item["decision_id"]]
            line = {**item, "outcome": _checked(record, item, now, prefix)}
            if not _is_there(line, record[OUTCOMES]):
                line = {"known_at": now.isoformat(), **line, "received_at": now.isoformat(), **receipt}
                record[OUTCOMES].append(line)
                new.append(line)
        if new:
            lines.append(folder / f"{now.date()}{lines.SUFFIX}", new, to_disk=True)
    return Given(len(new), len(items) - len(new))


def _checked(record: Mapping[str, Any], item: Mapping[str, Any], now: datetime, prefix: str) -> float:
    """The outcome as a number. Raises WrongType, BadParameter."""
    risk = risks().get(record["risk"])
    if risk is None:
        raise BadParameter(f"{prefix}decision_id is of the risk {record['risk']}, which no domain declares any more.")
    _check_times(record, item, now, prefix)
    return _number(risk, item["outcome"], f"{prefix}outcome")


def _number(risk: Risk, outcome: Any, field: str) -> float:
    if risk.task == "classification":
        if outcome not in (0, 1):
            raise BadParameter(
                f"{field} is {outcome!r}. Send 0 or 1: whether the bad outcome of {risk.name} happened.", field
            )
        return int(outcome)
    if isinstance(outcome, bool):
        raise WrongType(f"{field} is a boolean. Send the number that {risk.name} estimates.", field)
    low, high = risk.score_range
    if not (low <= outcome <= high and abs(outcome) <= LARGEST):
        raise BadParameter(f"{field} is {outcome!r}. Send a number from {low:g} to {high:g}.", field)
    return float(outcome)


def _check_times(record: Mapping[str, Any], item: Mapping[str, Any], now: datetime, prefix: str) -> None:
    times = {name: utc(item[name]) for name in ("known_at", "occurred_at") if name in item}
    for name, time in times.items():
        if time - now > AHEAD_US * MICROSECOND:
            seconds = (time - now).total_seconds()
            raise BadParameter(
                f"{prefix}{name} is {seconds:.0f} s in the future. Set the sender's clock.", prefix + name
            )
    if "known_at" in times and times["known_at"] < utc(record["as_of"]):
        raise BadParameter(
            f"{prefix}known_at is before the decision, which is of {record['as_of']}. Correct it.", f"{prefix}known_at"
        )


def _is_there(line: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an outcome was given before. One that does not say when it became known is compared with the newest."""
    if "known_at" in line:
        return any(all(line.get(name) == old.get(name) for name in SENT) for old in history)
    names = [name for name in SENT if name != "known_at"]
    newest = latest(history)
    return newest is not None and all(line.get(name) == newest.get(name) for name in names)


def latest(history: Iterable[Mapping[str, Any]], until: datetime | None = None) -> Mapping[str, Any] | None:
    """The outcome that became known last; with `until`, of those that were known then. None if there is none."""
    known = [given for given in history if until is None or utc(given["known_at"]) <= until]
    return max(enumerate(known), key=lambda pair: (utc(pair[1]["known_at"]), pair[0]))[1] if known else None


def decided(positions: Positions, risk: str, since: datetime, until: datetime) -> Iterator[Decided]:
    """The decisions of a risk with `as_of` from `since` to before `until` of which the outcome is known, with the
    outcome that became known last. It waits for the index. Raises RootBroken."""
    for records in with_outcome(positions):
        for record in records:
            given, as_of = latest(record[OUTCOMES]), utc(record["as_of"])
            if given and record["risk"] == risk and since <= as_of < until:
                known_at = utc(given["known_at"])
                yield Decided(risk, as_of, record["score"], record["decision"], given["outcome"], known_at)


def with_outcome(positions: Positions) -> Iterator[list[dict[str, Any]]]:
    """Every decision about which an outcome was fed back, with its `outcomes`, some thousands at a time. It waits for
    the index. Raises RootBroken."""
    ids = dict.fromkeys(line.get("decision_id") for line in lines.read_folder(positions.logs["outcomes"]))
    left = iter(name for name in ids if isinstance(name, str))
    while some := list(islice(left, CHUNK)):
        yield list(lookup.by_id(positions, some, waits=True).values())
