"""`python -m jobs simulate coupon`: people redeem coupons, or with `--attack` somebody guesses their numbers.

Each attempt is decided first and is an event afterwards, though it was blocked: the machine saw it. So no event counts
in its own decision.
"""

import argparse
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from features.coupon import COUPON, COUPON_ATTEMPTS, Coupon

if TYPE_CHECKING:  # it takes its time to import, and `python -m jobs --help` does without
    from jobs.simulate.caller import Caller

ABOUT = "people redeem coupons, or somebody guesses their numbers"
#: Attempts, and how many a second.
ATTACK, NORMAL = (60, 5.0), (100, 2.0)
MOST_ATTEMPTS, FASTEST = 10_000, 1000.0
ALLOW, REVIEW, BLOCK = COUPON.appetite.words


class Answer(NamedTuple):
    decision: str
    #: When it came; any steady clock.
    seconds: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    def default(place: int) -> str:
        return f"default: {NORMAL[place]:g}, of an attack {ATTACK[place]:g}"

    parser.add_argument("--attack", action="store_true", help="one prefix at one location, counting up")
    parser.add_argument("--attempts", type=_count, metavar="N", help=default(0))
    parser.add_argument("--per-second", type=_rate, metavar="R", help=default(1))
    parser.add_argument("--url", default="http://127.0.0.1:5000", help="of the service; default: %(default)s")
    parser.add_argument("--seed", type=int, help="the same coupons at the same machines again; default: others")


def run(asked: argparse.Namespace) -> None:
    """Ctrl-C ends it as the last attempt does. Raises ServiceFailed."""
    import numpy as np

    from jobs.simulate.caller import Caller, in_time
    from simulators import coupon

    attempts, per_second = ATTACK if asked.attack else NORMAL
    make = coupon.attack if asked.attack else coupon.normal
    rng = np.random.default_rng(asked.seed)
    events = make(rng, datetime.now(UTC), asked.attempts or attempts, asked.per_second or per_second)
    service, answers = Caller(asked.url), list[Answer]()
    try:
        with suppress(KeyboardInterrupt):
            for event in in_time(events, COUPON_ATTEMPTS.time):
                decision = attempt(service, event)
                answers.append(Answer(decision["decision"], time.monotonic()))
                if len(answers) == 1 or answers[-1].decision != answers[-2].decision:
                    print(line(answers, event, decision), flush=True)
    finally:
        if answers:
            print(summary(answers, asked.attack), flush=True)


def attempt(service: "Caller", event: dict[str, Any]) -> dict[str, Any]:
    """The decision. The event gets a number that it never had, for with `--seed` the generator's would come again, and
    what was sent before changes nothing."""
    event = {**event, COUPON_ATTEMPTS.id or "": f"live-{uuid.uuid4().hex}"}
    decision = service.decide(COUPON.name, {name: event[name] for name in Coupon.model_fields})
    service.send(COUPON_ATTEMPTS.name, {**event, COUPON_ATTEMPTS.time: datetime.now(UTC).isoformat()})
    return decision


def line(answers: Sequence[Answer], event: dict[str, Any], decision: dict[str, Any]) -> str:
    """About the newest answer."""
    since = answers[-1].seconds - answers[0].seconds
    reason = decision["reasons"][0]["text"] if decision["reasons"] else ""
    what = f"{event['location_code']} {event['device_id']} {event['coupon_code']}"
    return f"{len(answers):>6} {since:7.1f} s  {what}  {decision['decision']:<6} {decision['score']:6.1%}  {reason}"


def summary(answers: Sequence[Answer], is_attack: bool) -> str:
    of = Counter(answer.decision for answer in answers)
    many = "1 attempt" if len(answers) == 1 else f"{len(answers)} attempts"
    said = f"{many}: {of[ALLOW]} allowed, {of[REVIEW]} reviewed, {of[BLOCK]} blocked."
    return f"{said}\n{_blocked(answers)}" if is_attack else said


def _blocked(answers: Sequence[Answer]) -> str:
    decisions = [answer.decision for answer in answers]
    if BLOCK not in decisions:
        return "Never blocked. Without a stream job no attempt counts: python -m jobs stream coupon"
    first = decisions.index(BLOCK)
    since = answers[first].seconds - answers[0].seconds
    others = sum(decision != BLOCK for decision in decisions[first:])
    but = f", but for {others} of them" if others else ""
    return f"Blocked from attempt {first + 1} on{but}, {since:.1f} s after the first."


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= MOST_ATTEMPTS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of attempts. Give 1 to {MOST_ATTEMPTS}.")
    return int(text)


def _rate(text: str) -> float:
    with suppress(ValueError):
        if 0 < (rate := float(text)) <= FASTEST:
            return rate
    raise argparse.ArgumentTypeError(f"{text!r} is no number a second. Give 5, or 0.5 for one in two seconds.")
