"""What was served is what training sees, and where it is not, the feature is named."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from flask.testing import FlaskClient

import settings
from app import create_app
from features.catalogue import risks
from jobs.parity import replay
from serving.retrieval import FeastSource

DAILY = risks()["daily"]


@pytest.fixture
def root(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The world with a log and an online store of its own."""
    for part in world.iterdir():
        if part.name.startswith("online.db"):
            shutil.copy(part, tmp_path)
        elif part.name != "decisions":
            (tmp_path / part.name).symlink_to(part)
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def source(root: Path) -> FeastSource:
    return FeastSource(settings.FEATURE_REPO)


@pytest.fixture
def client(source: FeastSource) -> FlaskClient:
    return create_app(source).test_client()


def decide_often(client: FlaskClient) -> None:
    for i in range(15):
        client.get(f"/daily-risk-decision/{1001 + i}/")
        order = {"order_id": f"o{i}", "user_id": f"u{i:05}", "merchant_id": f"m{i:05}", "amount": i * 3.5}
        client.post("/api/v1/decisions/chargeback", json=order | ({} if i % 2 else {"merchant_id": None}))
        person = {"state": "CA", "ssn": f"{100 + i}-45-6789", "dl": f"D12345{i:02}", "dob": "1990-05-17"}
        client.post("/onboarding-risk-decision/", json=person)


def test_every_feature_of_every_decision_is_what_training_sees(client: FlaskClient, source: FeastSource, root: Path):
    decide_often(client)
    for risk in risks().values():
        found = replay(source, risk, root / "decisions")
        assert (found.decisions, found.left_out) == (15, 0)
        assert not found.other, str(found)
        assert set(found.equal) == set(source.views(risk.name))


def test_a_value_that_went_online_only_is_found(client: FlaskClient, source: FeastSource, root: Path):
    now = datetime.now(UTC)
    row = source.stored("driver_yesterdays_stats", {"driver_id": 1003})
    source.write(
        "driver_yesterdays_stats", row | {"driver_id": 1003, "acc_rate": 0.123, "event_timestamp": now, "created": now}
    )
    decide_often(client)
    found = replay(source, DAILY, root / "decisions")
    assert found.other == {"acc_rate": 1}
    assert "14 equal         1 not; first" in str(found)
    assert "0.123 was served" in str(found)


def test_lines_that_cannot_be_replayed_are_told(client: FlaskClient, source: FeastSource, root: Path):
    decide_often(client)
    (log,) = (root / "decisions").iterdir()
    lines = log.read_text().splitlines()
    old = next(line for line in lines if '"onboarding"' in line)
    kept = json.loads(old)
    del kept["request"]
    log.write_text("\n".join([*lines, json.dumps(kept), old[:99], old]))
    found = replay(source, risks()["onboarding"], root / "decisions")
    assert (found.decisions, found.left_out, found.other.total()) == (16, 1, 0)
    assert "1 left out" in str(found)


def test_only_decisions_since_a_moment_are_asked_for(client: FlaskClient, source: FeastSource, root: Path):
    decide_often(client)
    assert replay(source, DAILY, root / "decisions", datetime.now(UTC) - timedelta(hours=1)).decisions == 15
    assert replay(source, DAILY, root / "decisions", datetime.now(UTC) + timedelta(hours=1)).decisions == 0
    assert replay(source, DAILY, root / "nowhere").decisions == 0


def test_batch_decisions_are_replayed_too(source: FeastSource, root: Path):
    from jobs.score import score

    decided = score(source, DAILY, pd.Timestamp.now(UTC).floor("us").to_pydatetime())
    found = replay(source, DAILY, root / "decisions")
    assert (found.decisions, found.other.total()) == (decided, 0)
