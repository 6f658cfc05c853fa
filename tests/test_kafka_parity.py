"""The service, the stream job and parity at work on a real topic: what was served is what training sees."""

from pathlib import Path

import coupon_root
import coupon_traffic
import pytest
from engines.kafka import Broker
from engines.need import need
from processes import started_job

need("java", "mvn", modules=("confluent_kafka", "quixstreams"))
pytestmark = [pytest.mark.slow, pytest.mark.engine]


def test_what_was_served_from_a_topic_is_computed_again(
    kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = f"kafka://{kafka.servers}/parity"
    topic = kafka.create(f"parity.{coupon_traffic.STREAM.raw.name}", 3)
    coupon_root.make(tmp_path)
    monkeypatch.setenv("RISK_EVENTS", events)
    source = f"kafka://{kafka.servers}/{topic}"
    with coupon_root.service(tmp_path) as url, started_job(tmp_path, "stream", "coupon", "--source", source) as job:
        decisions = coupon_traffic.serve(url, tmp_path, job)
        coupon_traffic.check(url, tmp_path, decisions)
