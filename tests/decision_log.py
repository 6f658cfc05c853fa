"""Decisions in the audit log of a test, and what a look at every line finds."""

from datetime import datetime, timedelta
from typing import Any

from fake import NOW

import settings
from features.identifiers import keyed_hash
from serving import audit

WORDS = ("approve", "review", "decline")


def record(n: int, as_of: datetime, risk: str = "onboarding", **more: Any) -> dict[str, Any]:
    """A record with a score, an outcome and entities that follow from its number."""
    score = (n * 37 % 101) / 100
    key = settings.hash_key()
    entity = {"ssn": keyed_hash("ssn", f"{n % 7}", key), "dl": keyed_hash("dl", f"{n % 3}", key)}
    return {
        "risk": risk, "entity": entity if risk == "onboarding" else {"driver_id": 1000 + n % 5}, "request": {},
        "decision_id": f"{risk}-{n}", "decision": WORDS[n % 3], "score": score, "reasons": [], "features": {},
        "model": {"name": risk, "version": "1"}, "policy": {"name": risk, "version": "1"},
        "as_of": as_of.isoformat(), "caller": f"caller {n % 2}", **more,
    }  # fmt: skip


def log(count: int, start: datetime = NOW) -> list[dict[str, Any]]:
    """Write records of three days, some at the same time, some of a batch of a past day. Returns all of them."""
    written = []
    for n in range(count):
        as_of = start - timedelta(hours=69 - n // 4 * 3 % 70)
        made = record(n, as_of, "daily" if n % 4 == 1 else "onboarding")
        audit.append(settings.root().decisions, as_of, [made])
        written.append(made)
    return written


def newest_first(records: list[dict[str, Any]]) -> list[str]:
    """The oracle: by time, and at one time the later line first."""
    lines = sorted(enumerate(records), key=lambda pair: (pair[1]["as_of"], pair[0]), reverse=True)
    return [made["decision_id"] for _, made in lines]


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.json
    return [made["decision_id"] for made in answer.json["decisions"]]
