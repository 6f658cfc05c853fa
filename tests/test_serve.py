"""The production server as it runs: real processes and sockets, on the small world."""

import fcntl
import json
import os
import re
import signal
import socket
import sys
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import psutil
import pytest
from processes import WAIT_SECONDS, Child, environment, is_gone, run, wait_until
from production import APP, READY, SECRETS, admin_key, own_key_root, production
from servers import answering, free_port

import serve
import settings
from errors import BadSetting

pytestmark = pytest.mark.slow

DRIVER = "/daily-risk-decision/1001/"


@dataclass(frozen=True)
class Production:
    """The server and what it does."""

    port: int
    parent: Child
    key: str

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The JSON answer of status 200, on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=WAIT_SECONDS)
        connection.request(
            method, path, None if body is None else json.dumps(body), {"Authorization": f"Bearer {self.key}"}
        )
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return json.loads(text)

    def children(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.parent.pid).children()}

    def workers(self) -> set[int]:
        """The processes that listen: a worker that still loads does not. Fails where the server has ended."""
        assert self.parent.is_running(), self.parent.output
        return self._holders(psutil.CONN_LISTEN)

    def clients(self) -> int:
        """How many connections the workers have accepted."""
        return sum(s.status == psutil.CONN_ESTABLISHED for s in self._sockets())

    def _holders(self, status: str) -> set[int]:
        return {s.pid for s in self._sockets() if s.status == status}

    def _sockets(self) -> list[Any]:
        """The sockets at the server's side; without those of processes that are just dying."""
        return [s for s in psutil.net_connections("tcp4") if s.pid and s.laddr.port == self.port]


@pytest.fixture(scope="module")
def root(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world's data under a hash key that is not the demo's."""
    return own_key_root(world, tmp_path_factory.mktemp("production"))


@pytest.fixture(scope="module")
def key(root: Path) -> str:
    return admin_key(root)


@pytest.fixture(scope="module")
def two(root: Path, key: str) -> Iterator[Production]:
    with answering(production(root, workers=2), READY) as server:
        both = Production(server.port, server.child, key)
        wait_until(both.workers, lambda workers: len(workers) == 2, what="two workers listen", child=server.child)
        yield both


@pytest.fixture
def single(root: Path, key: str) -> Iterator[Production]:
    with answering(production(root, workers=1), READY) as server:
        yield Production(server.port, server.child, key)


@contextmanager
def nobody_signs_up(root: Path) -> Iterator[None]:
    """Sign-ups that are sent in here wait until it ends."""
    with (root / "sign-up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def somebody() -> dict[str, str]:
    number = uuid.uuid4().int
    ssn = f"{100 + number % 500}-{1 + number // 500 % 99:02}-{1 + number // 49_500 % 9999:04}"
    return {"state": "CA", "dob": "1990-05-17", "ssn": ssn, "dl": f"D{number % 10**12:012}"}


def waiting_for_a_lock() -> set[int]:
    """The processes that wait for a lock on a file."""
    waiting = [line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return {int(words[words.index("FLOCK") + 3]) for words in waiting if "FLOCK" in words}


def test_the_same_numbers_sent_to_all_workers_at_once_are_new_only_once(two: Production, root: Path):
    person, answers = somebody(), list[Future[Any]]()

    def waiting_workers() -> set[int]:
        """Send the numbers once more, and see which workers have some."""
        answers.append(pool.submit(two.ask, "POST", "/sign-up/", person))
        return waiting_for_a_lock() & two.workers()

    with ThreadPoolExecutor(64) as pool:
        with nobody_signs_up(root):
            wait_until(waiting_workers, lambda pids: pids == two.workers(), what="each worker has some of them")
        decisions = [answer.result()["decision"] for answer in answers]
    seen = [decision["features"]["is_previously_seen_ssn"] for decision in decisions]
    assert sorted(seen) == [0] + [1] * (len(answers) - 1)
    moments = [decision["as_of"] for decision in decisions]
    assert min(moments) == moments[seen.index(0)]


def test_each_decision_of_each_worker_is_a_whole_line_of_the_log(two: Production, root: Path):
    with ThreadPoolExecutor(8) as pool:
        decisions = list(pool.map(lambda _: two.ask("GET", DRIVER), range(100)))
    lines = [line for file in (root / "decisions").iterdir() for line in file.read_text().splitlines()]
    logged = {record["decision_id"]: record for record in map(json.loads, lines)}
    for decision in decisions:
        assert decision.items() <= logged[decision["decision_id"]].items()


def test_a_worker_that_dies_is_replaced(two: Production):
    victim, other = two.workers()
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: two.workers() - {victim}, lambda workers: len(workers) == 2, what="two workers listen again")
    assert other in two.workers()


def test_clients_that_send_half_a_body_hold_nobody_up(two: Production):
    half = b"POST /onboarding-risk-decision/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
    half += f"Authorization: Bearer {two.key}\r\n\r\n{{".encode()
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", two.port))) for _ in range(40)]
        for connection in slow:
            connection.sendall(half)
        wait_until(two.clients, lambda count: count >= len(slow), what="the workers have accepted all slow clients")
        for _ in range(12):
            assert two.ask("GET", DRIVER)["decision"]
        for connection in slow:
            connection.sendall(b"}")
            answer = HTTPResponse(connection)
            answer.begin()
            assert b"missing_field" in answer.read()


@pytest.mark.parametrize("stop", [os.kill, os.killpg], ids=["SIGTERM", "Ctrl-C"])
def test_a_request_in_work_is_answered_before_the_server_stops(single: Production, root: Path, stop: Callable):
    """Ctrl-C reaches parent and workers alike. A client that stays connected and sends nothing is no request."""
    idle = HTTPConnection("127.0.0.1", single.port)
    idle.request("GET", READY)
    idle.getresponse().read()
    with ThreadPoolExecutor() as pool:
        with nobody_signs_up(root):
            answer = pool.submit(single.ask, "POST", "/sign-up/", somebody())
            wait_until(lambda: waiting_for_a_lock() & single.workers(), what="the worker has the request")
            stop(single.parent.pid, signal.SIGTERM if stop is os.kill else signal.SIGINT)
            wait_until(lambda: not single.workers(), what="the server takes no new requests")
        assert answer.result()["decision"]["decision"] == "approve"
    single.parent.ended(code=0)


def test_a_worker_that_listens_does_not_outlive_its_parent(single: Production):
    (worker,) = single.workers()
    single.parent.send(signal.SIGKILL)
    wait_until(lambda: is_gone(worker), what="the worker has ended")


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_still_loads_stops_with_its_parent(root: Path, stop: signal.Signals):
    port = free_port()
    with production(root, workers=1)(port) as parent:
        server = Production(port, parent, "")
        (worker,) = wait_until(server.children, what="the server has a worker", child=parent)
        wait_until(lambda: loads(worker), what="the worker loads the application", child=parent)
        os.kill(worker, signal.SIGSTOP)  # so that it still loads when its parent stops
        assert not server.workers()
        parent.send(stop)
        os.kill(worker, signal.SIGCONT)
        wait_until(lambda: is_gone(worker), what="the worker has ended")


def loads(worker: int) -> bool:
    """Whether it has begun to import what its parent does without."""
    return any("/numpy/" in library.path for library in psutil.Process(worker).memory_maps())


@pytest.mark.parametrize("arguments", [[], ["--production"]], ids=["demo", "production"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"PORT": "taken"},
            r"Port \d+ of 127.0.0.1: Address already in use\. Set PORT to a free port, such as PORT=\d+",
        ),
        ({"HOST": "nowhere.invalid"}, r"HOST is 'nowhere.invalid': .*Set it to an address of this machine\."),
        ({"RISK_HASH_KEY": ""}, "RISK_HASH_KEY is empty. Set it to a secret"),
        ({"PORT": "x"}, "PORT is 'x'. Set it to a number"),
    ],
)
def test_a_wrong_setting_is_named_before_anything_starts(
    tmp_path: Path, arguments: list[str], changes: dict[str, str], message: str
):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        changes = {name: taken if value == "taken" else value for name, value in changes.items()}
        ended = run([sys.executable, APP, *arguments], code=1, env=environment(RISK_DATA=tmp_path, **SECRETS | changes))
    assert ended.stdout == ""
    assert re.match(f"bad_setting: {message}", ended.stderr), ended.stderr


def test_a_server_takes_its_port_before_it_answers():
    port = free_port()
    with serve.claim("127.0.0.1", port), pytest.raises(BadSetting, match="already in use"):
        serve.claim("127.0.0.1", port)


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5"])
def test_a_wrong_number_of_workers_is_refused(monkeypatch: pytest.MonkeyPatch, number: str):
    monkeypatch.setenv("WORKERS", number)
    with pytest.raises(BadSetting, match=f"WORKERS is '{number}'"):
        settings.workers()
