"""The requests of one process take turns. Python computes one at a time anyhow, and threads that compete for the
interpreter lose a third of the throughput. Threads still wait side by side for clients that send slowly."""

from collections.abc import Callable
from threading import Lock
from typing import Any

from flask import Flask, request
from flask.typing import ResponseReturnValue

from errors import TooLarge

LARGEST_REQUEST_BYTES = 512 * 1024
TOO_LARGE = f"The request is too large. Send at most {LARGEST_REQUEST_BYTES // 1024} KB."


def out_of_turn(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let a view answer without a turn. For views that wait long outside of the interpreter: for a disk, a database or
    a slow hash. It decorates the function that is passed to Flask."""
    view.takes_no_turn = True  # type: ignore[attr-defined]
    return view


class TurnTaking(Flask):
    """A Flask application that reads the whole body of a request, up to `LARGEST_REQUEST_BYTES`, then waits for its
    turn, then answers."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        # A body in chunks has no length. werkzeug stops at the limit, and does not say whether the body goes on. So it
        # may read one byte more.
        self.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST_BYTES + 1
        self._turn = Lock()

    def dispatch_request(self) -> ResponseReturnValue:
        """Flask calls this once for each request. Raises TooLarge."""
        if len(request.get_data()) > LARGEST_REQUEST_BYTES:
            raise TooLarge(TOO_LARGE)
        if hasattr(self.view_functions.get(request.endpoint or ""), "takes_no_turn"):
            return super().dispatch_request()
        with self._turn:
            return super().dispatch_request()
