"""A made-up regression, and a small feature store for it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd

import settings
from features.risk import Appetite, Input, Outcomes, Reason, Risk, RiskRequest
from features.windows.raw import Column, RawTable
from serving.store import Answers, Row

CASES = 3000
LEAST, MOST = 1.0, 10.0
NAMES = ("orders", "spent", "weekday")
DIRECTIONS: tuple[Literal[-1, 0, 1], ...] = (+1, +1, 0)
TREES: Literal["gradient_boosting"] = "gradient_boosting"
LINEAR: Literal["linear_regression"] = "linear_regression"


class Customer(RiskRequest):
    customer_id: int


def declared(**changes: Any) -> Risk:
    inputs = tuple(
        Input(name, "float", direction, Reason(f"{name}_up", "Up."), Reason(f"{name}_down", "Down."))
        for name, direction in zip(NAMES, DIRECTIONS, strict=True)
    )
    table = RawTable("made_loyalty", (Column("customer_id", "int"), Column("loyalty", "float")))
    return replace(
        Risk(
            name="made_up", title="", description="", request=Customer, entity_keys=("customer_id",), inputs=inputs,
            outcomes=Outcomes(table, "loyalty", timedelta()), task="regression", algorithms=(LINEAR, TREES),
            appetite=Appetite(4, 7, ("new", "regular", "loyal")), bounds=(LEAST, MOST),
        ),
        **changes,
    )  # fmt: skip


class Source:
    """A feature store: customer n is row n of a frame."""

    def __init__(self, features: pd.DataFrame) -> None:
        self.features = features

    def views(self, service: str) -> dict[str, str]:
        return dict.fromkeys(NAMES, "made")

    def types(self, service: str) -> dict[str, str]:
        return dict.fromkeys(NAMES, "DOUBLE")

    def asks(self, service: str) -> dict[str, str]:
        return {"customer_id": "INT64"}

    def historical(self, risk: Risk, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{n: self.features[n].to_numpy()[frame["customer_id"]] for n in NAMES})

    def online_many(self, risk: Risk, rows: Sequence[Row], as_of: datetime) -> Answers:
        features = [self.features.loc[row["customer_id"]].to_dict() for row in rows]
        return Answers(features, [dict.fromkeys(["made"]) for _ in rows])


def made_up() -> Source:
    """The store; the raw table is written as well. The labels have noise of width 1, which no input explains."""
    rng = np.random.default_rng(0)
    features = pd.DataFrame({"orders": rng.poisson(8, CASES), "spent": rng.gamma(2, 50, CASES), "weekday": 0.0})
    features = features.astype(float).assign(weekday=rng.integers(0, 7, CASES))
    clear = 1 + 0.35 * features["orders"] + 2 * (features["spent"] > 100) - 1.5 * (features["weekday"] == 3)
    outcomes(np.clip(clear + rng.normal(0, 1, CASES), LEAST, MOST))
    return Source(features)


def outcomes(loyalty: np.ndarray) -> None:
    times = pd.date_range("2025-01-01", periods=len(loyalty), freq="h", tz="UTC")
    frame = pd.DataFrame({"customer_id": range(len(loyalty)), "loyalty": loyalty, "event_timestamp": times})
    table = settings.root().path / "raw" / "made_loyalty"
    table.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(table / "made.parquet")
