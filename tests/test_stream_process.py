"""`python -m jobs stream` as it is run: killed and begun again, stopped, refused, watched; on the real online store."""

import json
import re
import signal
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import coupon_root
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore
from processes import Child, jobs, started_job, wait_until
from pydantic_core import to_json
from servers import answering

import settings
from features.coupon import COUPON as COUPON_RISK
from features.domains import stream_of
from jobs.raw import offline_log
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow

COUPON = stream_of("coupon")
EVENTS, BAD_LINES = 3000, 36


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A root with the views of this one domain; this process's settings point at it."""
    root = tmp_path_factory.mktemp("applied")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(root))
        coupon_root.apply()
        yield root


def attempts(now: datetime, count: int) -> Iterator[dict[str, str]]:
    """Attempts of the last minutes before `now`; every fifth comes twice."""
    for n in range(count):
        event = {
            "msg_id": f"c{n}", "device_id": f"d{n % 7}", "location_code": f"L{n % 3}", "response": "INVALID",
            "coupon_code": f"1234-5678-9012-{n:04}",
            "create_time": (now - timedelta(seconds=count - n) / 20).isoformat(),
        }  # fmt: skip
        yield from [event] * (2 if n % 5 == 0 else 1)


def taken_in() -> int:
    """How many events the job has taken in; 0 while it makes its tables."""
    if not settings.root().stream_state("coupon").exists():
        return 0
    with closing(sqlite3.connect(settings.root().stream_state("coupon"))) as db:
        try:
            (counts,) = db.execute("SELECT value FROM meta WHERE name = 'counts'").fetchone() or (b"{}",)
        except sqlite3.OperationalError:
            return 0
    return int(json.loads(counts).get("events", 0))


def wait_until_taken_in(at_least: int, job: Child) -> None:
    wait_until(taken_in, lambda count: count >= at_least, what=f"{at_least} events are taken in", child=job)


def features(store: FeatureStore, now: datetime) -> dict[str, list[Any]]:
    """What Feast's own read gives for every device."""
    rows = [
        {"msg_id": "x", "device_id": f"d{n}", "location_code": f"L{n % 3}", "coupon_prefix": "1234-5678-9012-"}
        for n in range(7)
    ]
    service = store.get_feature_service("coupon")
    return store.get_online_features(service, [row | {"as_of": now} for row in rows]).to_dict()


def write_in_pieces(log: Path, lines: list[bytes]) -> None:
    """Append to a log that a job is reading, with a line that is no event after every hundred."""
    with log.open("ab") as file:
        for at in range(0, len(lines), 100):
            file.write(b"".join(lines[at : at + 100]) + b"no event\n")
            file.flush()


def test_a_job_that_is_killed_and_started_again_keeps_every_event_once(applied: Path):
    now, log = datetime.now(UTC), settings.root().event_log(COUPON.raw.name)
    log.mkdir(parents=True)
    lines = [to_json(event) + b"\n" for event in attempts(now, EVENTS)]
    with ExitStack() as stack:
        job = stack.enter_context(started_job(applied, "stream", "coupon"))
        for part in (lines[:900], lines[900:1800]):
            before = taken_in()
            write_in_pieces(log / "day.jsonl", part)
            wait_until_taken_in(before + 1, job)
            job.send(signal.SIGKILL)
            job.ended(code=-signal.SIGKILL)
            job = stack.enter_context(started_job(applied, "stream", "coupon"))
        write_in_pieces(log / "day.jsonl", lines[1800:])
        wait_until_taken_in(EVENTS, job)
        second = jobs(applied, "stream", "coupon", "--once", code=3)
        assert "Another stream job is at work on coupon" in second.output
        job.send(signal.SIGTERM)
        summary = rf"3,000 events, 0 late, [\d,]+ duplicate, {BAD_LINES} dead-lettered"
        assert re.search(summary, job.ended().output)
    files = list(offline_log.files(settings.root().offline_log(COUPON.raw.name)))
    assert sum(pq.read_metadata(file).num_rows for file in files) == EVENTS
    dead = settings.root().dead_letters(COUPON.raw.name).glob("*.jsonl")
    assert sum(len(file.read_text().splitlines()) for file in dead) == BAD_LINES
    store = FeatureStore(str(settings.FEATURE_REPO))
    answer = features(store, now + timedelta(seconds=1))  # of whole seconds
    assert sum(answer["device_attempts_1h"]) == EVENTS
    assert answer["failures_5m"][:3] == [1000] * 3
    assert answer["device_codes_1h"] == [429, 429, 429, 429, 428, 428, 428]
    # Nothing more happens, and counts fall to zero by themselves: in Feast's own read, and in ours.
    ours, person = FeastStore(settings.FEATURE_REPO), {"device_id": "d0", "location_code": "L0", "coupon_prefix": ""}
    for minutes, failures, an_hour in ((10, 0, EVENTS), (120, 0, 0)):
        later = now + timedelta(minutes=minutes)
        answer = features(store, later)
        assert (answer["failures_5m"], sum(answer["device_attempts_1h"])) == ([failures] * 7, an_hour)
        vector = ours.online(COUPON_RISK, person, later)
        assert (vector["failures_5m"], vector["device_attempts_1h"]) == (failures, answer["device_attempts_1h"][0])


def test_prometheus_gets_the_figures_that_a_person_gets(applied: Path, tmp_path: Path):
    lines = tmp_path / "events.jsonl"
    lines.write_bytes(b"no event\n")
    arguments = ("stream", "coupon", "--source", f"jsonl:{lines}", "--metrics")
    with answering(lambda port: started_job(applied, *arguments, str(port)), "/metrics") as server:

        def metrics() -> str:
            with urllib.request.urlopen(f"{server.url}/metrics") as answer:
                return str(answer.read().decode())

        dead_letter = 'stream_dead_letters_total{domain="coupon"} 1.0'
        text = wait_until(metrics, lambda text: dead_letter in text, what=dead_letter, child=server.child)
        names = ("events_total", "late_total", "duplicates_total", "events_per_second", "behind_bytes", "lag_seconds")
        assert [name for name in (*names, "watermark_seconds") if f"stream_{name}{{" not in text] == []
        server.child.send(signal.SIGINT)
        server.child.ended()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "There is no stream of 'nope'. Choose one of: .*coupon"),
        (["coupon", "--source", "kafka:x"], "There is no source 'kafka:x'. Choose log, or jsonl:PATH"),
        (["all", "--source", "jsonl:x"], "--source and --metrics are for one domain"),
    ],
)
def test_a_wrong_stream_is_refused_with_the_right_ones(applied: Path, arguments: list[str], message: str):
    assert re.search(message, jobs(applied, "stream", *arguments, code=1).output)
