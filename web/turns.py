"""The requests of one process take turns. Python computes one at a time anyhow, and threads that compete for the
interpreter lose a third of the throughput. Threads still wait side by side for clients that send slowly."""

from threading import Lock

from flask import Flask, request
from flask.typing import ResponseReturnValue


class TurnTaking(Flask):
    """A Flask application that reads the whole body of a request, then waits for its turn, then answers."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._turn = Lock()

    def dispatch_request(self) -> ResponseReturnValue:
        """Flask calls this once for each request."""
        request.get_data()
        with self._turn:
            return super().dispatch_request()
