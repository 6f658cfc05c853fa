"""Who may ask, over HTTP: every path states its scope, and what comes without it is refused."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from gates import ANN, BROWSER, DRIVER, add_user, bearer, key, login
from openapi_spec_validator import validate

from access.scopes import SCOPES
from web.access import PUBLIC, SCHEMES, needs, scope_of


def paths(client: FlaskClient) -> list[tuple[str, str, str | None]]:
    """(method, path, scope) of everything that is there, with a value for each variable part."""
    return [
        (method, re.sub(r"<[^>]*>", "1", rule.rule), scope_of(client.application, rule.endpoint))
        for rule in client.application.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def test_every_path_states_its_scope_or_that_it_is_public(guarded: FlaskClient):
    assert [path for _, path, scope in paths(guarded) if scope is None] == []


def test_these_paths_and_no_others_are_public(guarded: FlaskClient):
    public = {path for _, path, scope in paths(guarded) if scope == PUBLIC}
    assert public == {
        "/static/1", "/flasgger_static/1", "/apidocs/", "/apidocs/index.html", "/openapi.json", "/oauth2-redirect.html",
        "/sign-in/", "/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/auth/logout",
        "/api/health-check", "/api/health-check/ready",
    }  # fmt: skip


def test_without_a_caller_every_other_path_answers_401(guarded: FlaskClient):
    answers = {
        (method, path): guarded.open(path, method=method) for method, path, scope in paths(guarded) if scope != PUBLIC
    }
    assert len(answers) > 20
    for answer in answers.values():
        assert (answer.status_code, answer.json["error"]["name"]) == (401, "not_signed_in")
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="risk service"'


@pytest.mark.parametrize("scope", [*SCOPES])
def test_a_scope_opens_its_paths_and_no_others(guarded: FlaskClient, tmp_path: Path, scope: str):
    header = key(tmp_path, scope)
    for method, path, needed in paths(guarded):
        if needed == PUBLIC:
            continue
        answer = guarded.open(path, method=method, headers=header)
        is_in = needed in (scope, "any") or scope == "admin"
        assert (answer.status_code == 403) != is_in, path
        if not is_in:
            assert f"key:till lacks the scope {needed}" in answer.json["error"]["message"]
            assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]


def test_a_view_without_a_scope_answers_nobody(guarded: FlaskClient, tmp_path: Path):
    guarded.application.view_functions["risk.daily_risk-decision"] = lambda **path: "a secret"
    assert guarded.get(DRIVER).status_code == 401
    answer = guarded.get(DRIVER, headers=key(tmp_path, "admin"))
    assert (answer.status_code, "states no scope" in answer.json["error"]["message"]) == (403, True)


def test_an_unknown_scope_cannot_be_stated():
    with pytest.raises(ValueError, match="no scope 'audit'"):
        needs("audit")


# Tokens


def test_a_program_signs_in_decides_refreshes_and_signs_out(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "decisions:write")
    first = login(guarded)
    assert (first["token_type"], first["expires_in"], first["scope"]) == ("Bearer", 600, "decisions:write")
    assert guarded.get(DRIVER, headers=bearer(first["access_token"])).status_code == 200
    answer = guarded.post("/api/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert answer.headers["Cache-Control"] == "no-store"
    second = answer.json
    assert guarded.get(DRIVER, headers=bearer(second["access_token"])).status_code == 200
    sent = {"refresh_token": second["refresh_token"]}
    assert guarded.post("/api/v1/auth/logout", json=sent).json == {"signed_out": True}
    assert guarded.post("/api/v1/auth/refresh", json=sent).status_code == 401


@pytest.mark.parametrize(
    "authorization",
    ["Bearer x", "Bearer ", "bearer", "Bearer a b", "Bearer é", "Bearer a\tb", "Bearer rk_x", "Bearer a.b.c"],
)
def test_a_wrong_header_is_refused_and_named(guarded: FlaskClient, authorization: str):
    answer = guarded.get(DRIVER, headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert guarded.get("/sign-in/", headers={"Authorization": authorization}).status_code == 200


@pytest.mark.parametrize(
    ("extra", "name"),
    [({"scopes": ["admin"]}, "scopes"), ({"scope": "admin"}, "scope"), ({"is_disabled": False}, "is_disabled"),
     ({"generation": 7}, "generation")],
)  # fmt: skip
def test_a_login_takes_no_field_but_its_own(guarded: FlaskClient, tmp_path: Path, extra: dict[str, object], name: str):
    add_user(tmp_path, "features:read")
    answer = guarded.post("/api/v1/auth/login", json={"email": ANN, "password": "correct horse battery"} | extra)
    assert (answer.status_code, answer.json["error"]["name"]) == (400, "unknown_field")
    assert name in answer.json["error"]["message"]


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"email": 1, "password": 2}', '{"email": "a"}', '{"password":"p"}'])
def test_a_login_that_is_no_login_is_a_bad_request(guarded: FlaskClient, body: str):
    assert guarded.post("/api/v1/auth/login", data=body).status_code == 400


def test_a_wrong_user_and_a_wrong_password_get_the_same_answer(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "features:read")
    wrong = [login(guarded, password="a wrong password"), login(guarded, email="nobody@example.com")]
    seen = [{name: value for name, value in answer["error"].items() if name != "request_id"} for answer in wrong]
    assert seen[0] == seen[1]
    assert seen[0]["name"] == "not_signed_in"


def test_the_audit_log_knows_who_asked(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "decisions:write")
    callers: list[str] = []
    guarded.application.teardown_request(lambda error: callers.append(_caller()))
    guarded.get(DRIVER, headers=bearer(login(guarded)["access_token"]))
    guarded.get(DRIVER, headers=key(tmp_path, "decisions:write"))
    assert callers[-2:] == [f"user:{ANN}", "key:till"]


def _caller() -> str:
    from web import calls

    return calls.current().caller


def test_without_its_file_the_service_lets_nobody_in_and_says_why(guarded: FlaskClient, tmp_path: Path):
    header = key(tmp_path, "admin")
    (tmp_path / "access.db").write_bytes(b"garbage")
    answer = guarded.get(DRIVER, headers=header)
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "access_unavailable")
    assert str(tmp_path) not in answer.text


# The API docs, and the open service


def test_the_docs_state_the_scope_of_each_operation(guarded: FlaskClient):
    document = guarded.get("/openapi.json").json
    validate(document)
    assert document["components"]["securitySchemes"].keys() == SCHEMES.keys()
    app = guarded.application
    for rule in app.url_map.iter_rules():
        path, scope = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), scope_of(app, rule.endpoint)
        for operation in (document["paths"].get(path, {}).get(method.lower(), {}) for method in rule.methods or ()):
            if operation and scope == PUBLIC:
                assert "security" not in operation, path
            elif operation:
                assert operation["security"] == [{"token": []}, {"key": []}], path
                assert operation["description"].endswith(f"Scope: `{scope}`."), path
                assert {"401", "403", "503"} <= operation["responses"].keys(), path


def test_an_open_service_says_so_on_every_page_and_asks_nobody(client: FlaskClient):
    for page in ("/", "/overview/", "/coupon/", "/home/1001", "/nowhere"):
        assert "Open service: nobody has to sign in" in client.get(page, headers=BROWSER).text
    assert client.get("/sign-in/?next=/coupon/").location == "/coupon/"
    document = client.get("/openapi.json").json
    assert "security" not in document["paths"][DRIVER.replace("1001", "{driver_id}")]["get"]
    answer = client.post("/api/v1/auth/login", json={"email": ANN, "password": "x"})
    assert (answer.status_code, "This service is open" in answer.json["error"]["message"]) == (400, True)


def test_a_guarded_page_does_not_say_that_the_service_is_open(guarded: FlaskClient):
    assert "Open service" not in guarded.get("/sign-in/").text
    assert "Open service" not in guarded.get("/nowhere", headers=BROWSER).text
