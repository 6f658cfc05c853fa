"""The production server as it runs: real processes and sockets, on the small world."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import free_port

import serve
import settings

DRIVER = "/daily-risk-decision/1001/"


@dataclass(frozen=True)
class Running:
    port: int
    process: subprocess.Popen[str]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The JSON answer of status 200, on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, None if body is None else json.dumps(body))
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)

    def children(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def workers(self) -> set[int]:
        """The processes that listen: a worker that still loads does not. Fails where the server has ended."""
        assert self.process.poll() is None, "The server has ended"
        sockets = psutil.net_connections("tcp4")
        listening = {s.pid for s in sockets if s.status == psutil.CONN_LISTEN and s.laddr.port == self.port}
        return listening - {None}  # whose process is dying


def until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


@contextmanager
def running(world: Path, workers: int) -> Iterator[Running]:
    port = free_port()
    environment = {**os.environ, "RISK_DATA": str(world), "PORT": str(port), "WORKERS": str(workers)}
    command = [sys.executable, str(settings.PROJECT / "app.py"), "--production"]
    with subprocess.Popen(command, env=environment, cwd=world, text=True, start_new_session=True) as process:
        server = Running(port, process)
        try:
            yield server
        finally:
            process.kill()  # its workers follow it


@pytest.fixture(scope="module")
def two(world: Path) -> Iterator[Running]:
    with running(world, workers=2) as server:
        until(lambda: len(server.workers()) == 2)
        yield server


@pytest.fixture
def one(world: Path) -> Iterator[Running]:
    with running(world, workers=1) as server:
        until(server.workers)
        yield server


@contextmanager
def nobody_signs_up(world: Path) -> Iterator[None]:
    """Sign-ups that are asked for in here wait until it ends."""
    with (world / "sign-up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def somebody() -> dict[str, str]:
    number = uuid.uuid4().int
    ssn = f"{100 + number % 500}-{1 + number // 500 % 99:02}-{1 + number // 49_500 % 9999:04}"
    return {"state": "CA", "dob": "1990-05-17", "ssn": ssn, "dl": f"D{number % 10**12:012}"}


def test_the_same_numbers_sent_to_all_workers_at_once_are_new_only_once(two: Running, world: Path):
    person = somebody()
    with ThreadPoolExecutor(12) as pool:
        with nobody_signs_up(world):
            answers = [pool.submit(two.ask, "POST", "/sign-up/", person) for _ in range(12)]
            time.sleep(0.5)  # by now each worker has some of them
        decisions = [answer.result()["decision"] for answer in answers]
    seen = [decision["features"]["is_previously_seen_ssn"] for decision in decisions]
    assert sorted(seen) == [0] + [1] * 11
    moments = [decision["as_of"] for decision in decisions]
    assert min(moments) == moments[seen.index(0)]


def test_each_decision_of_each_worker_is_a_whole_line_of_the_log(two: Running, world: Path):
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda _: two.ask("GET", DRIVER), range(100)))
    lines = [line for file in (world / "decisions").iterdir() for line in file.read_text().splitlines()]
    logged = {record["decision_id"]: record for record in map(json.loads, lines)}
    for decision in given:
        assert decision.items() <= logged[decision["decision_id"]].items()


def test_a_worker_that_dies_is_replaced(two: Running):
    died, stays = two.workers()
    os.kill(died, signal.SIGKILL)
    until(lambda: len(two.workers() - {died}) == 2)
    assert stays in two.workers()


def test_clients_that_send_half_a_body_hold_nobody_up(two: Running):
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", two.port))) for _ in range(12)]
        for connection in slow:
            connection.sendall(b"POST /onboarding-risk-decision/ HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{")
        time.sleep(0.3)
        for _ in range(12):
            assert two.ask("GET", DRIVER)
        for connection in slow:
            connection.sendall(b"}")
            answer = HTTPResponse(connection)
            answer.begin()
            assert b"missing_field" in answer.read()


@pytest.mark.parametrize("stop", [os.kill, os.killpg], ids=["SIGTERM", "Ctrl-C"])
def test_a_request_that_has_begun_is_answered_before_the_server_stops(one: Running, world: Path, stop: Callable):
    """Ctrl-C reaches the parent and the workers alike. A client that stays connected and asks nothing is no request."""
    idle = HTTPConnection("127.0.0.1", one.port)
    idle.request("GET", "/")
    idle.getresponse().read()
    with ThreadPoolExecutor() as pool:
        with nobody_signs_up(world):
            answer = pool.submit(one.ask, "POST", "/sign-up/", somebody())
            time.sleep(0.5)
            stop(one.process.pid, signal.SIGTERM if stop is os.kill else signal.SIGINT)
            time.sleep(0.5)
            assert one.process.poll() is None
        assert answer.result()["decision"]["decision"] == "approve"
    assert one.process.wait(10) == 0


def test_a_worker_that_listens_does_not_outlive_its_parent(one: Running):
    (worker,) = one.workers()
    one.process.kill()
    until(lambda: not psutil.pid_exists(worker), seconds=10)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_still_loads_stops_with_its_parent(world: Path, stop: signal.Signals):
    with running(world, workers=1) as server:
        until(server.children)
        (worker,) = server.children()
        time.sleep(1)  # it imports now
        assert not server.workers()
        server.process.send_signal(stop)
        until(lambda: not psutil.pid_exists(worker), seconds=10)


@pytest.mark.parametrize("arguments", [[], ["--production"]], ids=["demo", "production"])
@pytest.mark.parametrize(
    ("environment", "complaint"),
    [
        (
            {"PORT": "taken"},
            r"Port \d+ of 127.0.0.1: Address already in use\. Set PORT to a free one, such as PORT=\d+",
        ),
        ({"HOST": "nowhere.invalid"}, r"HOST is 'nowhere.invalid': .*Set it to an address of this machine\."),
        ({"RISK_HASH_KEY": ""}, "RISK_HASH_KEY is empty. Set it to a secret"),
        ({"PORT": "x"}, "PORT is 'x'. Set it to a number"),
    ],
)
def test_what_cannot_be_served_is_said_before_anything_starts(arguments: list[str], environment: dict, complaint: str):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        said = subprocess.run(
            [sys.executable, str(settings.PROJECT / "app.py"), *arguments],
            env={**os.environ, **{k: taken if v == "taken" else v for k, v in environment.items()}},
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
    assert (said.returncode, said.stdout) == (1, "")
    assert re.match(complaint, said.stderr), said.stderr


def test_a_port_is_taken_from_the_moment_that_a_server_starts_and_not_only_once_it_answers():
    port = free_port()
    with serve.claim("127.0.0.1", port), pytest.raises(serve.AddressUnavailable, match="already in use"):
        serve.claim("127.0.0.1", port)


@pytest.mark.parametrize("said", ["0", "-1", "two", "1.5"])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, said: str):
    monkeypatch.setenv("WORKERS", said)
    with pytest.raises(SystemExit, match=f"WORKERS is '{said}'"):
        settings.workers()
