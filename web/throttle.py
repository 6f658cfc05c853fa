"""How often a user and an address may ask: `spend` counts, and refuses what is too much."""

import logging
import math
import time
from collections.abc import Mapping
from pathlib import Path

from flask import Flask, Response, current_app, g, request
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage, Storage
from limits.strategies import FixedWindowRateLimiter
from pydantic_core import from_json

from errors import TooMany
from files import fault
from web import calls
from web.counters import SharedStorage

logger = logging.getLogger(__name__)

#: The paths that take a password.
LOGINS = frozenset({"/api/v1/auth/login", "/sign-in/"})
MOST_CHARACTERS = 320


class Throttle:
    """The limits, by kind, such as `10/minute`. A kind that is `off` has none. The counters are in the file `path`, and
    if it cannot be written, each process counts for itself."""

    def __init__(self, limits: Mapping[str, str], path: Path) -> None:
        self._items: dict[str, RateLimitItem] = {kind: parse(rate) for kind, rate in limits.items() if rate != "off"}
        try:
            storage: Storage = SharedStorage(path)
        except OSError as error:
            logger.error("Each process counts its own requests only. %s", fault(error, path))
            storage = MemoryStorage()
        self._limiter = FixedWindowRateLimiter(storage)

    def spend(self, kind: str, who: str, cost: int = 1) -> None:
        """Count `cost` for somebody. Raises TooMany."""
        item = self._items.get(kind)
        if item is None or not who or self._limiter.hit(item, kind, who, cost=cost):
            return
        seconds = max(1, math.ceil(self._limiter.get_window_stats(item, kind, who).reset_time - time.time()))
        g.retry_after = seconds
        raise TooMany(f"These are more than {item} of one caller or address. Send the request again in {seconds} s.")


def install(app: Flask, limits: Mapping[str, str], path: Path) -> None:
    """Limit sign-ins, and let views limit the rest."""
    throttle = app.extensions["throttle"] = Throttle(limits, path)

    @app.before_request
    def check_login() -> None:
        if request.path in LOGINS and request.method == "POST":
            throttle.spend("login", f"address {request.remote_addr}")
            if name := _user_name():
                throttle.spend("login-user", f"user {name}")

    @app.after_request
    def add_retry_after(response: Response) -> Response:
        if response.status_code == TooMany.status and "retry_after" in g:
            response.headers["Retry-After"] = str(g.retry_after)
        return response


def spend(kind: str, cost: int = 1) -> None:
    """Count `cost` decisions or events for the caller of the current request, and for its address. Raises TooMany."""
    throttle: Throttle = current_app.extensions["throttle"]
    throttle.spend(kind, f"address {request.remote_addr}", cost)
    if caller := calls.current().caller:
        throttle.spend(kind, f"caller {caller}", cost)


def _user_name() -> str:
    """Who wants to sign in, whether there is such a user or not."""
    try:  # whatever the content type says, as the sign-in reads it
        sent = from_json(request.get_data())
    except ValueError:
        sent = request.form
    name = sent.get("email") if isinstance(sent, dict) else None
    return name.strip().lower()[:MOST_CHARACTERS] if isinstance(name, str) else ""
