"""What is noted of each request when it is answered: numbers, a line of the log, a trace. The rule of a path stands for
the path, which may have an identifier in it."""

import logging
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask, Response, request

from bridge import LATER
from telemetry.logs import access
from telemetry.metrics import Metrics
from web import calls

if TYPE_CHECKING:  # only a process that sends traces imports the library
    from telemetry.spans import Spans

#: A caller may invent a method. Each would be a series of its own.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
#: A path that no rule fits.
NOWHERE = "none"


def install(app: Flask, metrics: Metrics, spans: "Spans | None") -> None:
    """Note each answer. Call it after `calls.install`."""

    def note(response: Response) -> None:
        call, status = calls.current(), response.status_code
        end = call.timer()
        method = request.method
        method = method if method in METHODS else "OTHER"
        route = calls.route() or NOWHERE
        metrics.answered(call, method, route, status, end)
        if access.isEnabledFor(logging.INFO):
            milliseconds = round((end - call.arrived) / 1e6, 3)
            fields = {"status": status, "duration_ms": milliseconds} | ({"error": call.error} if call.error else {})
            access.info("answered", extra=fields)
        if spans is not None:
            attributes: dict[str, str | int] = {
                "http.request.method": method, "http.route": route, "http.response.status_code": status,
                "risk.request_id": call.request_id,
            }  # fmt: skip
            error = call.error if status >= 500 else ""
            name, headers = f"{method} {route}", {k.lower(): v for k, v in request.headers.items()}
            spans.add(name, call.steps, call.arrived, end, call.timer(), attributes, headers, error)

    def note_once_sent(response: Response) -> Response:
        later = request.environ.get(LATER)
        if later and later.waits:  # the wait for the disk is a part of the answer
            later.then.append(partial(copy_context().run, note, response))
        else:
            note(response)
        return response

    app.after_request(note_once_sent)
