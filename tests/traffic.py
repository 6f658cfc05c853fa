"""Orders of the chargeback simulator as training rows and as logged decisions, for tests of monitoring."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fake import shelve

from features.chargeback import order_in_context
from features.domains import risks
from model import shelf
from model.card import Card
from model.publishing.drawn import reference
from root import Root
from serving import audit
from simulators import Size, chargeback

#: A Monday. Seven days of training end then, and the traffic begins.
START = datetime(2026, 3, 2, tzinfo=UTC)
TRAIN_DAYS, DAYS, LIVE_VIEW = 7, 9, "user_orders_state"
TRAIN_ROWS = 20_000
RISK = risks()["chargeback"]


@cache
def orders() -> pd.DataFrame:
    """Each order of nine days, about 600 an hour, with the inputs that the order and the user's day say. The others are
    drawn at random. `score` is made up."""
    size, rng = Size(drivers=1, users=8_000, merchants=2_000, order_days=DAYS), np.random.default_rng(5)
    frame = chargeback.events(5, START + timedelta(days=DAYS - TRAIN_DAYS), size, b"key")["orders"]
    mean = frame.groupby("user_id")["amount"].transform("mean").to_numpy()
    context = pd.DataFrame(
        order_in_context(amount, mean, mean / 2, 2 * mean, at.to_pydatetime())
        for amount, mean, at in zip(frame["amount"].tolist(), mean.tolist(), frame["order_timestamp"], strict=True)
    )
    drawn = {i.name: rng.poisson(3, len(frame)) if i.dtype == "int" else rng.gamma(2, 20, len(frame)).round(2)
             for i in RISK.inputs if i.name not in context}  # fmt: skip
    return context.assign(**drawn, event_timestamp=frame["order_timestamp"], score=rng.beta(1, 20, len(frame)))


def rows(first_hour: float, hours: float) -> pd.DataFrame:
    """The orders of some hours, counted from `START`."""
    since = pd.Timestamp(START + timedelta(hours=first_hour))
    times = orders()["event_timestamp"]
    return orders()[(times >= since) & (times < since + pd.Timedelta(hours=hours))]


@cache
def trained() -> str:
    """The reference of the training rows, as JSON."""
    training = rows(-24 * TRAIN_DAYS, 24 * TRAIN_DAYS).sample(TRAIN_ROWS, random_state=0)
    return reference(RISK, training, training["score"].to_numpy()).model_dump_json(exclude_defaults=True)


@dataclass
class Traffic:
    """A root with a model and its reference. `version` is the model that decides."""

    root: Root
    version: str = "1"

    def publish(self) -> None:
        """Put the model on the shelf, with the training rows' reference."""
        shelve(RISK.name)
        content = trained()
        folder = self.root.models / RISK.name / self.version
        card = Card.model_validate_json((folder / shelf.CARD).read_bytes())
        card = card.model_copy(update={"reference_sha256": shelf.sha256(content.encode())})
        (folder / shelf.CARD).write_text(card.model_dump_json())
        (folder / shelf.REFERENCE).write_text(content)

    def decide(self, frame: pd.DataFrame, lag: timedelta | None = timedelta(minutes=1)) -> None:
        """Log a decision on each order. The newest event of the live view is `lag` older, or never changes."""
        by_day: dict[datetime, list[dict[str, Any]]] = {}
        names = [i.name for i in RISK.inputs]
        for record in frame.to_dict("records"):
            at = record["event_timestamp"].to_pydatetime()
            newest = START if lag is None else at - lag
            values = {name: None if pd.isna(record[name]) else record[name] for name in names}
            by_day.setdefault(at.replace(hour=0, minute=0, second=0, microsecond=0), []).append({
                "risk": RISK.name, "entity": {}, "request": {},
                "decision_id": f"{at:%d %H:%M:%S} {record['score']:.12f}",
                "decision": "approve" if record["score"] < 0.05 else "review", "score": record["score"], "reasons": [],
                "features": values, "model": {"name": RISK.name, "version": self.version}, "as_of": at.isoformat(),
                "event_times": {LIVE_VIEW: newest.isoformat()},
            })  # fmt: skip
        for day, records in by_day.items():
            audit.append(self.root.decisions, day, records)


def tables(path: Path) -> list[Any]:
    """All that a monitor has written, without what it keeps for itself."""
    import sqlite3

    with sqlite3.connect(path) as connection:
        return [
            json.loads(json.dumps(connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()))
            for name in ("window", "statistic", "alarm")
        ]
