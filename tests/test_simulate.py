"""`python -m jobs simulate coupon` against a real service and job: an attack is blocked while somebody watches."""

import json
import re
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import coupon_root
import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Page, expect
from processes import jobs, started_job, wait_until
from servers import in_thread, refusing_port
from werkzeug.serving import make_server

from errors import ServiceFailed
from jobs.commands import jobs as command
from jobs.simulate.caller import Caller
from jobs.simulate.coupon import Answer, summary

pytestmark = pytest.mark.slow

BLOCKED = re.compile(r"Blocked from attempt (\d+) on, [\d.]+ s after the first\.")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coupon")
    coupon_root.make(root)
    return root


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    """A service and a stream job that have both worked once: what they load then takes its time."""
    with coupon_root.service(root) as url, coupon_root.stream_job(root):
        simulate(root, url, "--attempts", "1")
        wait_until_counted(url, events(root)[0], 1)
        yield url


def simulate(root: Path, url: str, *arguments: str) -> str:
    """What it prints until its end, which is a good one."""
    return jobs(root, "simulate", "coupon", "--url", url, *arguments).output


def logged(folder: Path) -> list[dict]:
    """The whole lines of a log that another process may be writing."""
    texts = [file.read_text() for file in sorted(folder.glob("*.jsonl"))]
    return [json.loads(line) for text in texts for line in text[: text.rfind("\n") + 1].splitlines()]


def decisions(root: Path) -> list[dict]:
    return logged(root / "decisions")


def events(root: Path) -> list[dict]:
    return logged(root / "log" / "coupon_attempts")


def wait_until_counted(url: str, event: dict, attempts: int) -> None:
    """Wait until the features of an event's prefix count so many attempts."""
    entity = {name: event[name] for name in ("device_id", "location_code")}
    entity |= {"coupon_prefix": event["coupon_code"][:15]}
    wait_until(
        lambda: Caller(url).vectors("coupon", [entity])["results"][0]["features"]["prefix_attempts_10m"],
        lambda count: count == attempts,
        what=f"{attempts} attempts count",
    )


# With the real parts


def test_an_attack_is_blocked_while_it_goes_on_and_stays_in_the_log(root: Path, url: str):
    before = len(decisions(root)), len(events(root))
    printed = simulate(root, url, "--attack", "--seed", "4")
    answers, sent = decisions(root)[before[0] :], events(root)[before[1] :]
    words = [answer["decision"] for answer in answers]
    blocked = BLOCKED.search(printed)
    assert blocked, printed
    first = words.index("block")
    assert int(blocked[1]) == first + 1 > 1
    assert words[first:] == ["block"] * (60 - first)
    assert f"60 attempts: {words.count('allow')} allowed, {words.count('review')} reviewed" in printed
    assert [answer["entity"]["msg_id"] for answer in answers] == [event["msg_id"] for event in sent]
    assert len({(event["location_code"], event["coupon_code"][:15]) for event in sent}) == 1


def test_an_attempt_counts_in_later_decisions_and_not_in_its_own(root: Path, url: str):
    before = len(decisions(root)), len(events(root))
    for _ in range(2):
        simulate(root, url, "--attack", "--attempts", "20", "--per-second", "50", "--seed", "11")
        wait_until_counted(url, events(root)[-1], len(events(root)) - before[1])
    answers, sent = decisions(root)[before[0] :], events(root)[before[1] :]
    counts = [answer["features"]["prefix_attempts_10m"] for answer in answers]
    assert (len(counts), counts[0], counts[20]) == (40, 0, 20)
    assert all(count <= n for n, count in enumerate(counts))
    assert all(answer["as_of"] < event["create_time"] for answer, event in zip(answers, sent, strict=True))


def test_a_line_is_printed_where_the_answer_changes_and_nowhere_else(root: Path, url: str):
    before = len(decisions(root))
    printed = simulate(root, url, "--attempts", "40", "--per-second", "40")
    words = [decision["decision"] for decision in decisions(root)[before:]]
    changes = [n for n, word in enumerate(words) if n == 0 or word != words[n - 1]]
    *lines, last = printed.splitlines()
    assert [int(line.split()[0]) for line in lines] == [n + 1 for n in changes]
    assert all(words[n] in line for n, line in zip(changes, lines, strict=True))
    assert last.startswith("40 attempts: ")


def test_the_same_seed_types_the_same_coupons_and_they_count_again(root: Path, url: str):
    before = len(events(root))
    for _ in range(2):
        simulate(root, url, "--attack", "--attempts", "3", "--per-second", "30", "--seed", "5")
    sent = events(root)[before:]
    assert [event["coupon_code"] for event in sent[:3]] == [event["coupon_code"] for event in sent[3:]]
    assert len({event["msg_id"] for event in sent}) == 6
    wait_until_counted(url, sent[0], 6)


def test_ctrl_c_ends_it_with_the_summary(root: Path, url: str):
    with started_job(root, "simulate", "coupon", "--url", url) as job:
        wait_until(lambda: "\n" in job.stdout, what="the first answer is printed", child=job)
        job.send(signal.SIGINT)
        ended = job.ended()
    assert re.fullmatch(r"\d+ attempts?: \d+ allowed, \d+ reviewed, \d+ blocked\.", ended.stdout.splitlines()[-1])
    assert "Traceback" not in ended.output


@pytest.mark.browser
def test_the_page_shows_an_attack_and_that_it_is_blocked_without_a_reload(page: Page, root: Path, url: str):
    attack = ("--attack", "--seed", "14", "--per-second", "20", "--attempts", "20")
    page.goto(f"{url}/coupon/")
    page.evaluate("window.isTheSame = true")
    before = len(events(root))
    simulate(root, url, *attack)
    first = events(root)[before]
    where, code = first["location_code"], first["coupon_code"]
    wait_until_counted(url, first, 20)
    attempts, invalid = (page.locator(f"#locations tr[data-location={where}] td.number").nth(n) for n in (0, 1))
    bar = page.locator(f"#locations tr[data-location={where}] .failures")

    def events_of_location() -> list[dict]:
        since = page.request.get(f"{url}/coupon/live").json()["since"]
        return [event for event in events(root) if event["location_code"] == where and event["create_time"] >= since]

    expect(attempts).to_have_text(str(len(events_of_location())))
    some, narrow = int(invalid.inner_text()), bar.evaluate("bar => parseFloat(bar.style.width)")
    printed = simulate(root, url, *attack)
    assert "Blocked from attempt 1 on" in printed
    newest = page.locator("#decisions tbody tr", has_text=code[:15] + "••••").first
    expect(newest.locator(".badge")).to_have_text("block")
    expect(attempts).to_have_text(str(len(events_of_location())))
    assert int(invalid.inner_text()) > some + 15
    assert bar.evaluate("bar => parseFloat(bar.style.width)") > narrow
    assert page.evaluate("window.isTheSame")
    assert not [event for event in events_of_location() if event["coupon_code"] in page.content()]


# What goes wrong


def refusal(url: str) -> str:
    return jobs(Path("/nowhere"), "simulate", "coupon", "--url", url, code=1).output.strip()


def test_a_service_that_does_not_answer_is_named_with_the_command_to_start():
    with refusing_port() as port:
        url = f"http://127.0.0.1:{port}"
        assert refusal(url) == (
            f"service_failed: {url} does not answer (ConnectionError). Start it: make serve, or name another by --url."
        )


def test_a_service_that_is_not_ready_says_what_to_do(untrained: FlaskClient):
    with in_thread(make_server("127.0.0.1", 0, untrained.application)) as url:
        assert refusal(url) == (
            f"service_failed: {url} answered 503 model_not_trained: The model 'coupon' is not trained yet. "
            "Run: python -m jobs train coupon"
        )


@pytest.mark.parametrize("body", [b"<h1>Hello</h1>", b"[]", b'{"error": "no"}', b"7"])
@pytest.mark.parametrize("status", [200, 404])
def test_another_server_is_not_taken_for_the_service(body: bytes, status: int):
    class Other(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with in_thread(HTTPServer(("127.0.0.1", 0), Other)) as url, pytest.raises(ServiceFailed) as raised:
        Caller(url).decide("coupon", {})
    message = f"{url}/api/v1/decisions/coupon answered {status}, but not as the risk service does. "
    assert raised.value.message == f"{message}Name the service by --url."


@pytest.mark.parametrize(
    "wrong",
    ["--attempts=0", "--attempts=10001", "--attempts=many", "--per-second=0", "--per-second=nan", "--per-second=1e9"],
)
def test_a_wrong_number_is_refused_before_anything_is_sent(wrong: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        command(["simulate", "coupon", wrong])
    assert "Give" in capsys.readouterr().err


# What the summary says


def answers(words: str) -> list[Answer]:
    """One a second, from the first letters."""
    return [Answer({"a": "allow", "r": "review", "b": "block"}[w], 100.0 + n) for n, w in enumerate(words)]


@pytest.mark.parametrize(
    ("words", "is_attack", "text"),
    [
        ("aarbb", False, "5 attempts: 2 allowed, 1 reviewed, 2 blocked."),
        ("aarbb", True, "5 attempts: 2 allowed, 1 reviewed, 2 blocked.\n"
         "Blocked from attempt 4 on, 3.0 s after the first."),
        ("abrab", True, "5 attempts: 2 allowed, 1 reviewed, 2 blocked.\n"
         "Blocked from attempt 2 on, but for 2 of them, 1.0 s after the first."),
        ("ar", True, "2 attempts: 1 allowed, 1 reviewed, 0 blocked.\n"
         "Never blocked. Without a stream job no attempt counts: python -m jobs stream coupon"),
    ],
)  # fmt: skip
def test_the_summary_says_how_many_and_since_when(words: str, is_attack: bool, text: str):
    assert summary(answers(words), is_attack) == text
