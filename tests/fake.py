"""A fake feature store, and real little models, for tests of the service that need no Feast."""

from datetime import UTC, datetime

import numpy as np
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression

import settings
from errors import UnknownEntity
from features.domains import risks
from model import shelf
from model.card import Card, CardInput, Metrics, OutcomeRate, Split, Thresholds

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
APPLICANT = {"state": "CA", "ssn": "512-34-8765", "dl": "D1234567", "dob": "1990-05-17"}
APPLICANT_FEATURES = ("is_gt_18_years_old", "is_valid_state", "is_previously_seen_ssn", "is_previously_seen_dl")
STATS = ("conv_rate", "acc_rate", "avg_daily_trips")
FLAGS = ("yesterdays_avg_daily_trips_lt_10", "yesterdays_acc_rate_lt_01", "yesterdays_conv_rate_gt_80")


class Fake:
    """A ten-line feature store."""

    def __init__(self) -> None:
        self.seen, self.written, self.rows = 0, [], []

    def views(self, service):
        names = {
            "onboarding": ["is_gt_18_years_old", "is_valid_state", "is_previously_seen_ssn", "is_previously_seen_dl"]
        }
        return dict.fromkeys(names.get(service, ["state", *STATS, *FLAGS]), "driver_yesterdays_stats")

    def online(self, risk, row, as_of):
        self.rows.append(row)
        if risk.name == "daily":
            if row["driver_id"] not in (1001, 1002):
                raise UnknownEntity("driver_id is not known.", "driver_id")
            missing = row["driver_id"] == 1002
            return {"state": "CA"} | dict.fromkeys(STATS, None if missing else 0.5) | dict.fromkeys(FLAGS, 0)
        return {
            "is_gt_18_years_old": 1, "is_valid_state": int(row["state"] == "CA"),
            "is_previously_seen_ssn": self.seen, "is_previously_seen_dl": self.seen,
        }  # fmt: skip

    def online_many(self, risk, rows, as_of):
        return [self.online(risk, row, as_of) for row in rows]

    def historical(self, risk, frame):
        return frame.assign(**dict.fromkeys(self.views(risk.name)))

    def stored(self, view, keys):
        return dict.fromkeys(("last_driver_with_ssn", "last_driver_with_dl"))

    def write(self, view, row):
        self.written.append((view, row))


def shelve(name: str) -> None:
    """A model that adds three to the log-odds for each unit in a declared direction."""
    inputs = risks()[name].inputs
    weights = np.array([3.0 * i.direction for i in inputs])
    regression = LogisticRegression()
    regression.classes_, regression.coef_, regression.intercept_ = np.array([0, 1]), weights[None, :], np.array([-1.0])
    shape = [("rows", FloatTensorType([None, len(inputs)]))]
    onnx = to_onnx(regression, initial_types=shape, options={"zipmap": False}).SerializeToString()
    split = Split(since=NOW, until=NOW, rows=1, positives=0)
    card = Card(
        name=name, version="1", feature_service=name, champion="logistic_regression", algorithm="a test's", base=-1.0,
        inputs=tuple(
            CardInput(name=i.name, dtype=i.dtype, missing=0, weight=3 * i.direction, mean=0, low=-1, high=1)
            for i in inputs
        ),
        train=split, test=split,
        metrics={"logistic_regression": Metrics(roc_auc=1, average_precision=1, brier=0, log_loss=0)},
        thresholds=Thresholds(low=0.2, high=0.8), libraries={}, model_sha256=shelf.sha256(onnx),
        outcomes=dict.fromkeys(("approve", "review", "decline"), OutcomeRate(share=0, positive_rate=None)),
    )  # fmt: skip
    shelf.put(settings.root().models, card, onnx, "")
