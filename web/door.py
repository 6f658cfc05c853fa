"""Who may come in, before anybody asks who it is: a request to one of our own names, that no page of another site
sent."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from errors import BadHost, NotAllowed

_HOST = re.compile(r"([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
#: A load balancer asks these by address. They link nowhere.
HEALTH = "/api/health-check"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
DEFAULT_PORTS = {"http": 80, "https": 443}


def install(app: Flask, hosts: frozenset[str], proxies: int) -> None:
    """Refuse foreign hosts and pages of other sites. `hosts` are our names, in lower case; one that begins with a dot
    stands for all names below it. `proxies` is how many proxies of ours stand before us: the last of them say who
    asks. With none, `X-Forwarded-For` is not read."""
    if proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0)  # type: ignore[method-assign]

    @app.before_request
    def check() -> None:
        environment = request.environ
        host = environment.get("HTTP_HOST", "").lower()
        if host and not _is_ours(host, hosts) and not environment["PATH_INFO"].startswith(HEALTH):
            raise BadHost("The Host header is no name of this service. Use a name that RISK_HOSTS lists.", "Host")
        if _is_foreign(environment, host):
            raise NotAllowed("A page of another site sent this request. Send it from a page of ours, or a program.")


@lru_cache(maxsize=256)
def _is_ours(host: str, hosts: frozenset[str]) -> bool:
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].removesuffix(".")
    return name in hosts or any(name.endswith(ours) for ours in hosts if ours.startswith("."))


def _is_foreign(environment: Mapping[str, Any], host: str) -> bool:
    """Whether a browser says that a page of another site sent the request. A link to a page of ours is not foreign.
    Programs say nothing."""
    is_safe = environment["REQUEST_METHOD"] in SAFE_METHODS
    if site := environment.get("HTTP_SEC_FETCH_SITE"):
        if site in ("same-origin", "none"):
            return False
        mode, destination = environment.get("HTTP_SEC_FETCH_MODE"), environment.get("HTTP_SEC_FETCH_DEST")
        return not (is_safe and mode == "navigate" and destination == "document")
    # An older browser, or a page without TLS: `null` is the origin of a page that hides it.
    source = environment.get("HTTP_ORIGIN") or environment.get("HTTP_REFERER")
    return bool(source) and not is_safe and _place(source or "") != _place(f"{request.scheme}://{host}")


def _place(url: str) -> tuple[str | None, int | None]:
    """The name and port of a URL. Its scheme may differ, where a proxy speaks TLS for us."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None, None
    return parts.hostname, None if port == DEFAULT_PORTS.get(parts.scheme) else port
