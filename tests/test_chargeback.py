"""The domain `chargeback`: the features of an order, none of which is from the future, and its decision."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import onnxruntime
import pandas as pd
import pytest
from orders_by_hand import features_by_hand
from pydantic import ValidationError

import settings
from app import create_app
from errors import BadParameter
from features.chargeback import CHARGEBACK, TABLES, Order, order_in_context
from features.domains import risks
from jobs.raw import places
from jobs.train import dataset
from jobs.train.cases import split
from jobs.train.fitting import gradient_boosting
from model import shelf
from model.explanation import Trees
from model.publishing.measures import card_precision
from model.scorer import Scorer

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)  # a Saturday
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("amount", "mean", "stddev", "largest", "ratio", "deviation", "to_max"),
    [(100.0, 50.0, 9.0, 80.0, 2.0, 5.0, 1.25), (100.0, 50.0, None, 50.0, 2.0, 50.0, 2.0),
     (None, 50.0, 9.0, 80.0, None, None, None), (100.0, None, None, None, None, None, None),
     (0.0, 0.0, 0.0, 0.0, None, 0.0, None)],
)  # fmt: skip
def test_an_amount_is_compared_with_what_the_user_spends(amount, mean, stddev, largest, ratio, deviation, to_max):
    assert order_in_context(amount, mean, stddev, largest, NOON) == {
        "order_amount": amount, "amount_to_mean_30d": ratio, "amount_deviation_30d": deviation,
        "amount_to_max_30d": to_max, "is_weekend": 1, "is_night": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("at", "weekend", "night"),
    [("2026-01-30T23:59:59Z", 0, 0), ("2026-01-31T00:00:00Z", 1, 1), ("2026-02-02T05:59:59Z", 0, 1),
     ("2026-02-02T06:00:00Z", 0, 0), ("2026-02-02T06:00:00+09:00", 1, 0)],
)  # fmt: skip
def test_the_weekend_and_the_night_are_those_of_utc(at, weekend, night):
    context = order_in_context(1.0, 1.0, 1.0, 1.0, datetime.fromisoformat(at))
    assert (context["is_weekend"], context["is_night"]) == (weekend, night)


def test_an_order_may_lack_its_merchant_and_its_amount_but_not_its_user():
    row = Order(order_id="o1", user_id="u1").row(NOON, b"")
    assert row == {"order_id": "o1", "user_id": "u1", "merchant_id": "", "amount": None, "order_timestamp": NOON}
    with pytest.raises(ValidationError):
        Order.model_validate({"order_id": "o1"})
    with pytest.raises(BadParameter, match="Write a timestamp with its zone"):
        Order(order_id="o1", user_id="u1", order_timestamp="2026-01-31T12:00:00")


def made_cases(days, users=40):
    rows = [
        (f"u{u}", NOON.replace(hour=0) + d * DAY + timedelta(hours=1), int(u == 0))
        for d in range(days)
        for u in range(users)
    ]
    return pd.DataFrame(rows, columns=["user_id", "event_timestamp", "is_charged_back"])


def test_the_split_leaves_out_the_delay_and_users_known_to_be_bad():
    cases, start = made_cases(30), NOON.replace(hour=0)
    parts = split(cases, CHARGEBACK, NOON + 60 * DAY, CHARGEBACK.protocol, start)
    day = (cases["event_timestamp"] - pd.Timestamp(start)).dt.days
    assert set(day[parts.train]) == set(range(7))
    assert set(day[parts.test]) == set(range(14, 21))
    assert "u0" in set(cases["user_id"][parts.train])
    assert "u0" not in set(cases["user_id"][parts.test])


def test_a_user_is_left_out_from_the_day_the_fraud_is_known():
    cases, start = made_cases(30), NOON.replace(hour=0)
    day = (cases["event_timestamp"] - pd.Timestamp(start)).dt.days
    cases["is_charged_back"] = ((cases["user_id"] == "u1") & (day == 9)).astype(int)
    parts = split(cases, CHARGEBACK, NOON + 60 * DAY, CHARGEBACK.protocol, start)
    assert sorted(day[parts.test & (cases["user_id"] == "u1").to_numpy()]) == [14, 15, 16]


def test_card_precision_counts_a_user_once_by_the_worst_order():
    who = pd.Series(["a", "a", "b", "c", "a", "b"])
    times = pd.Series([NOON] * 4 + [NOON + DAY] * 2)
    precision = card_precision(who, times, np.array([1, 0, 0, 0, 1, 1]), np.array([0.9, 0.1, 0.8, 0.2, 0.9, 0.3]), 2)
    assert precision == (1 / 2 + 1 / 2) / 2  # first a, then b: a was caught the day before


def leaks(joined: pd.DataFrame, orders: pd.DataFrame) -> list[str]:
    """The features of 40 orders that do not follow from the raw orders before them."""
    wrong = []
    for _, order in joined.sample(40, random_state=3).iterrows():
        for name, value in features_by_hand(orders, order).items():
            joined_value = order[name]
            if not (pd.isna(joined_value) and pd.isna(value)) and joined_value != pytest.approx(value, rel=1e-9):
                wrong.append(f"{order['order_id']} {name}: {joined_value} is not {value}")
    return wrong


@pytest.fixture
def made(in_world: Path) -> pd.DataFrame:
    now = datetime.now(UTC)
    report = dataset.run(settings.root(), CHARGEBACK, now - 6 * DAY, now, now)
    joined = duckdb.sql(f"FROM read_parquet('{settings.root().dataset('chargeback')}/**/*.parquet')").df()
    assert len(joined) == report.cases == report.out.rows > 1000
    joined["event_timestamp"] = joined["event_timestamp"].dt.tz_convert("UTC")
    return joined


@pytest.fixture
def orders(in_world: Path) -> pd.DataFrame:
    return pd.read_parquet(places.raw_files(settings.root(), "orders")[0])


def test_the_dataset_has_every_order_with_the_features_just_before_it(made: pd.DataFrame, orders: pd.DataFrame):
    first = made["event_timestamp"].min().normalize()
    assert set(made["order_id"]) == set(orders.loc[orders["order_timestamp"] >= first, "order_id"])
    assert {i.name for i in CHARGEBACK.inputs} <= set(made)
    charged_back = set(orders.loc[orders["chargeback_timestamp"].notna(), "order_id"])
    assert set(made.loc[made["is_charged_back"] == 1, "order_id"]) <= charged_back
    assert leaks(made, orders) == []


@pytest.mark.parametrize("feature", ["user_orders__orders_count_1d", "merchant_chargebacks__chargebacks_count_30d"])
def test_a_feature_from_the_future_is_caught(made: pd.DataFrame, orders: pd.DataFrame, feature: str):
    """The test plants the newest value of each key."""
    key, table = ("user_id", "user_orders") if "user" in feature else ("merchant_id", "merchant_chargebacks")
    future = made[[key, "event_timestamp", feature]].sort_values("event_timestamp").groupby(key)[feature].last()
    assert leaks(made.assign(**{feature: made[key].map(future)}), orders) != []
    assert table in {t.name for t in TABLES}


@pytest.fixture
def client(in_world: Path):
    return create_app().test_client()


def an_order(orders: pd.DataFrame, **changes) -> dict:
    last = orders.iloc[-1]
    return {
        "order_id": "new",
        "user_id": last["user_id"],
        "merchant_id": last["merchant_id"],
        "amount": 20.0,
        **changes,
    }


def test_an_order_is_decided_with_reasons_that_sum_to_its_score(client, orders: pd.DataFrame, in_world: Path):
    large = client.post("/api/v1/decisions/chargeback", json=an_order(orders, amount=400.0)).json
    small = client.post("/api/v1/decisions/chargeback", json=an_order(orders)).json
    assert small["score"] < large["score"]
    assert large["reasons"]
    scorer = Scorer(*shelf.take(shelf.current(in_world / "models", "chargeback")))
    row = np.array(
        [[i.missing if large["features"][i.name] is None else large["features"][i.name] for i in scorer.card.inputs]]
    )
    log_odds = scorer.card.base + scorer.contributions(row).sum()
    assert log_odds == pytest.approx(np.log(large["score"] / (1 - large["score"])), abs=1e-3)


def test_trees_explain_the_score_of_every_order(made: pd.DataFrame):
    """Also for amounts at a threshold and next to it, where 32 bits would make score and explanation differ."""
    names = ["order_amount", "amount_to_mean_30d", "orders_count_3d"]
    risk = replace(CHARGEBACK, inputs=tuple(i for i in CHARGEBACK.inputs if i.name in names))
    rows = made[[i.name for i in risk.inputs]].astype(float).fillna(0).to_numpy()
    fitted = gradient_boosting(risk, rows, made["is_charged_back"].to_numpy(int))
    thresholds = np.array(" ".join(re.findall(r"(?m)^threshold=(.*)$", fitted.trees)).split(), float)
    values = np.concatenate([thresholds[:300], np.nextafter(thresholds[:300], np.inf)])
    near = np.vstack([rows, *(np.where(row, value, rows[0]) for value in values for row in np.eye(3, dtype=bool))])
    scores = np.asarray(onnxruntime.InferenceSession(fitted.onnx).run(None, {"rows": near})[1])[:, 1]
    log_odds = fitted.base + Trees(fitted.trees, np.float64).contributions(near).sum(axis=1)
    assert np.abs(scores - 1 / (1 + np.exp(-log_odds))).max() < 1e-5


def test_a_list_is_decided_in_order_and_logged_whole(client, orders: pd.DataFrame):
    orders_sent = [an_order(orders, order_id=f"n{i}", amount=float(i)) for i in range(1000)]
    answer = client.post("/api/v1/decisions/chargeback", json=orders_sent).json
    assert [decision["features"]["order_amount"] for decision in answer] == [float(i) for i in range(1000)]
    log = max(settings.root().decisions.iterdir())
    assert {"n0", "n999"} <= {json.loads(line)["entity"].get("order_id") for line in log.read_text().splitlines()}


@pytest.mark.parametrize(
    ("body", "message"),
    [([], "holds 0 requests"), ([{}] * 1001, "holds 1001 requests"), ([{"order_id": "a"}], "0.user_id is missing"),
     ({"order_id": "a", "user_id": "u", "amount": -1}, "amount is invalid"), ([3], "Send one object")],
)  # fmt: skip
def test_an_invalid_list_is_refused_with_the_place_and_decides_nothing(client, body, message):
    answer = client.post("/api/v1/decisions/chargeback", json=body)
    assert answer.status_code == 400
    assert message in answer.json["error"]["message"]
    assert client.post("/api/v1/decisions/nothing", json={}).json["error"]["message"].startswith("There is no risk")


def test_an_unknown_user_has_the_defaults_of_the_definitions(client):
    order = {"order_id": "x", "user_id": "nobody", "amount": 10.0}
    features = client.post("/api/v1/decisions/chargeback", json=order).json["features"]
    assert features["user_orders__orders_count_30d"] == features["merchant_risk__orders_count_7d"] == 0
    missing = ("orders_amount_mean_30d", "amount_to_mean_30d", "chargeback_rate_7d", "chargeback_rate_last_3",
               "amount_to_baseline", "max_7d_to_baseline")  # fmt: skip
    assert [features[name] for name in missing] == [None] * 6


def test_both_models_are_on_the_shelf_and_the_more_precise_one_serves(in_world: Path):
    current = in_world / "models" / "chargeback" / "current"
    card = json.loads((current / "card.json").read_text())
    assert set(card["metrics"]) == set(risks()["chargeback"].algorithms)
    able = {name: m["average_precision"] for name, m in card.get("rehearsal", card)["metrics"].items()}
    assert card["champion"] == max(able.keys() - card["refused"].keys(), key=able.__getitem__)
    for figures in card["metrics"].values():
        assert {"roc_auc", "average_precision", "card_precision"} <= {n for n, v in figures.items() if v is not None}
    assert len(list(current.glob("*.onnx"))) == 2
    assert "<svg" in (current / "report.html").read_text()
