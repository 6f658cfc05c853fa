"""Training sees the features that were served. Where it does not, the comparison names the feature."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import own_root
from flask.testing import FlaskClient

import settings
from app import create_app
from features.domains import risks, streams
from jobs.parity import logged, replay
from jobs.stream import loop
from jobs.stream.sources import open_source
from root import Root
from serving.retrieval import FeastStore
from simulators import coupon

pytestmark = pytest.mark.slow

DAILY, DAY = risks()["daily"], timedelta(days=1)


@pytest.fixture
def root(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world with logs, streams and an online store of its own."""
    own_root(world, tmp_path)
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def store(root: Path) -> FeastStore:
    return FeastStore(settings.FEATURE_REPO)


@pytest.fixture
def client(store: FeastStore) -> FlaskClient:
    return create_app(store).test_client()


def decide_15_times(client: FlaskClient) -> None:
    """Ask for 15 decisions of each risk without live tables, and of chargeback."""
    for i in range(15):
        client.get(f"/daily-risk-decision/{1001 + i}/")
        order = {"order_id": f"o{i}", "user_id": f"u{i:05}", "merchant_id": f"m{i:05}", "amount": i * 3.5}
        client.post("/api/v1/decisions/chargeback", json=order | ({} if i % 2 else {"merchant_id": None}))
        person = {"state": "CA", "ssn": f"{100 + i}-45-6789", "dl": f"D12345{i:02}", "dob": "1990-05-17"}
        client.post("/onboarding-risk-decision/", json=person)


def send_live_events(client: FlaskClient, turn: int) -> None:
    """Ask for 15 decisions of each live risk about the same few entities, and send the events: some late, some twice,
    some orders with a chargeback, which names the order and no more, and some with a correction."""
    rng, now = np.random.default_rng(turn), datetime.now(UTC)
    attempts = coupon.attack(rng, now - timedelta(seconds=20), 8, 2) + coupon.normal(rng, now - DAY / 200, 7, 1)
    ahead = attempts[0] | {"msg_id": f"fast-{turn}", "create_time": (now + timedelta(seconds=6)).isoformat()}
    for event in [*attempts[:-1], ahead]:  # the last machine's clock is fast
        request = {name: event[name] for name in ("msg_id", "device_id", "location_code", "coupon_code")}
        assert client.post("/api/v1/decisions/coupon", json=request).status_code == 200
        assert client.post("/api/v1/events/coupon_attempts", json=[event, event]).status_code == 202
    for i in range(15):
        timestamp = (now - i * 1.5 * DAY).isoformat()
        order = {"order_id": f"live-{turn}-{i}", "user_id": f"u{i % 4:05}", "amount": 10 + i * 3.3}
        order["merchant_id"] = f"m{i % 3:05}" if i % 7 else None
        assert client.post("/api/v1/decisions/chargeback", json=order).status_code == 200
        placed = order | {"order_timestamp": timestamp}
        known = {"order_id": order["order_id"], "user_id": order["user_id"], "order_timestamp": timestamp}
        events = [placed, known | ({"chargeback_timestamp": now.isoformat()} if i % 2 else {})]
        if turn:  # an order of the last turn is corrected: its timestamp, and its amount or its merchant
            correction = {"merchant_id": f"m{i % 2:05}"} if i % 3 else {"amount": 5.0 + i}
            events.append(known | {"order_id": f"live-{turn - 1}-{i}", **correction})
        assert client.post("/api/v1/events/orders", json=events[:: 1 if i % 5 else -1]).status_code == 202
        purchase = {"purchase_id": f"live-{turn}-{i}", "customer_id": f"c{i % 4:05}", "purchase_value": i + 0.5}
        purchase |= {"purchase_timestamp": timestamp}
        assert client.post("/api/v1/decisions/loyalty", json=purchase).status_code == 200


def run_stream_jobs(store: FeastStore) -> None:
    """Process everything in the event logs."""
    for stream in streams().values():
        log = open_source(settings.root(), "log", stream.raw.name)
        loop.run(settings.root(), stream, log, store, settings.hash_key(), True, Event(), print)


def check_parity(root: Path, store: FeastStore, names: Sequence[str], decisions: int) -> None:
    """All decisions of these risks are compared, and all features are equal."""
    for risk in [risks()[name] for name in names]:
        parity = replay(Root(root), store, risk)
        assert (parity.decisions, parity.left_out) == (decisions, 0)
        assert not parity.other, str(parity)
        assert set(parity.equal) == set(store.views(risk.name)) - set(parity.seen)


def test_training_sees_every_feature_of_every_decision(client: FlaskClient, store: FeastStore, root: Path) -> None:
    decide_15_times(client)
    check_parity(root, store, ("onboarding", "daily", "chargeback"), 15)


def test_live_features_are_those_of_the_raw_events_to_the_last_digit(
    client: FlaskClient, store: FeastStore, root: Path
) -> None:
    for turn in range(4):
        send_live_events(client, turn)
        run_stream_jobs(store)
    check_parity(root, store, ("coupon", "chargeback", "loyalty"), 60)
    features = {
        name: [record["features"] for record in logged(root / "decisions", name, None)]
        for name in ("coupon", "chargeback", "loyalty")
    }
    # The states moved meanwhile: the features that are equal above are not all zeros.
    assert max(f["failures_5m"] for f in features["coupon"]) > 5
    assert max(f["chargeback_rate_30d"] or 0 for f in features["chargeback"]) > 0
    assert len({f["mean_loyalty_score"] for f in features["loyalty"]}) > 8


def test_an_event_that_serving_did_not_have_is_a_difference(client: FlaskClient, store: FeastStore, root: Path) -> None:
    """The log gets a purchase of yesterday that the stream job never had."""
    send_live_events(client, 1)
    run_stream_jobs(store)
    send_live_events(client, 2)
    log = min((root / "events" / "purchases").rglob("*.parquet"))
    table = pq.read_table(log, partitioning=None)
    yesterday = pa.array([datetime.now(UTC) - DAY], table.schema[0].type)
    planted = table.slice(0, 1).set_column(0, "purchase_timestamp", yesterday)
    planted = planted.set_column(1, "purchase_id", pa.array(["planted"]))
    pq.write_table(pa.concat_tables([table, planted]), log)
    parity = replay(settings.root(), store, risks()["loyalty"])
    assert parity.other["mean_purchase_value"] > 0
    assert any("is joined" in difference for *_, difference in parity.rows())


def test_a_value_that_went_online_only_is_a_difference(client: FlaskClient, store: FeastStore, root: Path) -> None:
    now = datetime.now(UTC)
    row = store.stored("driver_yesterdays_stats", {"driver_id": 1003})
    changes = {"driver_id": 1003, "acc_rate": 0.123, "event_timestamp": now, "created": now}
    store.write("driver_yesterdays_stats", row | changes)
    decide_15_times(client)
    parity = replay(settings.root(), store, DAILY)
    assert parity.other == {"acc_rate": 1}
    (values,) = [values for values in parity.rows() if values[0] == "acc_rate"]
    assert values[:3] == ("acc_rate", "14", "1")
    assert "0.123 was served" in values[3]


def test_decisions_that_cannot_be_compared_are_counted(client: FlaskClient, store: FeastStore, root: Path) -> None:
    decide_15_times(client)
    (log,) = (root / "decisions").iterdir()
    lines = log.read_text().splitlines()
    line = next(line for line in lines if '"onboarding"' in line)
    without_request = json.loads(line)
    del without_request["request"]
    log.write_text("\n".join([*lines, json.dumps(without_request), line[:99], line, ""]))
    parity = replay(settings.root(), store, risks()["onboarding"])
    assert (parity.decisions, parity.left_out, parity.other.total()) == (16, 1, 0)
    assert "1 left out" in parity.summary()


def test_only_decisions_since_a_timestamp_are_compared(client: FlaskClient, store: FeastStore, root: Path) -> None:
    decide_15_times(client)
    now, hour = datetime.now(UTC), timedelta(hours=1)
    assert replay(settings.root(), store, DAILY, now - hour).decisions == 15
    assert replay(settings.root(), store, DAILY, now + hour).decisions == 0
    assert replay(Root(root / "nowhere"), store, DAILY).decisions == 0


def test_batch_decisions_are_compared_too(store: FeastStore, root: Path) -> None:
    from jobs.score import score

    count = score(settings.root(), store, DAILY, pd.Timestamp.now(UTC).floor("us").to_pydatetime())
    parity = replay(settings.root(), store, DAILY)
    assert (parity.decisions, parity.other.total()) == (count, 0)
