"""`python -m jobs stream` as it is run: killed and begun again, stopped, refused, watched; on the real online store."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pyarrow.parquet as pq
import pytest
from conftest import free_port
from pydantic_core import to_json

import settings
from features.coupon import COUPON as COUPON_RISK
from features.domains import stream_of
from jobs.raw import offline_log
from jobs.stream.job import prepare
from serving.retrieval import FeastStore

COUPON = stream_of("coupon")
JOB = (sys.executable, "-m", "jobs", "stream")


@pytest.fixture(scope="module")
def applied(tmp_path_factory):
    """A root with the views of this one domain."""
    from feast import Entity, FeatureService, FeatureStore, FeatureView, OnDemandFeatureView

    root, kinds = tmp_path_factory.mktemp("applied"), (Entity, FeatureView, OnDemandFeatureView, FeatureService)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(root))
        prepare(settings.root(), COUPON)
        views = import_module("views.coupon")
        FeatureStore(str(settings.FEATURE_REPO)).apply([one for one in vars(views).values() if isinstance(one, kinds)])
        yield root


def attempts(now, count):
    """Of the last minutes before `now`; every fifth is told twice."""
    for n in range(count):
        one = {"msg_id": f"c{n}", "device_id": f"d{n % 7}", "location_code": f"L{n % 3}", "response": "INVALID"}
        one |= {
            "coupon_code": f"1234-5678-9012-{n:04}",
            "create_time": (now - timedelta(seconds=count - n) / 20).isoformat(),
        }
        yield from [one] * (2 if n % 5 == 0 else 1)


def started(domain, *more, root):
    return subprocess.Popen(
        [*JOB, domain, *more], cwd=settings.PROJECT, env={**os.environ, "RISK_DATA": str(root)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ended(running, code=0):
    out, err = running.communicate(timeout=120)
    assert running.returncode == code, out + err
    return out + err


def waited_for(is_so):
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def taken_in():
    if not settings.root().stream_state("coupon").exists():
        return 0
    db = sqlite3.connect(settings.root().stream_state("coupon"))
    try:
        (counts,) = db.execute("SELECT value FROM meta WHERE name = 'counts'").fetchone() or (b"{}",)
    except sqlite3.OperationalError:  # it is just being made
        counts = b"{}"
    db.close()
    return json.loads(counts).get("events", 0)


def features(store, now):
    """What Feast's own read says, of everybody."""
    rows = [
        {"msg_id": "x", "device_id": f"d{n}", "location_code": f"L{n % 3}", "coupon_prefix": "1234-5678-9012-"}
        for n in range(7)
    ]
    return store.get_online_features(
        store.get_feature_service("coupon"), [row | {"as_of": now} for row in rows]
    ).to_dict()


def test_a_real_job_that_is_killed_stopped_and_begun_again_keeps_every_event_once(applied):
    from feast import FeatureStore

    now, log = datetime.now(UTC), settings.root().event_log(COUPON.raw.name)
    log.mkdir(parents=True)
    lines = [to_json(one) + b"\n" for one in attempts(now, 3000)]
    running = started("coupon", root=applied)
    with (log / "day.jsonl").open("ab") as file:
        for kill, part in enumerate((lines[:900], lines[900:1800], lines[1800:])):
            before = taken_in()
            for at in range(0, len(part), 100):
                file.write(b"".join(part[at : at + 100]) + b"no event\n")
                file.flush()
                time.sleep(0.01)
            waited_for(lambda before=before: taken_in() > before)
            if kill < 2:
                running.kill()
                running.communicate()
                running = started("coupon", root=applied)
    waited_for(lambda: taken_in() == 3000)
    assert "Another stream job is at work on coupon" in ended(started("coupon", "--once", root=applied), 3)
    running.send_signal(signal.SIGTERM)
    assert re.search(r"3,000 events, 0 late, [\d,]+ duplicate, 36 dead-lettered", ended(running))
    files = list(offline_log.files(settings.root().offline_log(COUPON.raw.name)))
    assert sum(pq.read_metadata(f).num_rows for f in files) == 3000
    dead = settings.root().dead_letters(COUPON.raw.name).glob("*.jsonl")
    assert sum(len(file.read_text().splitlines()) for file in dead) == 36
    store = FeatureStore(str(settings.FEATURE_REPO))
    answer = features(store, now + timedelta(seconds=1))  # of whole seconds
    assert sum(answer["device_attempts_1h"]) == 3000
    assert answer["failures_5m"][:3] == [1000] * 3
    assert answer["device_codes_1h"] == [429, 429, 429, 429, 428, 428, 428]
    # Nothing more happens, and counts fall to zero by themselves: in Feast's own read, and in ours.
    ours, person = FeastStore(settings.FEATURE_REPO), {"device_id": "d0", "location_code": "L0", "coupon_prefix": ""}
    for minutes, failures, an_hour in ((10, 0, 3000), (120, 0, 0)):
        later = now + timedelta(minutes=minutes)
        answer = features(store, later)
        assert (answer["failures_5m"], sum(answer["device_attempts_1h"])) == ([failures] * 7, an_hour)
        told = ours.online(COUPON_RISK, person, later)
        assert (told["failures_5m"], told["device_attempts_1h"]) == (failures, answer["device_attempts_1h"][0])


def test_a_watched_job_tells_prometheus_what_it_tells_a_person(applied, tmp_path):
    port, lines = free_port(), tmp_path / "events.jsonl"
    lines.write_bytes(b"no event\n")
    running = started("coupon", "--source", f"jsonl:{lines}", "--metrics", str(port), root=applied)
    said = ""

    def is_told():
        nonlocal said
        try:
            said = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        except OSError:
            return False
        return 'stream_dead_letters_total{domain="coupon"} 1.0' in said

    waited_for(is_told)
    names = ("events_total", "late_total", "duplicates_total", "events_per_second", "behind_bytes", "lag_seconds")
    assert [name for name in (*names, "watermark_seconds") if f"stream_{name}{{" not in said] == []
    running.send_signal(signal.SIGINT)
    ended(running)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["nope"], "There is no stream of 'nope'. Choose one of: .*coupon"),
        (["coupon", "--source", "kafka:x"], "There is no source 'kafka:x'. Choose log, or jsonl:PATH"),
        (["all", "--source", "jsonl:x"], "--source and --metrics are for one domain"),
    ],
)
def test_what_cannot_be_streamed_is_refused_with_what_can(applied, asked, told):
    assert re.search(told, ended(started(*asked, root=applied), 1))
