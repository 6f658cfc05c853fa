"""The requests of one process take turns. Python computes one at a time anyhow, and threads that compete for the
interpreter lose a third of the throughput. Threads still wait side by side for disks and locks.

The bridge computes most requests on its own thread, and waits for the disk for many of them at once. It gives those
that may wait to threads."""

import io
from collections.abc import Callable
from threading import Lock
from typing import IO, Any

from flask import Flask, Request
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from werkzeug.utils import cached_property

from bridge import BODY_SECONDS, FAILED, LATE, LATER
from errors import TooLarge, TooSlow
from web import calls

LARGEST_REQUEST_BYTES = 512 * 1024
TOO_LARGE = f"The request is too large. Send at most {LARGEST_REQUEST_BYTES // 1024} KB."
#: A body whose length has so many digits takes long to compute, such as a list of decisions.
LONG_DIGITS = 5
#: Where WSGI has the header `Idempotency-Key`.
KEY = "HTTP_IDEMPOTENCY_KEY"
TOO_SLOW = f"The body did not arrive in {BODY_SECONDS:.0f} s. Send the request again, all of it at once."


def out_of_turn(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let a view answer without a turn. For views that wait long outside of the interpreter: for a disk, a database or
    a slow hash. It decorates the function that is passed to Flask."""
    view.takes_no_turn = True  # type: ignore[attr-defined]
    return waits(view)


def waits(view: Callable[..., Any]) -> Callable[..., Any]:
    """Say that a view may wait in its turn. It decorates the function that is passed to Flask."""
    view.waits = True  # type: ignore[attr-defined]
    return view


class BridgedRequest(Request):
    """A request whose body the bridge may have read. A stream of the whole body, and of nothing else, needs no guard.
    To read through a guard takes longer than to parse the body."""

    @cached_property
    def stream(self) -> IO[bytes]:
        """The body. Flask reads it from here."""
        body = self.environ["wsgi.input"]
        if isinstance(body, io.BytesIO) and self.content_length == body.getbuffer().nbytes:
            return body
        guarded: IO[bytes] = super().stream
        return guarded


class TurnTaking(Flask):
    """A Flask application that reads the whole body of a request, up to `LARGEST_REQUEST_BYTES`, then waits for its
    turn, then computes, then waits without a turn for the disk, or lets the bridge wait, then answers."""

    request_class = BridgedRequest
    #: The bridge reads a body for us.
    largest_body = LARGEST_REQUEST_BYTES

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        # A body in chunks has no length. werkzeug stops at the limit, and does not say whether the body goes on. So it
        # may read one byte more.
        self.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST_BYTES + 1
        self._turn = Lock()
        #: Method → how the paths begin of the views that wait.
        self._waiting: dict[str, tuple[str, ...]] | None = None
        #: What answers a request that has a key.
        self.once: Callable[[Callable[[], ResponseReturnValue]], ResponseReturnValue] | None = None

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Flask asks of each function whether it is a coroutine, ten times a request. None of ours is."""
        return func

    def may_wait(self, environment: dict[str, Any]) -> bool:
        """The bridge asks this. A view may wait, and so does a request that was sent twice: for itself."""
        if self._waiting is None:
            waiting: dict[str, set[str]] = {}
            for rule in self.url_map.iter_rules():
                if hasattr(self.view_functions[rule.endpoint], "waits"):
                    for method in rule.methods or ():
                        waiting.setdefault(method, set()).add(rule.rule.partition("<")[0])
            self._waiting = {method: tuple(paths) for method, paths in waiting.items()}
        return (
            KEY in environment
            or "HTTP_TRANSFER_ENCODING" in environment
            or len(environment.get("CONTENT_LENGTH", "")) >= LONG_DIGITS
            or environment["PATH_INFO"].startswith(self._waiting.get(environment["REQUEST_METHOD"], ()))
        )

    def dispatch_request(self) -> ResponseReturnValue:
        """Flask calls this once for each request. Raises TooLarge, TooSlow, AuditUnavailable, LogUnavailable."""
        sent = request_ctx.request
        if FAILED in sent.environ:
            raise sent.environ[FAILED]
        if LATE in sent.environ:
            raise TooSlow(TOO_SLOW)
        if _has_body(sent.environ) and len(sent.get_data()) > LARGEST_REQUEST_BYTES:
            raise TooLarge(TOO_LARGE)
        view = self.view_functions.get(sent.endpoint or "")
        if KEY in sent.environ and sent.method == "POST" and self.once and hasattr(view, "takes_key"):
            return self.once(lambda: self._answer(view))
        return self._answer(view)

    def _answer(self, view: Callable[..., Any] | None) -> ResponseReturnValue:
        if hasattr(view, "takes_no_turn"):
            answer = super().dispatch_request()
        else:
            with self._turn:
                answer = super().dispatch_request()
        call, later = calls.current(), request_ctx.request.environ.get(LATER)
        if later is None:
            call.settle()
        elif call.waits:
            later.waits.append(call.settle)
        return answer


def _has_body(environment: dict[str, Any]) -> bool:
    """Whether a request says that it has a body. To look into an empty one takes as long as to find the view."""
    return environment.get("CONTENT_LENGTH", "0") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environment
