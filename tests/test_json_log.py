"""The log of the service as JSON, on the fake store; and what a service without traces leaves alone."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chance import without_chance
from fake import APPLICANT, NOW, Fake
from flask.testing import FlaskClient

from app import create_app
from telemetry import logs
from web import calls


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Any]:
    """Call it to log JSON from then on, and again for the lines since."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logs.access.level

    def lines() -> list[dict[str, Any]]:
        err = capsys.readouterr().err
        if isinstance(root.handlers[0].formatter, logs.Formatter):
            return [json.loads(line) for line in err.splitlines()]
        logs.as_json(calls.context)
        return []

    yield lines
    root.handlers[:], root.level = before[0], before[1]
    logs.access.setLevel(before[2])


def test_each_request_is_a_line_of_json_without_an_identifier(logged: Any, client: FlaskClient):
    logged()
    client.post("/onboarding-risk-decision/?ssn=512-34-8765", json=APPLICANT, headers={"X-Request-ID": "from-afar"})
    client.get("/daily-risk-decision/5551234/")
    decided, unknown = logged()
    assert decided.items() >= {
        "level": "INFO", "logger": "risk.access", "message": "answered", "request_id": "from-afar", "method": "POST",
        "route": "/onboarding-risk-decision/", "status": 200,
    }.items()  # fmt: skip
    assert decided["duration_ms"] > 0
    assert re.match(r"20\d\d-\d\d-\d\dT.*Z", decided["timestamp"])
    assert (
        unknown.items()
        >= {"status": 404, "error": "unknown_entity", "route": "/daily-risk-decision/<driver_id>/"}.items()
    )
    assert not re.search("8765|5551234|1990|CA", without_chance(json.dumps([decided, unknown])))


def test_the_lines_of_an_error_have_the_id_that_its_answer_has(logged: Any, client: FlaskClient, fake: Fake):
    logged()
    fake.online = lambda *_: 1 / 0
    answer = client.post("/onboarding-risk-decision/", json=APPLICANT)
    cause, line = logged()
    assert cause["level"] == "ERROR"
    assert "ZeroDivisionError" in cause["exc_info"]
    assert line["status"] == 500
    assert {cause["request_id"], line["request_id"]} == {answer.json["error"]["request_id"]}
    assert answer.headers["X-Request-ID"] == answer.json["error"]["request_id"]


def test_a_line_outside_of_a_request_is_json_too(logged: Any):
    logged()
    logging.getLogger("jobs").warning("disk %s", "full", extra={"path": Path("x"), "share": float("nan")})
    (line,) = logged()
    assert line.items() >= {"level": "WARNING", "logger": "jobs", "message": "disk full", "path": "x"}.items()
    assert "request_id" not in line


def test_a_service_that_logs_text_logs_no_line_for_a_request(client: FlaskClient, capsys: pytest.CaptureFixture[str]):
    capsys.readouterr()
    client.get("/daily-risk-decision/1001/")
    assert capsys.readouterr().err == ""


def test_create_app_leaves_opentelemetry_alone(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in sys.modules if name.startswith(("opentelemetry", "telemetry.spans"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    create_app(fake, clock=lambda: NOW).test_client().get("/api/health-check")
    assert [name for name in sys.modules if name.startswith("opentelemetry")] == []
