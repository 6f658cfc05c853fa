"""The call that the current request is: its id, who asks, and the time of each step."""

import re
import time
from secrets import token_hex

from flask import Flask, Response, g, has_request_context, request

from serving.call import Call

HEADER, IN_WSGI = "X-Request-ID", "HTTP_X_REQUEST_ID"
#: Where the call is in the WSGI environment: the answer of a wait that failed is one of the same call.
_CALL = "risk.call"
#: What a caller may choose as the id of its request. Anything else is replaced: it is written into logs and headers.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def install(app: Flask) -> None:
    """Give each request a call, and each answer the header `X-Request-ID`."""
    app.before_request(_begin)
    app.after_request(_end)


def current() -> Call:
    """The call of the current request."""
    call: Call | None = g.get("call")
    if call is None:  # an error came before any function of ours
        _begin()
        call = g.call
    return call


def route() -> str:
    """The rule of the current request's path, such as `/home/<driver_id>`: it has no identifier in it. "" where no
    rule fits."""
    rule = request.url_rule
    return rule.rule if rule else ""


def context() -> dict[str, str]:
    """What a line of the log says of the current request. Nothing outside of one."""
    if not has_request_context():
        return {}
    call = current()
    caller = {"caller": call.caller} if call.caller else {}
    return {"request_id": call.request_id, **caller, "method": request.method, "route": route()}


def _begin() -> None:
    environment = request.environ
    call = environment.get(_CALL)
    if call is None:
        sent = environment.get(IN_WSGI, "")
        request_id = sent if _ID.fullmatch(sent) else token_hex(16)
        call = environment[_CALL] = Call(
            request_id=request_id, timer=time.perf_counter_ns, arrived=time.perf_counter_ns()
        )
    g.call = call


def _end(response: Response) -> Response:
    response.headers[HEADER] = current().request_id
    return response
