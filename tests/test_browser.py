"""Pages that others wrote, the API docs and Feast's, in a real Chromium; and the watch that no page asks an outside
host."""

import json
import re
import sys
from pathlib import Path

import browser
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from processes import environment, started
from servers import answering

import settings

pytestmark = [pytest.mark.slow, pytest.mark.browser]

FEATURE_VIEWS = [
    "driver_dl_entities", "driver_hourly_stats", "driver_profile", "driver_ssn_entities", "driver_yesterdays_stats",
    "ondemand_dl_lookup", "ondemand_ssn_lookup", "transformed_onboarding",
]  # fmt: skip


# The API docs


def try_out(page: Page, operation: str) -> tuple[Locator, Locator]:
    """Open an operation and make it editable; the operation, and the server's answer to come."""
    block = page.locator(f"#operations-{operation}")
    block.locator(".opblock-summary").click()
    block.get_by_role("button", name="Try it out").click()
    return block, block.locator(".live-responses-table tbody")


def executed(block: Locator, answer: Locator) -> dict[str, object]:
    """The JSON that the docs show for what the server answered, which was a success."""
    block.get_by_role("button", name="Execute").click()
    expect(answer.locator(".response-col_status")).to_have_text("200")
    shown: dict[str, object] = json.loads(answer.locator("pre.microlight").first.inner_text())
    return shown


def test_the_docs_example_of_an_applicant_gets_a_decision_as_it_stands(page: Page, served: str):
    page.goto(f"{served}/apidocs/")
    block, answer = try_out(page, "onboarding-decide_onboarding")
    assert set(json.loads(block.locator("textarea").input_value())) == {"dob", "ssn", "dl", "state"}
    shown = executed(block, answer)
    assert shown["decision"] in ("approve", "review", "decline")
    assert shown["reasons"]


def test_the_docs_example_of_a_driver_gets_a_score_as_it_stands(page: Page, served: str):
    page.goto(f"{served}/apidocs/")
    block, answer = try_out(page, "daily-score_daily")
    expect(block.get_by_placeholder("driver_id")).to_have_value("1001")
    score = executed(block, answer)["score"]
    assert isinstance(score, float)
    assert 0 <= score <= 1


# Feast's own pages


def test_the_pages_of_feast_list_every_feature_view_by_its_name(page: Page, world: Path):
    command = [str(Path(sys.executable).with_name("feast")), "ui", "--host", browser.HERE, "--port"]
    variables = environment(RISK_DATA=world)
    with answering(lambda port: started([*command, str(port)], cwd=settings.FEATURE_REPO, env=variables)) as server:
        page.goto(server.url)
        page.get_by_role("link", name="Feature Views").first.click()
        expect(page).to_have_url(re.compile(r"/p/risk/feature-view$"))
        for name in FEATURE_VIEWS:
            expect(page.locator("table").get_by_role("link", name=name)).to_be_visible()
        page.locator("table").get_by_role("link", name="driver_yesterdays_stats").click()
        for feature in ("conv_rate", "acc_rate", "avg_daily_trips"):
            expect(page.get_by_text(feature, exact=True).first).to_be_visible()


# The watch and the browser


def look_at(chromium: Browser, content: str) -> None:
    """Open a page of that content, until it has asked for something; nothing leaves the browser."""
    with browser.watched(chromium) as page:
        page.context.route("**/*", lambda route: route.abort())
        with page.expect_websocket() if "WebSocket" in content else page.context.expect_event("request"):
            page.set_content(content)


@pytest.mark.parametrize(
    ("content", "requested"),
    [
        ('<img src="https://outside.example/pixel.png">', "https://outside.example/pixel.png"),
        ('<link rel="stylesheet" href="http://outside.example/style.css">', "http://outside.example/style.css"),
        ('<iframe src="https://outside.example/frame"></iframe>', "https://outside.example/frame"),
        ("<script>fetch('https://outside.example/beacon').catch(() => 0)</script>", "https://outside.example/beacon"),
        ("<script>new WebSocket('ws://127.0.0.2:9/socket')</script>", "ws://127.0.0.2:9/socket"),
        ("<script>open('https://outside.example/window')</script>", "https://outside.example/window"),
    ],
    ids=["image", "stylesheet", "frame", "script", "socket", "window"],
)
def test_a_page_that_asks_an_outside_host_does_not_pass(chromium: Browser, content: str, requested: str):
    with pytest.raises(AssertionError, match=f"asked an outside host: {re.escape(requested)}"):
        look_at(chromium, content)


def test_only_what_goes_to_this_machine_stays_inside():
    inside = [
        "http://127.0.0.1:5000/home/1001",
        "ws://127.0.0.1:1/",
        "data:image/png;base64,AA",
        "blob:null/1",
        "about:blank",
    ]
    leaving = [
        "http://127.0.0.1.outside.example/",
        "https://outside.example/?127.0.0.1",
        "http://127.0.0.1@outside.example/",
    ]
    assert browser.outside(inside + leaving) == leaving


def test_the_first_chromium_that_is_there_is_used():
    installed = {"chromium-browser": "/opt/chromium-browser", "google-chrome": "/opt/google-chrome"}
    assert browser.program({"CI": "true"}, installed.get) == "/opt/chromium-browser"


@pytest.mark.parametrize(
    ("environment", "outcome"),
    [
        ({"CI": "true"}, pytest.fail.Exception),
        ({"CI": "false"}, pytest.skip.Exception),
        ({"CI": ""}, pytest.skip.Exception),
        ({}, pytest.skip.Exception),
    ],
)
def test_a_missing_browser_fails_in_ci_and_is_a_named_skip_elsewhere(
    environment: dict[str, str], outcome: type[BaseException]
):
    with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match=r"^Chromium is not installed: ") as raised:
        browser.program(environment, lambda name: None)
    assert raised.type is outcome
