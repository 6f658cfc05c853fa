"""What the OpenAPI document says about errors, against what the service answers."""

import json
import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from fake import APPLICANT, Fake
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from errors import FeaturesNotReady, RiskError
from errors.table import entries
from web.openapi import document
from web.turns import LARGEST_REQUEST_BYTES

OPERATIONS = [(path, method, spec) for path, methods in document()["paths"].items() for method, spec in methods.items()]
BY_NAME = pytest.mark.parametrize(
    ("path", "method", "spec"), OPERATIONS, ids=[spec["operationId"] for _, _, spec in OPERATIONS]
)
KEYS = {"stream": "orders", "name": "onboarding", "service": "daily"}
BODIES = {"decide_any": APPLICANT, "send_events": {}, "read_features": {"entities": [{"driver_id": 1001}]}}


def url(path: str, spec: dict[str, Any]) -> str:
    """The path with the examples of its parameters."""
    examples = {p["name"]: p.get("example", KEYS.get(p["name"], 1)) for p in spec.get("parameters", ())}
    return re.sub(r"{(\w+)}", lambda match: str(examples.get(match[1], "1")), path)


def ask(client: FlaskClient, path: str, method: str, spec: dict[str, Any], data: bytes | None = None) -> TestResponse:
    """The answer, whose status the document declares, and whose error is one of the table."""
    body = json.dumps(BODIES.get(spec["operationId"], APPLICANT)).encode() if "requestBody" in spec else None
    answer = client.open(url(path, spec), method=method.upper(), data=body if data is None else data)
    assert str(answer.status_code) in spec["responses"], answer.text
    if answer.status_code >= 400 and "checks" not in answer.json:
        error = answer.json["error"]
        known = [entry for entry in entries(RiskError) if entry.code == error["code"]]
        assert [(entry.name, entry.status) for entry in known] == [(error["name"], answer.status_code)]
        assert error["request_id"] == answer.headers["X-Request-ID"]
    return answer


def broken(error: Exception) -> Any:
    def fails(*arguments: Any) -> None:
        raise error

    return fails


def break_store(fake: Fake, error: Exception) -> None:
    for name in ("online", "historical", "vectors", "services", "stored", "kept", "write"):
        setattr(fake, name, broken(error))


def test_every_operation_has_a_name_of_its_own():
    names = [spec["operationId"] for _, _, spec in OPERATIONS]
    assert len(set(names)) == len(names)
    assert {"decide_onboarding", "score_daily", "read_features_of_coupon", "decide_any"} <= set(names)
    assert [name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]*", name)] == []


def test_the_document_has_the_table_of_errors():
    spec = document()
    table = {row["code"]: row for row in spec["x-error-codes"]}
    assert {entry.code for entry in entries(RiskError) if entry.status} == table.keys()
    assert all(row["meaning"] and row["remedy"] for row in table.values())
    for path, _, operation in OPERATIONS:
        for status, response in operation["responses"].items():
            if "$ref" in response:
                described = spec["components"]["responses"][response["$ref"].rpartition("/")[2]]
                examples = described["content"]["application/json"]["examples"]
                codes = {value["value"]["error"]["code"] for value in examples.values()}
                assert codes == {code for code, row in table.items() if str(row["status"]) == status}, path


@BY_NAME
def test_a_wrong_request_is_answered_as_declared(
    client: FlaskClient, fake: Fake, path: str, method: str, spec: dict[str, Any]
):
    fake.services = lambda: ["daily"]
    assert ask(client, path, method, spec, b" " * (LARGEST_REQUEST_BYTES + 1)).status_code == 413
    if "requestBody" in spec:
        assert ask(client, path, method, spec, b"{").status_code == 400


@BY_NAME
def test_a_bug_and_a_missing_part_are_answered_as_declared(
    client: FlaskClient, fake: Fake, tmp_path: Path, path: str, method: str, spec: dict[str, Any]
):
    break_store(fake, ZeroDivisionError("a bug"))
    bug = ask(client, path, method, spec)
    break_store(fake, FeaturesNotReady(f"{tmp_path}/online.db is gone. Run: make pipeline"))
    missing = ask(client, path, method, spec)
    if spec["operationId"] in ("decide_onboarding", "read_features_of_daily", "read_historical_features", "decide_any"):
        assert (bug.status_code, missing.status_code) == (500, 503)
    assert "500" in spec["responses"]


@pytest.mark.parametrize("name", ["coupon", "chargeback", "loyalty", "onboarding", "daily"])
def test_a_risk_without_a_model_is_answered_as_declared(untrained: FlaskClient, name: str):
    for path, method, spec in OPERATIONS:
        if spec["operationId"] == f"decide_{name}":
            assert ask(untrained, path, method, spec).status_code in (400, 503)


# No answer names a folder of this machine


def absolute_paths(text: str) -> list[str]:
    """What looks like a path that begins at a folder of this machine."""
    tops = "|".join(re.escape(folder.name) for folder in Path("/").iterdir())
    return re.findall(rf"(?<![\w.])/(?:{tops})/\S*", text)


def in_duckdb(path: Path) -> Exception:
    path.write_bytes(b"no parquet")
    with pytest.raises(duckdb.Error) as caught:
        duckdb.sql(f"SELECT * FROM '{path}'").fetchall()
    return caught.value


def in_arrow(path: Path) -> Exception:
    path.write_bytes(b"no parquet")
    with pytest.raises(Exception, match="arquet") as caught:
        pq.read_table(path)
    return type(caught.value)(f"{caught.value} '{path}'")


FAULTS = {
    "a file of the root": lambda root: OSError(28, "No space left on device", f"{root}/online.db"),
    "a file elsewhere": lambda root: OSError(13, "Permission denied", "/etc/ssl/private/key.pem"),
    "the root itself": lambda root: OSError(30, "Read-only file system", str(root)),
    "ours": lambda root: FeaturesNotReady(f"The registry {root}/registry.db is broken; see /usr/lib/python3/x.py:7."),
    "a quoted path": lambda root: FeaturesNotReady(f"Cannot open '{root}/a b/online.db' (file:///var/lib/x)."),
    "DuckDB": lambda root: in_duckdb(root / "features.parquet"),
    "Arrow": lambda root: in_arrow(root / "features.parquet"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_an_answer_names_no_folder_and_the_log_does(client: FlaskClient, fake: Fake, tmp_path, caplog, fault):
    caplog.clear()
    error = fault(tmp_path)
    break_store(fake, error)
    for accept in ("application/json", "text/html"):
        answer = client.get("/daily-risk-decision/1001/", headers={"Accept": accept})
        assert answer.status_code == 503
        assert str(tmp_path) not in answer.text
        assert absolute_paths(answer.text.replace("/home/1001", "")) == []
    assert absolute_paths(caplog.text) != []


def test_files_that_are_broken_for_real_name_no_folder(client: FlaskClient, tmp_path: Path, caplog):
    breakages = {
        "decisions": lambda path: path.write_text("a file in the way"),
        "models/onboarding/current/model.onnx": lambda path: path.write_bytes(b"no model"),
        "models/daily/current/card.json": lambda path: path.write_text("{"),
        "policies/onboarding.yaml": lambda path: (path.parent.mkdir(), path.mkdir()),
        "scores.db": lambda path: path.write_bytes(b"no database" * 999),
    }
    caplog.clear()
    for name, breaks in breakages.items():
        breaks(tmp_path / name)
    answers = [
        client.post("/onboarding-risk-decision/", json=APPLICANT),
        client.get("/daily-risk-decision/1001/"),
        client.get("/daily-batch-scores/1001/"),
        client.post("/sign-up/", json=APPLICANT),
    ]
    assert {answer.status_code for answer in answers} == {503}
    assert [answer.text for answer in answers if absolute_paths(answer.text)] == []
    assert str(tmp_path) in caplog.text


def test_a_message_about_the_service_keeps_its_paths(client: FlaskClient):
    message = client.get("/nowhere").json["error"]["message"]
    assert "/apidocs/" in message
