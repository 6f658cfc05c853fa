"""`python -m jobs simulate coupon` against a real service and a real stream job: an attack is blocked while it goes on,
and one can watch it."""

import json
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import coupon_root
import pytest
from conftest import free_port
from coupon_root import started
from flask.testing import FlaskClient
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from errors import ServiceFailed
from jobs.__main__ import parser
from jobs.simulate.caller import Caller
from jobs.simulate.coupon import Answer, summary

BLOCKED = re.compile(r"Blocked from attempt (\d+) on, ([\d.]+) s after the first\.")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("coupon")
    coupon_root.make(root)
    return root


@pytest.fixture(scope="module")
def url(root: Path) -> Iterator[str]:
    with coupon_root.service(root) as url, coupon_root.stream_job(root):
        yield url


def simulate(root: Path, url: str, *arguments: str) -> str:
    """What it prints until its end, which is a good one."""
    job = started(root, "simulate", "coupon", "--url", url, *arguments)
    said, _ = job.communicate(timeout=120)
    assert job.returncode == 0, said
    return said


def logged(folder: Path) -> list[dict]:
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def decisions(root: Path) -> list[dict]:
    return logged(root / "decisions")


def events(root: Path) -> list[dict]:
    return logged(root / "log" / "coupon_attempts")


# With the real parts


def test_an_attack_is_blocked_within_seconds_and_every_attempt_of_it_stays_an_event(root: Path, url: str):
    before = len(decisions(root)), len(events(root))
    said = simulate(root, url, "--attack", "--seed", "4")
    given, sent = decisions(root)[before[0] :], events(root)[before[1] :]
    found = BLOCKED.search(said)
    assert found, said
    assert 1 < int(found[1]) < 30
    assert float(found[2]) < 10
    words = [decision["decision"] for decision in given]
    assert words == [*words[: int(found[1]) - 1], *["block"] * (61 - int(found[1]))]
    assert f"60 attempts: {words.count('allow')} allowed, {words.count('review')} reviewed" in said
    assert [decision["entity"]["msg_id"] for decision in given] == [event["msg_id"] for event in sent]
    assert len({(event["location_code"], event["coupon_code"][:-4]) for event in sent}) == 1


def test_no_attempt_counts_in_its_own_decision_and_those_before_it_do(root: Path, url: str):
    before = len(decisions(root)), len(events(root))
    simulate(root, url, "--attack", "--attempts", "30", "--per-second", "10", "--seed", "11")
    given, sent = decisions(root)[before[0] :], events(root)[before[1] :]
    counts = [decision["features"]["prefix_attempts_10m"] for decision in given]
    assert counts[0] == 0
    assert all(count <= n for n, count in enumerate(counts))
    assert counts[-1] > 20
    assert all(decision["as_of"] < event["create_time"] for decision, event in zip(given, sent, strict=True))


def test_a_line_is_printed_where_the_answer_changes_and_nowhere_else(root: Path, url: str):
    before = len(decisions(root))
    said = simulate(root, url, "--attempts", "40", "--per-second", "40")
    words = [decision["decision"] for decision in decisions(root)[before:]]
    changes = [n for n, word in enumerate(words) if n == 0 or word != words[n - 1]]
    *lines, last = said.splitlines()
    assert [(int(line.split()[0]), words[int(line.split()[0]) - 1] in line) for line in lines] == [
        (n + 1, True) for n in changes
    ]
    assert last.startswith("40 attempts: ")


def test_the_same_seed_types_the_same_coupons_again_and_they_count_again(root: Path, url: str):
    before = len(events(root))
    for _ in range(2):
        simulate(root, url, "--attack", "--attempts", "3", "--per-second", "30", "--seed", "5")
    sent = events(root)[before:]
    assert [event["coupon_code"] for event in sent[:3]] == [event["coupon_code"] for event in sent[3:]]
    assert len({event["msg_id"] for event in sent}) == 6


def test_ctrl_c_ends_it_with_the_summary(root: Path, url: str):
    job = started(root, "simulate", "coupon", "--url", url)
    assert job.stdout
    first = job.stdout.readline()
    job.send_signal(signal.SIGINT)
    said, _ = job.communicate(timeout=20)
    assert job.returncode == 0, first + said
    assert re.fullmatch(r"\d+ attempts?: \d+ allowed, \d+ reviewed, \d+ blocked\.", said.splitlines()[-1])
    assert "Traceback" not in said


@pytest.mark.browser
def test_one_who_watches_sees_the_bar_rise_and_the_attack_blocked_without_a_reload(page: Page, root: Path, url: str):
    page.goto(f"{url}/coupon/")
    page.evaluate("window.isTheSame = true")
    attack = started(root, "simulate", "coupon", "--attack", "--url", url, "--seed", "14")
    assert attack.stdout
    where, _, code = re.findall(r"L\d+|d\d+|[\d-]{19}", attack.stdout.readline())
    decided = page.locator("#decisions tbody tr", has_text=code[:-4] + "••••").first
    attempts, invalid = (page.locator(f"#locations tr[data-location={where}] td.number").nth(n) for n in (0, 1))
    bar = page.locator(f"#locations tr[data-location={where}] .failures")
    expect(decided.locator(".badge")).to_have_text("block")
    seen, wide = int(invalid.inner_text()), bar.evaluate("bar => parseFloat(bar.style.width)")
    said, _ = attack.communicate(timeout=60)
    blocked = BLOCKED.search(said)
    assert blocked, said
    assert float(blocked[2]) < 10
    since = page.request.get(f"{url}/coupon/live").json()["since"]
    here = [event for event in events(root) if event["location_code"] == where and event["create_time"] >= since]
    expect(attempts).to_have_text(str(len(here)))
    assert int(invalid.inner_text()) > seen + 10
    assert bar.evaluate("bar => parseFloat(bar.style.width)") > wide
    assert page.evaluate("window.isTheSame")
    assert not [event for event in here if event["coupon_code"] in page.content()]


# What goes wrong


@contextmanager
def serving(server: HTTPServer) -> Iterator[str]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def refused(url: str) -> str:
    job = started(Path("/nowhere"), "simulate", "coupon", "--url", url)
    said, _ = job.communicate(timeout=60)
    assert job.returncode == 1, said
    return said.strip()


def test_a_service_that_is_not_there_is_told_with_the_command_that_starts_it():
    at = f"http://127.0.0.1:{free_port()}"
    assert refused(at) == (
        f"service_failed: {at} does not answer (ConnectionError). Start it: make serve, or name another by --url."
    )


def test_a_service_that_is_not_ready_says_itself_what_to_do(untrained: FlaskClient):
    with serving(make_server("127.0.0.1", 0, untrained.application)) as at:
        assert refused(at) == (
            f"service_failed: {at} answered 503 model_not_trained: The model 'coupon' is not trained yet. "
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

    with serving(HTTPServer(("127.0.0.1", 0), Other)) as at, pytest.raises(ServiceFailed) as raised:
        Caller(at).decide("coupon", {})
    said = f"{at}/api/v1/decisions/coupon answered {status}, and not as the risk service does. Name it by --url."
    assert raised.value.message == said


@pytest.mark.parametrize(
    "wrong",
    ["--attempts=0", "--attempts=10001", "--attempts=many", "--per-second=0", "--per-second=nan", "--per-second=1e9"],
)
def test_a_wrong_number_is_refused_before_anything_is_asked(wrong: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        parser().parse_args(["simulate", "coupon", wrong])
    assert "Give" in capsys.readouterr().err


# What the summary says


def answers(words: str) -> list[Answer]:
    """One a second, from the first letters."""
    return [Answer({"a": "allow", "r": "review", "b": "block"}[w], 100.0 + n) for n, w in enumerate(words)]


@pytest.mark.parametrize(
    ("words", "is_attack", "said"),
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
def test_the_summary_says_how_many_and_from_when_on(words: str, is_attack: bool, said: str):
    assert summary(answers(words), is_attack) == said
