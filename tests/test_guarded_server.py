"""The server as people and machines meet it when it asks who they are: processes, the commands beside it, a browser."""

import json
import os
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import browser
import pytest
import readme
import requests
from playwright.sync_api import Browser, expect
from processes import Ended, environment, jobs_command, run
from production import READY, SECRETS, own_key_root, production
from servers import answering

import settings

pytestmark = pytest.mark.slow

PAGE = readme.DOCS / "how-to" / "users-and-keys.md"
PASSWORD = "correct horse battery"
DRIVER = "/daily-risk-decision/1001/"


@dataclass(frozen=True)
class Guarded:
    """The server of a root, with two processes."""

    url: str
    root: Path

    def bash(self, script: str, **variables: str) -> Ended:
        """A script, whose commands work on the root and ask this server."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env = environment(RISK_DATA=self.root, **SECRETS, **variables) | {"PATH": path}
        return run(["bash", "-euc", script.replace("http://127.0.0.1:5000", self.url)], env=env)

    def add_user(self, *scopes: str) -> str:
        """The e-mail address of a new user."""
        email = f"{uuid.uuid4().hex}@example.com"
        chosen = " ".join(f"--scope {scope}" for scope in scopes)
        self.bash(f"echo '{PASSWORD}' | python -m jobs user add {email} {chosen} --password-stdin")
        return email

    def key(self, *scopes: str) -> str:
        chosen = " ".join(f"--scope {scope}" for scope in scopes)
        return self.bash(f"python -m jobs key add {uuid.uuid4().hex} {chosen}").stdout.strip()

    def statuses(self, path: str, credential: str) -> set[int]:
        """Those of many requests, on connections of their own, which reach every process."""
        header = {"Authorization": f"Bearer {credential}"}
        return {requests.get(self.url + path, headers=header, timeout=60).status_code for _ in range(20)}

    def log_in(self, email: str) -> str:
        """An access token."""
        sent = {"email": email, "password": PASSWORD}
        token: str = requests.post(f"{self.url}/api/v1/auth/login", json=sent, timeout=60).json()["access_token"]
        return token


@pytest.fixture(scope="module")
def guarded(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    root = own_key_root(world, tmp_path_factory.mktemp("guarded"))
    with answering(production(root, workers=2), READY) as server:
        yield Guarded(server.url, root)


def test_the_page_on_users_and_keys_works_as_it_stands(guarded: Guarded):
    secrets, *blocks = (block.text for block in readme.blocks(PAGE, "sh"))
    made = guarded.bash(secrets + 'echo "$RISK_HASH_KEY $RISK_JWT_SECRET"').stdout.split()
    assert all(len(secret.encode()) >= settings.FEWEST_SECRET_BYTES for secret in made)
    assert len({*made, *SECRETS.values()}) == 4
    printed = guarded.bash("\n".join(blocks)).stdout
    tokens, decision = (json.loads(line) for line in printed.splitlines() if line.startswith("{"))
    (shown,) = (json.loads(block.text) for block in readme.blocks(PAGE, "json"))
    assert {name: type(value) for name, value in tokens.items()} == {name: type(shown[name]) for name in shown}
    assert (tokens["expires_in"], tokens["scope"]) == (shown["expires_in"], shown["scope"])
    assert decision["decision"]
    assert re.search(r"till-7\s+rk_[\w-]", printed)


def test_a_user_who_is_disabled_is_out_at_once_in_every_process(guarded: Guarded):
    email = guarded.add_user("decisions:write")
    token = guarded.log_in(email)
    assert guarded.statuses(DRIVER, token) == {200}
    guarded.bash(f"python -m jobs user disable {email}")
    assert guarded.statuses(DRIVER, token) == {401}
    guarded.bash(f"python -m jobs user enable {email}")
    assert guarded.statuses(DRIVER, token) == {401}
    assert guarded.statuses(DRIVER, guarded.log_in(email)) == {200}


def test_the_log_names_the_key_that_asked(guarded: Guarded):
    secret = guarded.key("decisions:write")
    header = {"Authorization": f"Bearer {secret}"}
    decision = requests.get(guarded.url + DRIVER, headers=header, timeout=60).json()
    lines = [line for file in (guarded.root / "decisions").iterdir() for line in file.read_text().splitlines()]
    (record,) = [r for r in map(json.loads, lines) if r["decision_id"] == decision["decision_id"]]
    assert re.fullmatch("key:[0-9a-f]{32}", record["caller"])
    assert secret not in json.dumps(record)


def test_a_simulation_sends_the_key_that_it_is_given(guarded: Guarded):
    command = jobs_command("simulate", "coupon", "--attempts", "2", "--per-second", "50", "--url", guarded.url)
    key = guarded.key("decisions:write", "events:write")
    run(command, env=environment(RISK_DATA=guarded.root, RISK_API_KEY=key, **SECRETS))
    ended = run(command, code=1, env=environment(RISK_DATA=guarded.root, RISK_API_KEY="", **SECRETS))
    assert "asks who calls it. Set RISK_API_KEY to a key that holds" in ended.stderr


@pytest.mark.browser
def test_a_person_signs_in_decides_and_signs_out(guarded: Guarded, chromium: Browser):
    email = guarded.add_user("decisions:write", "audit:read")
    with browser.watched(chromium) as page:
        page.goto(f"{guarded.url}/home/1001")
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        page.get_by_label("E-mail address").fill(email)
        page.get_by_label("Password").fill("a wrong password")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_have_text("The e-mail address or the password is wrong. Check both.")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(f"{guarded.url}/home/1001")
        expect(page.get_by_text("Open service")).to_have_count(0)

        page.goto(f"{guarded.url}/")
        number = uuid.uuid4().int
        ssn = f"{100 + number % 500}-{1 + number // 500 % 99:02}-{1 + number // 49_500 % 9999:04}"
        for field, value in {"dob": "1990-05-17", "ssn": ssn, "dl": f"D{number % 10**12:012}"}.items():
            page.locator(f"[name={field}]").fill(value)
        page.get_by_label("State").select_option("CA")
        page.get_by_role("button", name="Apply").click()
        expect(page.locator("#answer .outcome")).to_have_text("Approved")

        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
        page.goto(f"{guarded.url}/home/1001")
        expect(page).to_have_url(f"{guarded.url}/sign-in/?next=/home/1001")


@pytest.mark.browser
def test_the_api_docs_send_the_key_that_is_typed_into_authorize(guarded: Guarded, chromium: Browser):
    key = guarded.key("features:read")
    with browser.watched(chromium) as page:
        page.goto(f"{guarded.url}/apidocs/")
        page.get_by_role("button", name="Authorize").first.click()
        form = page.locator(".auth-container").filter(has_text="API key")
        form.locator("input").fill(key)
        form.get_by_role("button", name="Authorize").click()
        form.get_by_role("button", name="Close").click()
        operation = page.locator(".opblock").filter(has_text="/daily-risk-features/{driver_id}/")
        operation.locator(".opblock-summary").click()
        operation.get_by_role("button", name="Try it out").click()
        with page.expect_response("**/daily-risk-features/1001/") as response:
            operation.get_by_role("button", name="Execute").click()
        assert response.value.status == 200
        assert response.value.request.headers["authorization"] == f"Bearer {key}"
