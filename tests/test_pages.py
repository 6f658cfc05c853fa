"""The pages in a real Chromium, which must not load anything from another host. Without a browser the tests are
skipped, except in CI."""

import re
import uuid
from pathlib import Path

import browser
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from processes import jobs

pytestmark = [pytest.mark.slow, pytest.mark.browser]

RAISES, LOWERS = re.compile(r"^\+\d+\.\d\d$"), re.compile(r"^−\d+\.\d\d$")


@pytest.fixture
def sign_up(page: Page, served: str) -> Page:
    page.goto(f"{served}/")
    return page


def somebody(**known: str) -> dict[str, str]:
    """An adult from an open state, another person at every call."""
    number = uuid.uuid4().int
    ssn = f"{100 + number % 500}-{1 + number // 500 % 99:02}-{1 + number // 49_500 % 9999:04}"
    return {"dob": "1990-05-17", "ssn": ssn, "dl": f"D{number % 10**12:012}", "state": "CA"} | known


def apply(page: Page, applicant: dict[str, str]) -> Locator:
    """Fill in the form and send it. Returns the card of the answer."""
    for field in ("dob", "ssn", "dl"):
        page.locator(f"[name={field}]").fill(applicant[field])
    page.get_by_label("State").select_option(applicant["state"])
    with page.expect_response(re.compile("/sign-up/")):
        page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("button", name="Apply")).to_be_enabled()
    return page.locator("#answer article")


def shown_reasons(card: Locator) -> list[tuple[str | None, str]]:
    """(code, contribution) from top to bottom."""
    return [
        (li.get_attribute("data-code"), li.locator(".contribution").inner_text()) for li in card.locator("li").all()
    ]


def decision_id(page: Page) -> Locator:
    return page.locator('#today dt:text-is("Decision") + dd')


def points(page: Page) -> int:
    return len((page.locator("#sparkline polyline").get_attribute("points") or "").split())


# Signing up


def test_an_approved_applicant_sees_reasons_and_goes_on_to_a_home_page(sign_up: Page):
    card = apply(sign_up, somebody())
    expect(card.locator(".outcome")).to_have_text("Approved")
    expect(card).to_contain_text(re.compile(r"Risk \d+\.\d %"))
    expect(card.locator("[data-code=ssn_not_seen_before]")).to_contain_text("The social security number is new to us.")
    expect(card.locator("[data-code=dl_not_seen_before]")).to_contain_text("The driving licence is new to us.")
    assert all(LOWERS.match(contribution) for _, contribution in shown_reasons(card))

    sign_up.get_by_role("link", name="Go on to your home page").click()
    expect(sign_up).to_have_url(re.compile(r"/home/\d+$"))
    expect(sign_up.get_by_role("heading", level=1)).to_have_text(f"Driver {sign_up.url.rsplit('/', 1)[1]}")
    expect(sign_up.locator("#today")).to_have_text("No score yet. Your first one comes with the next daily batch.")
    expect(sign_up.locator("#span")).to_have_text("None yet.")
    expect(sign_up.locator("#sparkline polyline")).to_have_count(0)


def test_the_page_shows_the_decision_that_the_service_took(sign_up: Page):
    with sign_up.expect_response(re.compile("/sign-up/")) as response:
        card = apply(sign_up, somebody())
    taken = response.value.json()["decision"]
    expect(card).to_contain_text(f"Risk {100 * taken['score']:.1f} %")
    expect(card.locator("dd")).to_have_text(
        [
            taken["decision_id"],
            taken["as_of"][:19].replace("T", " ") + " UTC",
            f"{taken['model']['name']} {taken['model']['version']}",
            taken["policy"]["version"],
        ]
    )
    assert taken["reasons"]
    signed = [(reason["code"], f"{reason['contribution']:+.2f}".replace("-", "−")) for reason in taken["reasons"]]
    assert shown_reasons(card) == signed
    assert card.locator("li > span:first-child").all_inner_texts() == [reason["text"] for reason in taken["reasons"]]


def test_the_same_ssn_and_licence_are_declined_the_second_time(sign_up: Page):
    person = somebody()
    expect(apply(sign_up, person).locator(".outcome")).to_have_text("Approved")
    sign_up.reload()
    card = apply(sign_up, person)
    expect(card.locator(".outcome")).to_have_text("Declined")
    seen = {
        "ssn_seen_before": "The social security number was seen on another driver.",
        "dl_seen_before": "The driving licence was seen on another driver.",
    }
    for code, text in seen.items():
        expect(card.locator(f"[data-code={code}] > span").first).to_have_text(text)
        expect(card.locator(f"[data-code={code}] .contribution")).to_have_text(RAISES)
    expect(sign_up.locator("#go-on")).to_have_count(0)


def test_an_applicant_from_a_closed_state_waits_for_a_person(sign_up: Page):
    card = apply(sign_up, somebody(state="MI"))
    expect(card.locator(".outcome")).to_have_text("A person will look at it")
    first = card.locator("li").first
    expect(first).to_have_attribute("data-code", "state_not_enabled")
    expect(first).to_contain_text("We have not opened in this state yet. A person will look at the application.")
    expect(first.locator(".contribution")).to_have_text("±0.00")
    expect(sign_up.locator("#go-on")).to_have_count(0)


def test_an_invalid_ssn_is_marked_not_repeated_and_can_be_corrected(sign_up: Page):
    field = sign_up.get_by_label("Social security number")
    card = apply(sign_up, somebody(ssn="666-12-3457"))
    expect(card).to_contain_text("ssn does not exist: none begins with 000, 666 or 900 to 999. Check the number.")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    assert not re.search(r"666\W?12|3457", sign_up.locator("body").inner_text())
    expect(sign_up.locator("[aria-invalid]")).to_have_count(1)

    expect(apply(sign_up, somebody()).locator(".outcome")).to_have_text("Approved")
    expect(sign_up.locator("[aria-invalid]")).to_have_count(0)


def test_a_state_that_was_not_chosen_is_named(sign_up: Page):
    card = apply(sign_up, somebody(state=""))
    expect(card).to_contain_text("state is empty. Write the two letters of a US state, such as CA.")
    expect(sign_up.get_by_label("State")).to_have_attribute("aria-invalid", "true")


def test_typed_html_comes_back_as_text(sign_up: Page):
    card = apply(sign_up, somebody(dob="<img src=x>"))
    expect(card).to_contain_text("<img src=x>")
    expect(card.locator("img")).to_have_count(0)


def test_no_ssn_is_in_a_url(sign_up: Page):
    urls: list[str] = []
    sign_up.on("request", lambda request: urls.append(request.url))
    person = somebody()
    apply(sign_up, person)
    assert urls
    assert not [url for url in [*urls, sign_up.url] if person["ssn"] in url or person["dl"] in url]


def test_no_ssn_is_in_a_url_even_without_scripts(chromium: Browser, served: str):
    with browser.watched(chromium, java_script_enabled=False) as page:
        page.goto(f"{served}/")
        person = somebody()
        page.locator("[name=ssn]").fill(person["ssn"])
        with page.expect_request("**/sign-up/") as request:
            page.get_by_role("button", name="Apply").click()
        assert request.value.method == "POST"
        assert person["ssn"] in (request.value.post_data or "")
        assert person["ssn"] not in request.value.url


# A driver's home


def test_a_home_page_shows_a_new_batch_score_without_a_reload(page: Page, served: str, world: Path):
    page.goto(f"{served}/home/1001")
    before, batches = decision_id(page).inner_text(), points(page)
    assert batches > 1
    expect(page.locator("#span")).to_have_text(re.compile(rf"^{batches} batches"))
    page.evaluate("window.isSamePage = true")

    jobs(world, "score", "daily")

    expect(decision_id(page)).not_to_have_text(before)
    expect(page.locator("#span")).to_have_text(re.compile(rf"^{batches + 1} batches"))
    assert points(page) == batches + 1
    assert page.evaluate("window.isSamePage") is True
    newest = page.request.get(f"{served}/daily-batch-scores/1001/").json()["decision"]
    expect(decision_id(page)).to_have_text(newest["decision_id"])
    assert [code for code, _ in shown_reasons(page.locator("#today"))] == [r["code"] for r in newest["reasons"]]


def test_the_first_score_of_a_new_driver_comes_with_the_next_daily_batch(sign_up: Page, world: Path):
    apply(sign_up, somebody())
    sign_up.locator("#go-on").click()
    expect(sign_up.locator("#today")).to_contain_text("No score yet")

    jobs(world, "score", "daily")

    expect(sign_up.locator("#today .outcome")).to_be_visible()
    expect(sign_up.locator("#span")).to_have_text(re.compile(r"^1 batch,"))


def test_a_home_page_that_cannot_refresh_says_so_and_recovers(page: Page, served: str):
    page.clock.install()
    page.goto(f"{served}/home/1001")
    before, problem = decision_id(page).inner_text(), page.locator("#problem")
    page.route("**/daily-batch-scores/**", lambda route: route.abort())
    page.clock.fast_forward("01:00")
    expect(problem).to_be_visible()
    expect(problem).to_contain_text("Not refreshed")
    expect(decision_id(page)).to_have_text(before)
    page.unroute("**/daily-batch-scores/**")
    page.clock.fast_forward("01:00")
    expect(problem).to_be_hidden()


def test_an_unknown_driver_gets_a_404_page_that_says_what_to_do(page: Page, served: str):
    response = page.goto(f"{served}/home/4040404")
    assert response
    assert response.status == 404
    expect(page.locator("main")).to_contain_text(
        "driver_id 4040404 is not known. Check it, or wait for the next batch."
    )
    page.get_by_role("link", name="Back to the start").click()
    expect(page.get_by_role("button", name="Apply")).to_be_visible()
