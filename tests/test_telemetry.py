"""What an operator sees of the service on the fake store: health, numbers, lines of the log."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake import APPLICANT, NOW
from flask.testing import FlaskClient
from processes import exit_code, forked
from prometheus_client import values
from prometheus_client.parser import text_string_to_metric_families

import settings
from features.domains import risks, streams
from serving import event_log, health, intake, lines
from serving.call import Call
from telemetry.metrics import Metrics

READY = "/api/health-check/ready"


def numbers(text: str) -> dict[tuple[str, ...], float]:
    """Name and values of the labels, in the order of the labels' names → the number."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped(client: FlaskClient) -> dict[tuple[str, ...], float]:
    answer = client.get("/metrics")
    assert answer.content_type.startswith("text/plain; version=")
    return numbers(answer.text)


# Health


def problems(client: FlaskClient) -> dict[str, str]:
    """The checks of the risks that the fake store knows, and what is wrong with them."""
    answer = client.get(READY)
    unknown = {
        f"{part} {name}" for part in ("model", "policy") for name in risks() if name not in ("onboarding", "daily")
    }
    assert answer.status_code == (200 if all(part["ok"] for part in answer.json["checks"]) else 503)
    assert answer.json["status"] == ("ready" if answer.status_code == 200 else "not_ready")
    return {part["name"]: part.get("problem", "") for part in answer.json["checks"] if part["name"] not in unknown}


def test_a_live_service_says_so_whatever_is_missing(untrained: FlaskClient, tmp_path: Path):
    (tmp_path / "decisions").write_text("in the way")
    answer = untrained.get("/api/health-check")
    assert (answer.status_code, answer.json) == (200, {"status": "alive"})


def test_a_service_that_lacks_nothing_is_ready(client: FlaskClient):
    seen = problems(client)
    assert set(seen.values()) == {""}
    assert {"registry", "online store", "model daily", "policy daily", "audit log", "stream orders"} < seen.keys()


BREAKS: dict[str, tuple[Any, str]] = {
    "model daily": (lambda root: (root / "models/daily/current").unlink(), "not trained yet"),
    "model onboarding": (lambda root: (root / "models/onboarding/current/model.onnx").write_bytes(b"x"), ""),
    "policy daily": (lambda root: (root / "policies/daily.yaml").write_text("appetite: 7"), "daily.yaml"),
    "audit log": (lambda root: (root / "decisions").write_text("in the way"), "decisions is a file"),
    "events orders": (lambda root: ((root / "log").mkdir(), (root / "log/orders").write_text("")), "log/orders is a"),
    "stream orders": (
        lambda root: event_log.append(root / "log/orders", [{"order_id": "a"}], NOW - 2 * health.PATIENCE),
        "waiting for 120 s. Run: python -m jobs stream",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_missing_part_is_named_with_what_to_do(client: FlaskClient, tmp_path: Path, name: str):
    (tmp_path / "policies").mkdir()
    breaks, message = BREAKS[name]
    breaks(tmp_path)
    seen = problems(client)
    assert {part for part, problem in seen.items() if problem} - {"stream orders"} == {name} - {"stream orders"}
    assert message in seen[name]
    assert seen[name]
    assert str(tmp_path) not in json.dumps(seen)
    assert scraped(client)["risk_check_ok", name] == 0


def test_a_full_disk_is_a_problem(client: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lines.shutil, "disk_usage", lambda place: os.statvfs_result([0] * 11) and Full())
    assert "63 MB left. Free space on it." in problems(client)["audit log"]


class Full:
    free = lines.LEAST_FREE_BYTES - 1


# Numbers


def test_requests_steps_decisions_and_errors_are_counted(client: FlaskClient):
    for _ in range(3):
        client.post("/onboarding-risk-decision/", json=APPLICANT)
    client.get("/daily-risk-decision/7/")
    client.get("/daily-risk-decision/8/")
    client.open("/nowhere/512-34-8765", method="INVENTED")
    seen = scraped(client)
    count = "risk_request_seconds_count"
    assert seen[count, "POST", "/onboarding-risk-decision/", "200"] == 3
    assert seen[count, "GET", "/daily-risk-decision/<driver_id>/", "404"] == 2
    assert seen[count, "OTHER", "none", "404"] == 1
    assert seen["risk_decisions_total", "approve", "onboarding"] == 3
    assert {seen["risk_step_seconds_count", step] for step in ("featurize", "score", "decide", "audit")} == {3}
    assert seen["risk_errors_total", "unknown_entity"] == 2
    assert seen["risk_model_info", "daily", "1"] == 1


def test_a_time_is_in_the_bucket_that_holds_it():
    metrics = Metrics()
    for microseconds in (1, 250, 251, 6_000_000):
        metrics.answered(Call(), "GET", "/", 200, microseconds * 1000)
    seen = numbers(metrics.text([]).decode())
    in_buckets = [
        seen["risk_request_seconds_bucket", bound, "GET", "/", "200"] for bound in ("0.00025", "0.0005", "5.0", "+Inf")
    ]
    assert in_buckets == [2, 3, 3, 4]
    assert seen["risk_request_seconds_sum", "GET", "/", "200"] == pytest.approx(6.000502)


def test_the_folder_of_shared_counts_is_that_of_a_running_server_only():
    with settings.sharing_metrics():
        folder = settings.metrics_folder()
        assert folder is not None
        assert folder.is_dir()
    assert settings.metrics_folder() is None
    assert not folder.exists()


def test_no_number_tells_an_identifier(client: FlaskClient):
    client.get("/home/5551234")
    client.get("/daily-risk-decision/5551234/?ssn=512-34-8765")
    text = "\n".join(line.rpartition(" ")[0] for line in client.get("/metrics").text.splitlines())
    assert "5551234" not in text
    assert "8765" not in text


def test_events_that_wait_are_seconds_and_bytes(client: FlaskClient, tmp_path: Path):
    event_log.append(tmp_path / "log/orders", [{"order_id": "a"}], NOW - health.PATIENCE)
    seen = scraped(client)
    assert seen["risk_stream_waiting_seconds", "orders"] == 60
    (file,) = (tmp_path / "log/orders").iterdir()
    assert seen["risk_stream_waiting_bytes", "orders"] == file.stat().st_size > 0
    assert seen["risk_stream_waiting_seconds", "purchases"] == 0
    assert {key[1] for key in seen if key[0] == "risk_stream_waiting_bytes"} == streams().keys()
    assert intake.waiting_bytes(tmp_path / "log/none", tmp_path / "streams/none.db") == 0


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which several processes count."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    before = values.ValueClass
    yield tmp_path
    values.ValueClass = before


def count_some(folder: Path, requests: int) -> None:
    metrics = Metrics(folder)
    for _ in range(requests):
        metrics.answered(Call(decided=[("daily", "approve")]), "GET", "/", 200, 1000)
    os._exit(9)


@pytest.mark.slow
def test_processes_count_together_and_a_new_one_goes_on_for_a_dead_one(shared: Path):
    for requests in (3, 4):  # one after the other: the second takes the place of the first
        with forked(count_some, shared, requests) as child:
            assert exit_code(child) == 9
    assert len(list(shared.glob("counter_*.db"))) == 1
    metrics = Metrics(shared)  # alone now, so in the same place
    metrics.answered(Call(decided=[("daily", "approve")]), "GET", "/", 200, 1000)
    other = Metrics(shared)  # the place is taken
    other.answered(Call(), "GET", "/", 200, 1000)
    seen = numbers(other.text([]).decode())
    assert seen["risk_request_seconds_count", "GET", "/", "200"] == 9
    assert seen["risk_decisions_total", "approve", "daily"] == 8
    assert len(list(shared.glob("histogram_*.db"))) == 2
