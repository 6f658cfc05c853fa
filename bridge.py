"""The bridge: takes requests from granian, reads their bodies without a thread, and calls the WSGI application.

A client that sends slowly costs memory for its body, and no thread. A body has to be here in `BODY_SECONDS`.

The event loop's thread computes the answers, one after the other. Those that have to wait until the disk has something
are sent once nobody else is to be computed, so they wait for the disk together. A request that may wait for anything
else is computed by one of many threads."""

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from queue import SimpleQueue
from typing import Any, Protocol

from granian.rsgi import HTTPProtocol, ProtocolClosed, Scope

logger = logging.getLogger(__name__)

#: A body that is not whole after this time gets status 408. Shorter than a stop of the server takes.
BODY_SECONDS = 20.0
#: As much of a body that is too large is read and thrown away: most clients read the answer only after they have sent.
DRAINED_BYTES = 8 * 1024 * 1024
#: The key of a WSGI environment that is there if the body did not come in time.
LATE = "bridge.body_is_late"
#: The key of a `Later`, where the bridge can wait for the application.
LATER = "bridge.later"
#: The key of the error of a wait. The application answers it.
FAILED = "bridge.failed"
#: A header of this name has another form in WSGI.
_PLAIN = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
#: What every WSGI environment of ours says.
_ALWAYS = {
    "wsgi.version": (1, 0), "wsgi.input_terminated": True, "wsgi.multithread": True, "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}  # fmt: skip

Environment = dict[str, Any]


@dataclass
class Later:
    """What an application leaves to the bridge. `waits` return once the answer may be sent. If one raises an error, the
    application is called again, with the error under FAILED, and that answer is sent. `then` are called when an answer
    may be sent."""

    waits: list[Callable[[], None]] = field(default_factory=list)
    then: list[Callable[[], object]] = field(default_factory=list)


class Application(Protocol):
    """A WSGI application. A body of up to `largest_body` bytes is read for it."""

    largest_body: int

    def may_wait(self, environment: Environment) -> bool:
        """Whether a request may take long for another reason than computing, or computes long."""

    def __call__(self, environ: Environment, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """As WSGI has it."""


@dataclass
class _Answer:
    environment: Environment
    protocol: HTTPProtocol
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Bridge:
    """What granian calls for each request. `threads` threads answer those that may wait."""

    def __init__(self, app: Application, threads: int) -> None:
        self._app = app
        self._waiting: SimpleQueue[tuple[Environment, HTTPProtocol, asyncio.Future[None]]] = SimpleQueue()
        self._made: list[_Answer] = []
        for _ in range(threads):
            threading.Thread(target=self._compute_waiting, daemon=True).start()

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """One request."""
        environment = _environment(scope)
        try:
            environment["wsgi.input"] = io.BytesIO(await self._body(scope, protocol, environment))
        except ProtocolClosed:
            return  # the client has gone
        if self._app.may_wait(environment):
            sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.put((environment, protocol, sent))
            await sent
            return
        environment[LATER] = Later()
        answer = self._computed(environment, protocol)
        if answer is None:
            return
        if not environment[LATER].waits:
            self._send(answer)
            return
        self._made.append(answer)
        try:
            await asyncio.sleep(0)  # all other requests that are here are computed before it returns
        finally:
            made, self._made = self._made, []
            for answer in made:  # what was written for all of them, the first wait takes to the disk
                self._send(answer)

    async def _body(self, scope: Scope, protocol: HTTPProtocol, environment: Environment) -> bytes:
        """The body. Of one that is too large, a byte more than is allowed at most: the application refuses it."""
        length = environment.get("CONTENT_LENGTH", "")
        if length in ("", "0") and "HTTP_TRANSFER_ENCODING" not in environment:
            return b""
        largest = self._app.largest_body
        try:
            async with asyncio.timeout(BODY_SECONDS):
                if length.isdecimal() and int(length) <= largest:
                    return bytes(await protocol())
                if "HTTP_EXPECT" in environment and length.isdecimal():
                    return b""  # the client waits for a word before it sends
                kept, received = bytearray(), 0
                async for piece in protocol:
                    received += len(piece)
                    kept += piece[: largest + 1 - len(kept)]
                    if received > DRAINED_BYTES:
                        break
                return bytes(kept)
        except TimeoutError:
            environment[LATE] = True
            return b""

    def _compute_waiting(self) -> None:
        while True:
            environment, protocol, sent = self._waiting.get()
            try:
                if answer := self._computed(environment, protocol):
                    self._send(answer)
            finally:
                _finish(sent)

    def _computed(self, environment: Environment, protocol: HTTPProtocol) -> _Answer | None:
        """What the application answers. None if it fails: then granian answers 500."""
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> None:
            started[:] = int(status[:3]), headers

        try:
            answer = self._app(environment, start_response)
            try:
                body = b"".join(answer)
            finally:
                if hasattr(answer, "close"):
                    answer.close()
            status, headers = started
        except Exception:
            logger.exception("%s %s failed", environment["REQUEST_METHOD"], environment["PATH_INFO"])
            return None
        if LATE in environment:
            headers = [*headers, ("Connection", "close")]  # the rest of the body would be taken for a request
        return _Answer(environment, protocol, status, headers, body)

    def _send(self, answer: _Answer) -> None:
        """Send an answer, once it may be sent. Whatever fails, others are sent, and granian answers 500."""
        try:
            if settled := self._settled(answer):
                with suppress(ProtocolClosed):
                    settled.protocol.response_bytes(settled.status, settled.headers, settled.body)
        except Exception:
            environment = answer.environment
            logger.exception("%s %s failed", environment["REQUEST_METHOD"], environment["PATH_INFO"])

    def _settled(self, answer: _Answer) -> _Answer | None:
        """The answer once its waits are over, or that of the error of a wait."""
        if later := answer.environment.get(LATER):
            try:
                for wait in later.waits:
                    wait()
            except Exception as error:
                environment = {**answer.environment, FAILED: error}
                del environment[LATER]
                return self._computed(environment, answer.protocol)
            for note in later.then:
                note()
        return answer


def _finish(sent: asyncio.Future[None]) -> None:
    """Let a request end, on its event loop."""

    def finish() -> None:
        if not sent.done():
            sent.set_result(None)

    with suppress(RuntimeError):  # the loop has ended
        sent.get_loop().call_soon_threadsafe(finish)


def _environment(scope: Scope) -> Environment:
    """The WSGI environment of a request, but for its body. A header with an underscore in its name is left out: a WSGI
    application could not tell it from one with a dash."""
    name, _, port = scope.server.rpartition(":")
    environment: Environment = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "SERVER_NAME": name.strip("[]"),
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "wsgi.url_scheme": scope.scheme,
        "wsgi.errors": sys.stderr,
        **_ALWAYS,
    }
    for header, value in scope.headers.items():
        if "_" in header:
            continue
        key = _key(header)
        if key in environment:
            value = f"{environment[key]}{'; ' if key == 'HTTP_COOKIE' else ','}{value}"
        environment[key] = value
    return environment


@lru_cache(maxsize=512)
def _key(header: str) -> str:
    """Where WSGI has a header."""
    return _PLAIN.get(header) or f"HTTP_{header.upper().replace('-', '_')}"
