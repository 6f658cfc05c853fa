"""Decisions about a list of orders are those about each order alone."""

import json
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

import settings
from app import create_app

pytestmark = pytest.mark.slow
PATH = "/api/v1/decisions/chargeback"
RULES = """rules:
  - {when: amount > 900, outcome: decline, reason: large, text: Large.}
  - {when: user_orders__orders_count_30d == 0 and amount > 100, outcome: review, reason: new, text: New.}
  - {when: merchant_id is not missing and amount < 5, outcome: approve, allow: true, reason: small, text: Small.}
"""
#: What differs between a list and each of it alone.
OWN = ("decision_id", "latency_us", "batch_size", "request_id", "number", "previous")


def some_orders(rng: random.Random, count: int) -> list[dict]:
    """Of users and merchants that are known, are not, or are left out; some keys and amounts stand several times."""
    return [
        {
            "order_id": f"r{n % 90}",
            "user_id": rng.choice(["nobody", "new", *(f"u{n:05}" for n in range(20))]),
            "merchant_id": rng.choice([None, "", "none", *(f"m{n:05}" for n in range(9))]),
            "amount": rng.choice([None, 0.0, 3.0, 1e3, round(rng.random() * 1e3, 2)]),
            "order_timestamp": rng.choice([None, "2026-01-31T03:00:00Z"]),
        }
        for n in range(count)
    ]


@pytest.fixture
def ruled(in_world: Path):
    policy = in_world / "policies" / "chargeback.yaml"
    policy.parent.mkdir(exist_ok=True)
    policy.write_text(RULES)
    yield
    policy.unlink()


@pytest.mark.usefixtures("ruled")
def test_a_list_of_random_orders_is_decided_and_logged_as_each_is_alone():
    now = datetime.now(UTC)
    client, sent = create_app(clock=lambda: now).test_client(), some_orders(random.Random(5), 100)
    together = client.post(PATH, json=sent).json
    alone = [client.post(PATH, json=order).json for order in sent]
    log = max(settings.root().decisions.iterdir()).read_text().splitlines()
    lines = list(map(json.loads, log[-2 * len(sent) :]))
    assert {made["decision"] for made in together} == {"approve", "review", "decline"}
    for made in (*together, *alone, *lines):
        for name in OWN:
            made.pop(name, None)
    assert together == alone
    assert lines[: len(sent)] == lines[len(sent) :]
