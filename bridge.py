"""The bridge: takes requests from granian, reads their bodies without a thread, and calls the WSGI application.

A client that sends slowly costs memory for its body, and no thread. A body has to be here in `BODY_SECONDS`."""

import asyncio
import io
import logging
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
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
#: A header of this name has another form in WSGI.
_PLAIN = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
#: What every WSGI environment of ours says.
_ALWAYS = {
    "wsgi.version": (1, 0), "wsgi.input_terminated": True, "wsgi.multithread": True, "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}  # fmt: skip

Environment = dict[str, Any]


class Application(Protocol):
    """A WSGI application. A body of up to `largest_body` bytes is read for it."""

    largest_body: int

    def may_wait(self, environment: Environment) -> bool:
        """Whether a request may take long for another reason than computing."""

    def __call__(self, environ: Environment, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """As WSGI has it."""


class Bridge:
    """What granian calls for each request. A request that is alone is answered by the thread that read it, because a
    change of threads takes as long as a small answer. The others are answered by `threads` threads."""

    def __init__(self, app: Application, threads: int) -> None:
        self._app = app
        self._open = 0
        self._queue: SimpleQueue[tuple[Environment, HTTPProtocol, asyncio.Future[None]]] = SimpleQueue()
        for _ in range(threads):
            threading.Thread(target=self._work, daemon=True).start()

    async def __call__(self, scope: Scope, protocol: HTTPProtocol) -> None:
        """One request."""
        self._open += 1
        try:
            environment = _environment(scope)
            try:
                environment["wsgi.input"] = io.BytesIO(await self._body(scope, protocol, environment))
            except ProtocolClosed:
                return  # the client has gone
            if self._open == 1 and not self._app.may_wait(environment):
                self._answer(environment, protocol)
                return
            answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.put((environment, protocol, answered))
            await answered
        finally:
            self._open -= 1

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

    def _work(self) -> None:
        while True:
            environment, protocol, answered = self._queue.get()
            try:
                self._answer(environment, protocol)
            finally:
                with suppress(RuntimeError):  # the loop has ended
                    answered.get_loop().call_soon_threadsafe(_finish, answered)

    def _answer(self, environment: Environment, protocol: HTTPProtocol) -> None:
        """Call the application and send its answer. Without one, granian answers 500."""
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
            if LATE in environment:
                headers = [*headers, ("Connection", "close")]  # the rest of the body would be taken for a request
            with suppress(ProtocolClosed):
                protocol.response_bytes(status, headers, body)
        except Exception:
            logger.exception("%s %s failed", environment["REQUEST_METHOD"], environment["PATH_INFO"])


def _finish(answered: "asyncio.Future[None]") -> None:
    if not answered.done():
        answered.set_result(None)


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
