"""Callers of the domain `coupon` while a stream job works on Kafka: what they were served is what parity and `/why`
compute again from the keyed log."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import requests
from processes import Child, jobs, wait_until

from features.domains import stream_of
from jobs.parity import logged
from jobs.raw import offline_log
from root import Root

STREAM = stream_of("coupon")
TURNS, ATTEMPTS, DEVICES = 4, 12, 3
LATE, STEP = timedelta(minutes=40), timedelta(seconds=2)


def attempts(turn: int) -> list[dict[str, Any]]:
    """Attempts of now, one of them late, one twice; and corrections of the device and the response of earlier ones."""
    now = datetime.now(UTC)
    events = [
        {
            "msg_id": f"t{turn}-{n}", "device_id": f"d{n % DEVICES}", "location_code": f"L{n % 2}",
            "coupon_code": f"1234-5678-9012-{n:04}", "response": "INVALID" if n % 3 else "VALID",
            "create_time": (now - n * STEP - (LATE if n == 5 else 0 * LATE)).isoformat(),
        }
        for n in range(ATTEMPTS)
    ]  # fmt: skip
    earlier = [] if turn == 0 else attempts(turn - 1)[:4]
    corrected = [event | {"device_id": f"d{turn % DEVICES}", "response": "VALID"} for event in earlier]
    return [*events, events[0], *corrected]


def serve(url: str, root: Path, job: Child) -> int:
    """Send events, and ask for decisions meanwhile, until one of each device had all events. Returns how many were
    made."""
    devices: dict[str, str] = {}
    with requests.Session() as client:
        for turn in range(TURNS):
            events = attempts(turn)
            assert client.post(f"{url}/api/v1/events/{STREAM.raw.name}", json=events).status_code == 202
            devices |= {event["msg_id"]: event["device_id"] for event in events}
            wait_until(lambda: decide(client, url, 0), what="the store is whole", child=job)
            for n in range(1, DEVICES):
                assert decide(client, url, n)
        expected = Counter(devices.values())

        def counted() -> list[int]:
            made = [decide(client, url, n) for n in range(DEVICES)]
            assert all(made)
            newest = list(logged(root / "decisions", "coupon", None))[-DEVICES:]
            return [record["features"]["device_attempts_1h"] for record in newest]

        wanted = [expected[f"d{n}"] for n in range(DEVICES)]
        wait_until(counted, lambda counts: counts == wanted, what=f"{wanted} attempts count", child=job)
        return sum(1 for _ in logged(root / "decisions", "coupon", None))


def decide(client: requests.Session, url: str, n: int) -> bool:
    """Whether a decision about a device was made. Before the store has all states there is none."""
    request = {"msg_id": "m", "device_id": f"d{n}", "location_code": f"L{n % 2}", "coupon_code": "1234-5678-9012-9999"}
    answer = client.post(f"{url}/api/v1/decisions/coupon", json=request)
    assert answer.status_code == 200 or answer.json()["error"]["name"] == "features_not_ready", answer.text
    return answer.status_code == 200


def check(url: str, root: Path, decisions: int) -> None:
    """Parity and `/why` compute what was served, and parity sees it where the keyed log has lost rows."""
    assert f"coupon: {decisions:,} decisions, 0 mismatches" in jobs(root, "parity", "coupon").stdout
    folded = Counter[str]()
    with requests.Session() as client:
        for record in list(logged(root / "decisions", "coupon", None))[-DEVICES:]:
            why = client.get(f"{url}/api/v1/decisions/{record['decision_id']}/why").json()
            assert why["equal"], [feature for feature in why["features"] if not feature["equal"]]
            folded.update({feature["name"]: feature["events"] or 0 for feature in why["features"]})
            assert all(feature["known_until"] is None for feature in why["features"])
    assert min(folded[name] for name in ("attempts_5m", "device_attempts_1h", "prefix_attempts_10m")) > 0
    folder = Root(root).keyed_log(STREAM.raw.name, ["device_id"])
    lost = [file for partition in folder.glob("partition=*") for file in offline_log.files(partition)]
    for file in lost:
        pq.write_table(pq.read_table(file, partitioning=None).slice(1), file)
    assert "device_attempts_1h" in jobs(root, "parity", "coupon", code=1).stdout
