"""Slow, large and broken bodies, sent to the real server through a socket."""

import gzip
import http.client
import io
import json
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from http.client import HTTPResponse
from pathlib import Path

import pytest
from processes import WAIT_SECONDS, Child, environment, started
from servers import Server, answering

import bridge
import serve
from web import examples
from web.turns import LARGEST_REQUEST_BYTES, BridgedRequest

pytestmark = pytest.mark.slow

EVENTS = "/api/v1/events/coupon_attempts"
#: More than all threads of the server.
SLOW_CLIENTS = 2 * serve.THREADS + 8
HEAD = f"POST {EVENTS} HTTP/1.1\r\nHost: localhost\r\n"
HALF = f"{HEAD}Content-Length: 9\r\n\r\n{{".encode()
HALF_IN_CHUNKS = f"{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n".encode()


def serving(root: Path, body_seconds: float) -> Callable[[int], AbstractContextManager[Child]]:
    """Starts the service on an empty root. A body has so long to arrive."""
    code = f"import bridge; bridge.BODY_SECONDS = {body_seconds}; import app; app.main([])"
    return lambda port: started([sys.executable, "-c", code], env=environment(RISK_DATA=root, PORT=port))


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with answering(serving(tmp_path_factory.mktemp("patient"), bridge.BODY_SECONDS), "/overview/") as server:
        yield server


def connected(server: Server, stack: ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_SECONDS))


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    answer = HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def status(server: Server, body: bytes, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_SECONDS)
    connection.request("POST", EVENTS, body, headers)
    return connection.getresponse().status


def event() -> bytes:
    return examples.of_event("coupon_attempts").encode()


def test_more_slow_clients_than_threads_hold_nobody_up(patient: Server):
    with ExitStack() as stack:
        slow = [connected(patient, stack) for _ in range(SLOW_CLIENTS)]
        for connection in slow:
            connection.sendall(HALF)
        for _ in range(3):
            assert status(patient, event()) == 202
        for connection in slow:
            connection.sendall(b"        ")
            assert answer_of(connection)[0] == 400


def test_a_body_that_does_not_arrive_is_given_up_and_a_stop_ends_in_time(tmp_path: Path):
    """The connection is closed then: the rest of the body would be taken for a request."""
    with answering(serving(tmp_path, body_seconds=0.5), "/overview/") as server, ExitStack() as stack:
        for half in (HALF, HALF_IN_CHUNKS):
            connection = connected(server, stack)
            connection.sendall(half)
            number, text = answer_of(connection)
            assert (number, json.loads(text)["error"]["name"]) == (408, "too_slow")
            assert connection.recv(1) == b""
        assert status(server, event()) == 202
        for _ in range(SLOW_CLIENTS):
            connected(server, stack).sendall(HALF)
        for _ in range(3):
            connected(server, stack).sendall(b"GET / HTTP/1.1\r\nHo")
        server.child.send(signal.SIGTERM)
        server.child.ended(code=0)


def test_no_stop_has_to_wait_longer_for_a_slow_client_than_it_may():
    assert max(bridge.BODY_SECONDS, serve.HEAD_SECONDS) < serve.STOP_SECONDS


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_sends_too_much_gets_413(patient: Server, chunked: bool):
    """It gets the answer although it reads only after it has sent all."""
    body = event().ljust(LARGEST_REQUEST_BYTES + 1)
    head = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    with ExitStack() as stack:
        connection = connected(patient, stack)
        connection.sendall(f"{HEAD}{head}\r\n\r\n".encode() + sent)
        number, text = answer_of(connection)
        assert (number, json.loads(text)["error"]["name"]) == (413, "too_large")


def test_a_body_without_an_end_is_cut_off(patient: Server):
    with ExitStack() as stack:
        connection = connected(patient, stack)
        connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        piece = b"10000\r\n%s\r\n" % (b" " * 0x10000)

        def send_for_ever() -> None:
            try:
                while True:
                    connection.sendall(piece)
            except OSError:
                pass

        sender = threading.Thread(target=send_for_ever, daemon=True)
        sender.start()
        sender.join(WAIT_SECONDS)
        assert not sender.is_alive()


def test_a_client_that_asks_before_it_sends_too_much_is_told_not_to(patient: Server):
    with ExitStack() as stack:
        connection = connected(patient, stack)
        connection.sendall(f"{HEAD}Expect: 100-continue\r\nContent-Length: 9000000\r\n\r\n".encode())
        assert answer_of(connection)[0] == 413


def test_a_packed_body_is_not_unpacked(patient: Server):
    assert status(patient, gzip.compress(event()), **{"Content-Encoding": "gzip"}) == 400


def test_a_client_that_goes_in_the_middle_of_its_body_disturbs_nobody(patient: Server):
    for half in (HALF, HALF_IN_CHUNKS):
        with ExitStack() as stack:
            connected(patient, stack).sendall(half)
        assert status(patient, event()) == 202
    assert "Traceback" not in patient.child.output


def test_requests_at_once_get_their_own_answers(patient: Server):
    with ThreadPoolExecutor(24) as pool:
        bodies = [event() if i % 2 else b"[]" for i in range(200)]
        answers = list(pool.map(lambda body: status(patient, body), bodies))
    assert answers == [202 if i % 2 else 400 for i in range(200)]


def test_headers_arrive_as_wsgi_has_them(patient: Server):
    """A header with an underscore is another one than that with a dash, which WSGI could not tell."""
    with ExitStack() as stack:
        connection = connected(patient, stack)
        head = "GET /home/%C3%A9%2F HTTP/1.1\r\nHost: localhost\r\nX_Request_ID: a\r\nAccept: text/html\r\n\r\n"
        connection.sendall(head.encode())
        answer = HTTPResponse(connection)
        answer.begin()
        assert answer.headers["X-Request-ID"] != "a"
        assert answer.status == 404


@pytest.mark.parametrize(("length", "is_whole"), [("4", True), ("3", False), ("9000000", False), ("", False)])
def test_only_a_body_of_the_stated_length_is_read_without_a_guard(length: str, is_whole: bool):
    body = io.BytesIO(b"body")
    request = BridgedRequest({"REQUEST_METHOD": "POST", "wsgi.input": body, "CONTENT_LENGTH": length})
    assert (request.stream is body) == is_whole
