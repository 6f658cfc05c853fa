"""Bodies and headers as a socket brings them, to granian and to werkzeug's own server."""

import http.client
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from processes import WAIT_SECONDS, environment, started
from servers import answering, in_thread
from werkzeug.serving import make_server

import settings
from web import examples
from web.turns import LARGEST_REQUEST_BYTES

pytestmark = pytest.mark.slow

#: What a client sees that goes on sending after the answer.
CUT_OFF = 0
PIECE_BYTES = 50_000


@dataclass(frozen=True)
class Address:
    """A server of the service."""

    host: str

    def send(self, method: str, path: str, body: bytes = b"", *, chunked: bool = False, **headers: str) -> int:
        """The status of the answer, or CUT_OFF."""
        return self.answer(method, path, body, chunked=chunked, **headers)[0]

    def answer(
        self, method: str, path: str, body: bytes = b"", *, chunked: bool = False, **headers: str
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=WAIT_SECONDS)
        connection.putrequest(method, path, skip_host="Host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader(*(("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))))
        try:
            connection.endheaders()
            if chunked:
                for begin in range(0, len(body), PIECE_BYTES):
                    piece = body[begin : begin + PIECE_BYTES]
                    connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
            connection.send(b"0\r\n\r\n" if chunked else body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (BrokenPipeError, ConnectionResetError, http.client.RemoteDisconnected):
            return CUT_OFF, b""
        finally:
            connection.close()


@pytest.fixture(scope="module")
def granian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The service on an empty root, as `python app.py` runs it."""
    root = tmp_path_factory.mktemp("empty")
    command = [sys.executable, str(settings.PROJECT / "app.py")]
    with answering(lambda port: started(command, env=environment(RISK_DATA=root, PORT=port)), "/overview/") as server:
        yield Address(urlsplit(server.url).netloc)


@pytest.fixture
def werkzeug(untrained) -> Iterator[Address]:
    with in_thread(make_server("127.0.0.1", 0, untrained.application)) as url:
        yield Address(urlsplit(url).netloc)


@pytest.fixture(params=["granian", "werkzeug"])
def address(request: pytest.FixtureRequest) -> Address:
    return request.getfixturevalue(request.param)


def event() -> bytes:
    return examples.of_event("coupon_attempts").encode()


EVENTS = "/api/v1/events/coupon_attempts"


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_as_large_as_allowed_is_read_and_one_byte_more_is_not(address: Address, chunked: bool):
    body = event().ljust(LARGEST_REQUEST_BYTES)
    assert address.send("POST", EVENTS, event(), chunked=chunked) == 202
    assert address.send("POST", EVENTS, body, chunked=chunked) == 202
    assert address.send("POST", EVENTS, body + b" ", chunked=chunked) in (413, CUT_OFF)
    assert address.send("POST", EVENTS, b" " + body, chunked=chunked) in (413, CUT_OFF)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", EVENTS), ("POST", "/sign-up/"), ("POST", "/coupon-risk-decision/"), ("POST", "/api/v1/features/daily"),
     ("POST", "/api/v1/decisions/coupon"), ("GET", "/daily-risk-decision/1001/"), ("GET", "/"), ("PUT", "/nowhere")],
)  # fmt: skip
@pytest.mark.parametrize("chunked", [False, True])
def test_no_path_reads_a_larger_body(address: Address, method: str, path: str, chunked: bool):
    assert address.send(method, path, b" " * 3_000_000, chunked=chunked) in (413, CUT_OFF)


@pytest.mark.parametrize(
    "host", ["a" * 64, "a..b", f"{'x' * 300}.example", ".", "[::1", "a b", "<b>", "x:0", "x:99999", "xn--a", ""]
)
def test_a_wrong_host_is_no_failure_of_the_service(address: Address, host: str):
    for path in ("/", "/overview", "/coupon/", "/nowhere", "/apidocs/", "/static/style.css"):
        for accept in ("text/html", "application/json", "*/*"):
            status, text = address.answer("GET", path, Host=host, Accept=accept)
            assert status in (200, 308, 400, 404), (path, accept, text)
