"""A fake feature store, and real little models, for tests of the service that need no Feast."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression

import settings
from errors import UnknownEntity
from features.domains import risks
from features.risk import Risk
from model import shelf
from model.card import Card, CardInput, Metrics, OutcomeRate, Split
from serving.store import Answers, EventTimes, Row, StoredRow, Vector

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
APPLICANT = {"state": "CA", "ssn": "512-34-8765", "dl": "D1234567", "dob": "1990-05-17"}
APPLICANT_FEATURES = ("is_gt_18_years_old", "is_valid_state", "is_previously_seen_ssn", "is_previously_seen_dl")
STATS = ("conv_rate", "acc_rate", "avg_daily_trips")
FLAGS = ("yesterdays_avg_daily_trips_lt_10", "yesterdays_acc_rate_lt_01", "yesterdays_conv_rate_gt_80")


class Fake:
    """A feature store with two drivers and one applicant, as far as the tests need it. `seen` is whether the
    applicant's numbers were seen before; `rows` are the rows asked for, `written` those written."""

    def __init__(self) -> None:
        self.seen = 0
        self.rows: list[Any] = []
        self.written: list[tuple[str, Row]] = []

    def views(self, service: str) -> dict[str, str]:
        features = APPLICANT_FEATURES if service == "onboarding" else ("state", *STATS, *FLAGS)
        return dict.fromkeys(features, "driver_yesterdays_stats")

    def types(self, service: str) -> dict[str, str]:
        return {name: "STRING" if name == "state" else "DOUBLE" if name in STATS else "INT64"
                for name in self.views(service)}  # fmt: skip

    def online(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        self.rows.append(row)
        if risk.name == "daily":
            if row["driver_id"] not in (1001, 1002):
                raise UnknownEntity("driver_id is not known.", "driver_id")
            is_missing = row["driver_id"] == 1002
            return {"state": "CA"} | dict.fromkeys(STATS, None if is_missing else 0.5) | dict.fromkeys(FLAGS, 0)
        return {
            "is_gt_18_years_old": 1, "is_valid_state": int(row["state"] == "CA"),
            "is_previously_seen_ssn": self.seen, "is_previously_seen_dl": self.seen,
        }  # fmt: skip

    def online_many(self, risk: Risk, rows: Sequence[Row], as_of: datetime) -> Answers:
        times = dict.fromkeys(self.views(risk.name).values(), NOW)
        return Answers([self.online(risk, row, as_of) for row in rows], [dict(times) for _ in rows])

    def historical(self, risk: Risk, frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**dict.fromkeys(self.views(risk.name)))

    def joined_times(self, risk: Risk, frame: pd.DataFrame) -> list[EventTimes]:
        return [dict.fromkeys(self.views(risk.name).values(), NOW)] * len(frame)

    def stored(self, view: str, keys: Row) -> dict[str, Any]:
        return dict.fromkeys(("last_driver_with_ssn", "last_driver_with_dl"))

    def kept(self, view: str, names: Sequence[str], keys: Sequence[tuple[Any, ...]]) -> list[StoredRow | None]:
        raise NotImplementedError

    def check(self, service: str, now: datetime) -> None:
        self.views(service)

    def materialized(self) -> dict[str, datetime]:
        return {"driver_yesterdays_stats": NOW}

    def write(self, view: str, row: Row) -> None:
        self.written.append((view, row))

    def services(self) -> list[str]:
        raise NotImplementedError

    def asks(self, service: str) -> dict[str, str]:
        return (
            {"driver_id": "INT64"} if service == "daily" else {"ssn": "STRING", "dl": "STRING", "dob": "UNIX_TIMESTAMP"}
        )

    def vectors(self, service: str, rows: Sequence[Row], as_of: datetime, clock: datetime) -> list[Vector]:
        raise NotImplementedError

    def write_table(self, view: str, table: pa.Table) -> None:
        raise NotImplementedError

    def write_tables(self, tables: Mapping[str, pa.Table]) -> None:
        raise NotImplementedError


def unlogged(*_: object) -> None:
    """In the place of a function that logs an act."""


def shelve(
    name: str,
    weights: Sequence[float] | None = None,
    means: Sequence[float] | None = None,
    base: float = -1.0,
    version: str = "1",
    more: Sequence[str] = (),
) -> None:
    """Put a logistic regression on the shelf. Without `weights` it adds three to the log-odds for each unit in a
    declared direction; `base` is its log-odds at the means, which are zero by default. A `version` other than 1
    does not serve. `more` are whole numbers that it takes after the declared inputs, with a weight of 3."""
    risk = risks()[name]
    if weights is None:
        weights = [*(3.0 * i.direction for i in risk.inputs), *(3.0 for _ in more)]
    inputs = [*((i.name, i.dtype) for i in risk.inputs), *((added, "int") for added in more)]
    by_input = np.array(
        [*(3.0 * i.direction for i in risk.inputs), *(3.0 for _ in more)] if weights is None else weights
    )
    centre = np.zeros(len(inputs)) if means is None else np.array(means)
    regression = LogisticRegression()
    regression.classes_, regression.coef_ = np.array([0, 1]), by_input[None, :]
    regression.intercept_ = np.array([base - by_input @ centre])
    shape = [("rows", FloatTensorType([None, len(inputs)]))]
    onnx = to_onnx(regression, initial_types=shape, options={"zipmap": False}).SerializeToString()
    split = Split(since=NOW, until=NOW, rows=1, positives=0)
    card = Card(
        name=name, version=version, feature_service=name, champion="logistic_regression", algorithm="a test's",
        base=base, task="classification", trees_sha256=None,
        inputs=tuple(
            CardInput(name=input_name, dtype=dtype, missing=0, weight=weight, mean=mean, low=-1, high=1)
            for (input_name, dtype), weight, mean in zip(inputs, by_input, centre, strict=True)
        ),
        train=split, test=split,
        metrics={"logistic_regression": Metrics(roc_auc=1, average_precision=1, brier=0, log_loss=0)},
        libraries={},
        model_sha256=shelf.sha256(onnx),
        outcomes=dict.fromkeys(risk.appetite.words, OutcomeRate(share=0, positive_rate=None)),
    )  # fmt: skip
    place = partial(shelf.put, log=unlogged) if version == "1" else shelf.add
    place(settings.root().models, card, onnx, "")
