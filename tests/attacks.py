"""What tests of attacks share: a decision to attack, and what an answer must not give away."""

import re
from pathlib import Path
from typing import Any

from fake import NOW

import settings
from serving import audit

DECIDE, SEARCH, OUTCOMES = "/api/v1/decisions/onboarding", "/api/v1/decisions/search", "/api/v1/outcomes"
#: What no answer may have: a line of a traceback, a statement of SQL.
LEAKS = re.compile(r"Traceback|File \"|sqlite3|SELECT .* FROM|site-packages")


def case(root: Path, decision_id: str = "d1", text: str = "A reason.") -> str:
    """A decision in the log, which a person has to look at."""
    record = {
        "risk": "daily", "entity": {"driver_id": 1001}, "request": {}, "decision_id": decision_id, "score": 0.3,
        "decision": "review", "reasons": [{"code": "x", "text": text, "contribution": 0.5}],
        "features": {"acc_rate": 1},
        "model": {"name": "daily", "version": "1"}, "policy": {"name": "daily", "version": "p"},
        "as_of": NOW.isoformat(), "caller": text, "request_id": "r",
    }  # fmt: skip
    audit.append(root / "decisions", NOW, [record])
    return decision_id


def refused(answer: Any, *statuses: int) -> bool:
    """Whether the answer is an error of ours that gives nothing away."""
    return answer.status_code in statuses and not LEAKS.search(answer.text) and str(settings.PROJECT) not in answer.text
