"""The console in a real browser: readable for everybody, kept up to date, and used with the keyboard alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import expect, watched
from fake import NOW, Fake, shelve
from playwright.sync_api import Browser, Page
from servers import in_thread
from test_console_pages import log
from werkzeug.serving import make_server

from app import create_app

pytestmark = [pytest.mark.slow, pytest.mark.browser]
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
LIGHT, DARK, PHONE = {"color_scheme": "light"}, {"color_scheme": "dark"}, {"viewport": {"width": 390, "height": 844}}
PAGES = ("/console", "/console/cases", "/console/monitor", "/console/models", "/console/decisions/d1")


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A service with two open cases and a settled decision."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    shelve("daily")
    for nth, decision in ((1, "review"), (2, "approve"), (3, "review")):
        log(tmp_path, nth, decision)
    with in_thread(make_server("127.0.0.1", 0, create_app(Fake(), clock=lambda: NOW))) as url:
        yield url


@pytest.mark.parametrize("options", [LIGHT, DARK, PHONE], ids=["light", "dark", "phone"])
def test_every_page_is_readable_for_everybody(chromium: Browser, address: str, options: dict[str, object]):
    with watched(chromium, **options) as page:
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text))
        for path in PAGES:
            page.goto(address + path)
            violations = Axe().run(page, options=WCAG).response["violations"]
            assert [(v["id"], [node["target"] for node in v["nodes"]]) for v in violations] == [], path
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, path
        assert problems == []


def test_a_new_decision_shows_without_a_reload(page: Page, address: str, tmp_path: Path):
    page.goto(f"{address}/console")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(3)
    log(tmp_path, 0, "decline")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text("decline")


def test_a_case_is_taken_and_settled_with_the_keyboard_alone(page: Page, address: str):
    page.goto(f"{address}/console/cases")
    expect(page.locator("tbody tr")).to_have_count(2)
    _tab_to(page, "2026-01-31 11:57:00")
    page.keyboard.press("Enter")
    expect(page.locator("#case")).to_contain_text("Nobody has taken it")
    _tab_to(page, "Take")
    page.keyboard.press("Enter")
    expect(page.locator("#case")).to_contain_text("Taken by somebody")
    _tab_to(page, "")
    page.keyboard.type("Known to us.")
    _tab_to(page, "Approve")
    page.keyboard.press("Enter")
    expect(page.locator("#case")).to_contain_text("Settled: approve")
    expect(page.locator(".history")).to_contain_text("Known to us.")
    page.goto(f"{address}/console/cases")
    expect(page.locator("tbody tr")).to_have_count(1)


def _tab_to(page: Page, text: str) -> None:
    """Press Tab until the element with this text has the focus; without a text, a text area."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate("[document.activeElement.tagName, document.activeElement.textContent.trim()]")
        if focused == ["TEXTAREA", ""] if not text else focused[1] == text:
            return
    raise AssertionError(f"Tab does not lead to {text!r}")
