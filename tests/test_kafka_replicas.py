"""An event is accepted once all replicas in sync have it: a real cluster of two brokers."""

from pathlib import Path

import pytest
from engines.kafka import broker
from engines.need import need
from processes import wait_until
from test_kafka_events import URL, attempt, client_of

from features.coupon import COUPON_ATTEMPTS

need("java", "mvn", modules=("confluent_kafka",))
pytestmark = [pytest.mark.slow, pytest.mark.engine]


def test_no_event_is_accepted_that_only_one_of_two_replicas_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """One replica alone would answer a producer that does not ask for all of them."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    with broker(tmp_path / "one") as first, broker(tmp_path / "two", first) as second:
        wait_until(lambda: len(first.admin.list_topics(timeout=2).brokers) == 2, what="the second broker joins")
        first.create(f"both.{COUPON_ATTEMPTS.name}", replicas=2, min_insync_replicas="2")
        client = client_of(first.servers, monkeypatch, "both")
        assert client.post(URL, json=attempt(1)).status_code == 202
        second.stop()
        assert client.post(URL, json=attempt(2)).status_code == 503
