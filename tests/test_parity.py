"""What was served is what training sees, and where it is not, the feature is named."""

import json
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

DAILY, DAY = risks()["daily"], timedelta(days=1)


@pytest.fixture
def root(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world with logs, streams and an online store of its own."""
    own_root(world, tmp_path)
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def source(root: Path) -> FeastStore:
    return FeastStore(settings.FEATURE_REPO)


@pytest.fixture
def client(source: FeastStore) -> FlaskClient:
    return create_app(source).test_client()


def decide_often(client: FlaskClient) -> None:
    for i in range(15):
        client.get(f"/daily-risk-decision/{1001 + i}/")
        order = {"order_id": f"o{i}", "user_id": f"u{i:05}", "merchant_id": f"m{i:05}", "amount": i * 3.5}
        client.post("/api/v1/decisions/chargeback", json=order | ({} if i % 2 else {"merchant_id": None}))
        person = {"state": "CA", "ssn": f"{100 + i}-45-6789", "dl": f"D12345{i:02}", "dob": "1990-05-17"}
        client.post("/onboarding-risk-decision/", json=person)


def live_events(client: FlaskClient, turn: int) -> None:
    """A few of the same people and machines decide and happen, some late, some twice; an order is charged back."""
    rng, now = np.random.default_rng(turn), datetime.now(UTC)
    attempts = coupon.attack(rng, now - timedelta(seconds=20), 8, 2) + coupon.normal(rng, now - DAY / 200, 7, 1)
    fast = attempts[0] | {"msg_id": f"fast-{turn}", "create_time": (now + timedelta(seconds=6)).isoformat()}
    for event in [*attempts[:-1], fast]:  # a machine whose clock is ahead of ours
        asked = {name: event[name] for name in ("msg_id", "device_id", "location_code", "coupon_code")}
        assert client.post("/api/v1/decisions/coupon", json=asked).status_code == 200
        assert client.post("/api/v1/events/coupon_attempts", json=[event, event]).status_code == 202
    for i in range(15):
        made = (now - i * 1.5 * DAY).isoformat()
        order = {"order_id": f"live-{turn}-{i}", "user_id": f"u{i % 4:05}", "amount": 10 + i * 3.3}
        order["merchant_id"] = f"m{i % 3:05}" if i % 7 else None
        assert client.post("/api/v1/decisions/chargeback", json=order).status_code == 200
        placed = order | {"order_timestamp": made}
        events = [placed, placed | ({"chargeback_timestamp": now.isoformat()} if i % 2 else {})]
        assert client.post("/api/v1/events/orders", json=events[:: 1 if i % 5 else -1]).status_code == 202
        purchase = {"purchase_id": f"live-{turn}-{i}", "customer_id": f"c{i % 4:05}", "purchase_value": i + 0.5}
        assert client.post("/api/v1/decisions/loyalty", json=purchase | {"purchase_timestamp": made}).status_code == 200


def take_in(source: FeastStore) -> None:
    for stream in streams().values():
        log = open_source(settings.root(), "log", stream.raw.name)
        loop.run(settings.root(), stream, log, source, True, Event(), print)


def test_every_feature_of_every_decision_is_what_training_sees(client: FlaskClient, source: FeastStore, root: Path):
    decide_often(client)
    for risk in [risks()[name] for name in ("onboarding", "daily", "chargeback")]:
        found = replay(settings.root(), source, risk)
        assert (found.decisions, found.left_out) == (15, 0)
        assert not found.other, str(found)
        assert set(found.equal) == set(source.views(risk.name)) - set(found.seen)


def test_live_features_are_what_the_raw_events_known_then_give_to_the_last_digit(
    client: FlaskClient, source: FeastStore, root: Path
):
    for turn in range(4):
        live_events(client, turn)
        take_in(source)
    served = {}
    for risk in [risks()[name] for name in ("coupon", "chargeback", "loyalty")]:
        found = replay(settings.root(), source, risk)
        assert (found.decisions, found.left_out) == (60, 0)
        assert not found.other, str(found)
        assert set(found.equal) == set(source.views(risk.name)) - set(found.seen)
        served |= {risk.name: [r["features"] for r in logged(root / "decisions", risk.name, None)]}
    # The states moved meanwhile: what is equal above is not all zeros.
    assert max(f["failures_5m"] for f in served["coupon"]) > 5
    assert max(f["chargeback_rate_30d"] or 0 for f in served["chargeback"]) > 0
    assert len({f["mean_loyalty_score"] for f in served["loyalty"]}) > 8


def test_an_event_that_serving_had_not_seen_is_found(client: FlaskClient, source: FeastStore, root: Path):
    """Planted: the log says that it came a day before it did."""
    live_events(client, 1)
    take_in(source)
    live_events(client, 2)
    log = min((root / "events" / "purchases").rglob("*.parquet"))
    table = pq.read_table(log, partitioning=None)
    extra = table.slice(0, 1).set_column(
        0, "purchase_timestamp", pa.array([datetime.now(UTC) - DAY], table.schema[0].type)
    )
    extra = extra.set_column(1, "purchase_id", pa.array(["planted"]))
    pq.write_table(pa.concat_tables([table, extra]), log)
    found = replay(settings.root(), source, risks()["loyalty"])
    assert found.other["mean_purchase_value"] > 0
    assert any("is joined" in difference for *_, difference in found.rows())


def test_a_value_that_went_online_only_is_found(client: FlaskClient, source: FeastStore, root: Path):
    now = datetime.now(UTC)
    row = source.stored("driver_yesterdays_stats", {"driver_id": 1003})
    source.write(
        "driver_yesterdays_stats", row | {"driver_id": 1003, "acc_rate": 0.123, "event_timestamp": now, "created": now}
    )
    decide_often(client)
    found = replay(settings.root(), source, DAILY)
    assert found.other == {"acc_rate": 1}
    (row,) = [row for row in found.rows() if row[0] == "acc_rate"]
    assert row[:3] == ("acc_rate", "14", "1")
    assert "0.123 was served" in row[3]


def test_lines_that_cannot_be_replayed_are_told(client: FlaskClient, source: FeastStore, root: Path):
    decide_often(client)
    (log,) = (root / "decisions").iterdir()
    lines = log.read_text().splitlines()
    old = next(line for line in lines if '"onboarding"' in line)
    kept = json.loads(old)
    del kept["request"]
    log.write_text("\n".join([*lines, json.dumps(kept), old[:99], old, ""]))
    found = replay(settings.root(), source, risks()["onboarding"])
    assert (found.decisions, found.left_out, found.other.total()) == (16, 1, 0)
    assert "1 left out" in found.summary()


def test_only_decisions_since_a_moment_are_asked_for(client: FlaskClient, source: FeastStore, root: Path):
    decide_often(client)
    assert replay(settings.root(), source, DAILY, datetime.now(UTC) - timedelta(hours=1)).decisions == 15
    assert replay(settings.root(), source, DAILY, datetime.now(UTC) + timedelta(hours=1)).decisions == 0
    assert replay(Root(root / "nowhere"), source, DAILY).decisions == 0


def test_batch_decisions_are_replayed_too(source: FeastStore, root: Path):
    from jobs.score import score

    decided = score(settings.root(), source, DAILY, pd.Timestamp.now(UTC).floor("us").to_pydatetime())
    found = replay(settings.root(), source, DAILY)
    assert (found.decisions, found.other.total()) == (decided, 0)
