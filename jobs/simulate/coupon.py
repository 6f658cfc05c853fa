"""`python -m jobs simulate coupon`: people redeem coupons, or with `--attack` somebody guesses their numbers.

Each attempt is decided first. Then it is sent as an event, also where it was blocked, because the machine saw it. So no
event counts in its own decision.
"""

import time
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from cli import console
from cli.values import SEED, Number, Whole
from features.coupon import COUPON, COUPON_ATTEMPTS, Coupon
from jobs.simulate import url_option

if TYPE_CHECKING:  # slow to import, and `--help` does without
    from jobs.simulate.caller import Caller

#: Attempts, and attempts a second.
ATTACK, NORMAL = (60, 5.0), (100, 2.0)
MOST_ATTEMPTS, FASTEST = 10_000, 1_000
ALLOW, REVIEW, BLOCK = COUPON.appetite.words


class Answer(NamedTuple):
    """A decision, and when it arrived, on any steady clock."""

    decision: str
    seconds: float


@click.command("coupon")
@click.option("--attack", is_flag=True, help="Guess: one prefix at one location, counting up.")
@click.option(
    "--attempts",
    type=Whole(1, MOST_ATTEMPTS),
    show_default=f"{NORMAL[0]}; with --attack {ATTACK[0]}",
    help="How many attempts.",
)
@click.option(
    "--per-second",
    type=Number(0, FASTEST, min_open=True),
    show_default=f"{NORMAL[1]:g}; with --attack {ATTACK[1]:g}",
    help="Attempts a second.",
)
@url_option
@click.option("--seed", type=SEED, show_default="random", help="The same coupons at the same machines again.")
def command(attack: bool, attempts: int | None, per_second: float | None, url: str, seed: int | None) -> None:
    """People redeem coupons, or somebody guesses their numbers. Ctrl-C ends it, with the summary."""
    import numpy as np

    import settings
    from jobs.simulate.caller import Caller, in_time
    from simulators import coupon

    count, rate = ATTACK if attack else NORMAL
    make = coupon.attack if attack else coupon.normal
    events = make(np.random.default_rng(seed), datetime.now(UTC), attempts or count, per_second or rate)
    service, answers = Caller(url, settings.api_key()), list[Answer]()
    try:
        with suppress(KeyboardInterrupt):
            for event in in_time(events, COUPON_ATTEMPTS.time):
                decision = attempt(service, event)
                answers.append(Answer(decision["decision"], time.monotonic()))
                if len(answers) == 1 or answers[-1].decision != answers[-2].decision:
                    console.line(line(answers, event, decision))
    finally:
        if answers:
            console.line(summary(answers, attack))


def attempt(service: "Caller", event: dict[str, Any]) -> dict[str, Any]:
    """Ask for the decision, send the event, and return the decision.

    The event gets a new id: with `--seed` the generator makes the same ids again, and an event that was already
    processed changes nothing."""
    event = {**event, COUPON_ATTEMPTS.id_column: f"live-{uuid.uuid4().hex}"}
    decision = service.decide(COUPON.name, {name: event[name] for name in Coupon.model_fields})
    service.send(COUPON_ATTEMPTS.name, {**event, COUPON_ATTEMPTS.time: datetime.now(UTC).isoformat()})
    return decision


def line(answers: Sequence[Answer], event: dict[str, Any], decision: dict[str, Any]) -> str:
    """A line about the newest answer."""
    elapsed_seconds = answers[-1].seconds - answers[0].seconds
    reason = decision["reasons"][0]["text"] if decision["reasons"] else ""
    machine = f"{event['location_code']} {event['device_id']} {event['coupon_code']}"
    verdict = f"{decision['decision']:<6} {decision['score']:6.1%}"
    return f"{len(answers):>6} {elapsed_seconds:7.1f} s  {machine}  {verdict}  {reason}"


def summary(answers: Sequence[Answer], is_attack: bool) -> str:
    """How many attempts got which decision, and of an attack, when it was blocked."""
    counts = Counter(answer.decision for answer in answers)
    attempts = "1 attempt" if len(answers) == 1 else f"{len(answers)} attempts"
    text = f"{attempts}: {counts[ALLOW]} allowed, {counts[REVIEW]} reviewed, {counts[BLOCK]} blocked."
    return f"{text}\n{_blocked(answers)}" if is_attack else text


def _blocked(answers: Sequence[Answer]) -> str:
    decisions = [answer.decision for answer in answers]
    if BLOCK not in decisions:
        return "Never blocked. Without a stream job no attempt counts: python -m jobs stream coupon"
    first = decisions.index(BLOCK)
    elapsed_seconds = answers[first].seconds - answers[0].seconds
    passed = sum(decision != BLOCK for decision in decisions[first:])
    exception = f", but for {passed} of them" if passed else ""
    return f"Blocked from attempt {first + 1} on{exception}, {elapsed_seconds:.1f} s after the first."
