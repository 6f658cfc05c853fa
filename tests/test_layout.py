"""Every page on a phone and on a desk, in light and in dark: no page is wider than its screen, and every text can be
read."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import browser
import pytest
from fake import NOW, Fake, shelve
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, expect
from servers import in_thread
from test_coupon_page import SevenAttempts, record
from werkzeug.serving import make_server

import settings
from serving import audit, scores
from serving.decision import Decision, GivenReason

pytestmark = [pytest.mark.slow, pytest.mark.browser]

PAGES = ("/", "/home/1001", "/coupon/", "/overview/", "/home/404040404040404", f"/{'nowhere' * 20}")
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}
#: WCAG AA for text of a usual size.
LEAST_CONTRAST = 4.5
REASON = {
    "code": "failures",
    "text": "Many coupons were invalid at this location in the last minutes.",
    "contribution": 2,
}
#: The texts of a page that stand out from what is behind them by less than a contrast.
FAINT = """least => {
  const rgba = colour => { const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number); return [r, g, b, a] }
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a)]
  const light = colour => colour.map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0)
  const behind = element => {
    if (!element) return [255, 255, 255]
    const own = rgba(getComputedStyle(element).backgroundColor)
    return own[3] === 1 ? own.slice(0, 3) : over(own, behind(element.parentElement))
  }
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), faint = []
  while (walker.nextNode()) {
    const text = walker.currentNode, element = text.parentElement
    if (!text.data.trim() || ["SCRIPT", "NOSCRIPT"].includes(element.tagName) || !element.checkVisibility()) continue
    const style = getComputedStyle(element), [r, g, b, a] = rgba(element.closest("svg") ? style.fill : style.color)
    const back = behind(element), front = over([r, g, b, a * style.opacity], back)
    const [low, high] = [light(front), light(back)].sort((x, y) => x - y)
    if ((high + .05) / (low + .05) < least) faint.push(`${text.data.trim()}: ${front} on ${back}`)
  }
  return faint
}"""


@pytest.fixture
def fake() -> Fake:
    return SevenAttempts()


def score(n: int, value: float) -> Decision:
    """The score of the n-th day before now."""
    reasons = (GivenReason("acc_rate_fine", "Yesterday's acceptance rate was good.", -1.2),)
    model = {"name": "daily", "version": "20260131T120000-0a1b2c3d"}
    return Decision(
        decision_id=f"d{n}", decision="approve", score=value, reasons=reasons, features={}, model=model, policy={},
        as_of=NOW - timedelta(days=n),
    )  # fmt: skip


@pytest.fixture
def address(untrained: FlaskClient, tmp_path: Path) -> Iterator[str]:
    shelve("daily")
    for n in range(29, -1, -1):
        with scores.new_run(settings.root().scores_db, "daily") as add:
            add([(1001, score(n, 0.04 + 0.0003 * n).as_json())])
    words = ("allow", "review", "block")
    audit.append(
        tmp_path / "decisions",
        NOW,
        [record(n, location_code=f"L0{n % 5}", decision=words[n % 3], score=0.93, reasons=[REASON]) for n in range(20)],
    )
    with in_thread(make_server("127.0.0.1", 0, untrained.application)) as url:
        yield url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [PHONE, DESK], ids=["phone", "desk"])
def test_every_page_fits_its_screen_and_can_be_read(chromium: Browser, address: str, screen: dict, scheme: str):
    with browser.watched(chromium, viewport=screen, color_scheme=scheme) as page:
        for path in PAGES:
            page.goto(f"{address}{path}")
            if path == "/coupon/":
                expect(page.locator("#decisions tbody tr").first).to_be_visible()
            assert page.evaluate("document.documentElement.scrollWidth") <= screen["width"], path
            assert page.evaluate(FAINT, LEAST_CONTRAST) == [], path
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert (sum(map(int, background[4:-1].split(","))) < 3 * 64) == (scheme == "dark"), path
        page.goto(f"{address}/apidocs/")
        expect(page.locator(".opblock").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= screen["width"]


def test_a_chart_of_scores_has_a_range_of_its_own_and_dates(page: Page, address: str):
    page.set_viewport_size(DESK)  # type: ignore[arg-type]
    page.goto(f"{address}/home/1001")
    percents = page.locator("#sparkline text:not(.date)").all_text_contents()
    assert percents == ["4.0\u00a0%", "4.5\u00a0%", "5.0\u00a0%"]
    dates = page.locator("#sparkline text.date").all_text_contents()
    assert dates[0] == "2026-01-02"
    assert len(dates) >= 2
    points = [tuple(map(float, point.split(","))) for point in _points(page)]
    assert max(y for _, y in points) - min(y for _, y in points) > 60, "a change is seen"
    expect(page.locator("#span")).to_have_text(
        "30 batches, 2026-01-02 to 2026-01-31. Lowest 4.0 %, highest 4.9 %, newest 4.0 %."
    )


def _points(page: Page) -> list[str]:
    return (page.locator("#sparkline polyline").get_attribute("points") or "").split()


@pytest.mark.parametrize("values", [[0.5], [0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0], [0.00012, 0.00013], [0.999, 1.0]])
def test_a_chart_shows_every_score_within_its_frame(page: Page, address: str, values: list[float]):
    for n, value in enumerate(values):
        with scores.new_run(settings.root().scores_db, "daily") as add:
            add([(1002, score(n, value).as_json())])
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(f"{address}/home/1002")
    points = [tuple(map(float, point.split(","))) for point in _points(page)]
    assert len(points) == len(values)
    assert all(0 < x < PHONE["width"] and 0 < y < 160 for x, y in points)
    assert page.locator("#sparkline text").count() >= 3
