"""Requests of one process take turns: Python computes one at a time anyhow, and threads that fight over that lose a
third of the throughput. What a thread may do beside the others is to wait for a client that sends slowly."""

from threading import Lock

from flask import Flask, request
from flask.typing import ResponseReturnValue


class TurnTaking(Flask):
    """Reads a request's body whole, then waits for its turn, then answers."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self._turn = Lock()

    def dispatch_request(self) -> ResponseReturnValue:
        request.get_data()
        with self._turn:
            return super().dispatch_request()
