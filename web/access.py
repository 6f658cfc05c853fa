"""Who may ask for what. A view states the scope that it needs: `@needs("audit:read")`, or `@public` if it needs none.
What states neither answers nobody. The API docs state the same scopes, because `secured` reads them from the views.

A caller is known by `Authorization: Bearer` with an access token or an API key, or by the cookie of a session. What a
session sends with an unsafe method also needs the session's CSRF token: a browser adds the cookie to requests of other
sites too, and no other site knows the token.
"""

import hmac
import ipaddress
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from flask import Flask, Response, current_app, g, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from access import scopes
from access.gate import Caller, Gate, csrf_token
from access.scopes import SCOPES
from errors import NotAllowed, NotSignedIn
from web import calls
from web.operations import Spec

View = TypeVar("View", bound=Callable[..., Any])

PUBLIC = ""
#: What libraries serve: files of pages, and the API docs, which say nothing that is secret.
PUBLIC_ENDPOINTS, PUBLIC_BLUEPRINTS = {"static"}, {"flasgger"}
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
SIGN_IN = "/sign-in/"
#: A browser takes a cookie with this name only over TLS, only for this host, and from nobody but this host.
SECURE_COOKIE, LOCAL_COOKIE = "__Host-session", "session"
CSRF_HEADER, CSRF_FIELD = "X-CSRF-Token", "csrf_token"
FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}
NOBODY = (
    "The request names no caller. Send Authorization: Bearer with an access token or an API key, or sign in at "
    f"{SIGN_IN}."
)
NO_SCOPE = "The path states no scope, so nobody may use it. State one in the code of its view."
NO_CSRF = f"The request comes from a session without its CSRF token. Send the header {CSRF_HEADER}, or reload the page."
_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/=-]+)", re.IGNORECASE)
SCHEMES: Spec = {
    "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
              "description": "The `access_token` that `POST /api/v1/auth/login` gives. It holds for ten minutes."},
    "key": {"type": "http", "scheme": "bearer", "bearerFormat": "rk_…",
            "description": "The API key of a machine: `python -m jobs key add` makes one."},
}  # fmt: skip


def needs(scope: str) -> Callable[[View], View]:
    """State the scope of a view. It decorates the function that is passed to Flask. `scopes.ANY` is for every caller
    who is known."""
    if scope not in {*SCOPES, scopes.ANY}:
        raise ValueError(f"There is no scope {scope!r}")

    def decorate(view: View) -> View:
        view.scope = scope  # type: ignore[attr-defined]
        return view

    return decorate


def public(view: View) -> View:
    """State that a view is for everybody. It decorates the function that is passed to Flask."""
    view.scope = PUBLIC  # type: ignore[attr-defined]
    return view


def scope_of(app: Flask, endpoint: str) -> str | None:
    """The scope that an endpoint needs, or PUBLIC; None if it states neither."""
    if endpoint in PUBLIC_ENDPOINTS or endpoint.partition(".")[0] in PUBLIC_BLUEPRINTS:
        return PUBLIC
    scope: str | None = getattr(app.view_functions.get(endpoint), "scope", None)
    return scope


def install(app: Flask, gate: Gate | None, clock: Callable[[], datetime]) -> None:
    """Let in who may ask. Without a gate the service is open: everybody may ask for everything, and each page says
    so."""
    app.config["IS_OPEN"] = gate is None
    app.context_processor(_in_templates)
    if gate is not None:
        app.before_request(lambda: _enter(app, gate, clock))
        app.after_request(_leave)


def _enter(app: Flask, gate: Gate, clock: Callable[[], datetime]) -> AnyResponse | None:
    if request.endpoint is None:  # no such path, or not by this method
        return None
    scope = scope_of(app, request.endpoint)
    if scope == PUBLIC:
        return None
    try:
        caller = _caller(gate, clock())
    except NotSignedIn:
        if not _asks_for_page():
            raise
        return redirect(f"{SIGN_IN}?next={quote(_here())}", 303)
    calls.current().caller, g.scopes = caller.name, caller.scopes
    if scope is None:
        raise NotAllowed(NO_SCOPE)
    if not may(scope):
        g.missing_scope = scope
        raise NotAllowed(f"{caller.name} lacks the scope {scope} of this path. Ask whoever gives scopes for it.")
    return None


def may(scope: str) -> bool:
    """Whether the caller of the current request has a scope. Everybody has each one of an open service."""
    return "scopes" not in g or scopes.allow(g.scopes, scope)


def _caller(gate: Gate, now: datetime) -> Caller:
    """Raises NotSignedIn, NotAllowed, AccessUnavailable."""
    authorization = request.headers.get("Authorization", "")
    if authorization[:6].lower() == "bearer":
        match = _BEARER.fullmatch(authorization)
        if match is None:
            raise NotSignedIn("The header Authorization has no token. Send: Authorization: Bearer, a space, the token")
        return gate.bearer(match[1], now)
    secret = request.cookies.get(cookie_name(), "")
    if not secret:
        raise NotSignedIn(NOBODY)
    caller = gate.session(secret, now)
    g.session_secret = secret
    if request.method not in SAFE_METHODS and not hmac.compare_digest(_csrf_sent(), csrf_token(secret).encode()):
        raise NotAllowed(NO_CSRF)
    return caller


def _csrf_sent() -> bytes:
    sent = request.headers.get(CSRF_HEADER, "")
    if not sent and request.mimetype in FORMS:
        request.get_data()  # keeps the body for the view
        sent = request.form.get(CSRF_FIELD, "")
    return sent.encode()


def _asks_for_page() -> bool:
    """Whether a browser opens a page: what asks for JSON gets JSON."""
    is_page = request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"
    return is_page and request.method in ("GET", "HEAD") and "Authorization" not in request.headers


def _here() -> str:
    return request.full_path if request.query_string else request.path


def _leave(response: Response) -> Response:
    if response.status_code == 401:
        problem = ', error="invalid_token"' if "Authorization" in request.headers else ""
        response.headers["WWW-Authenticate"] = f'Bearer realm="risk service"{problem}'
    elif response.status_code == NotAllowed.status and "missing_scope" in g:
        problem = f'error="insufficient_scope", scope="{g.missing_scope}"'
        response.headers["WWW-Authenticate"] = f'Bearer realm="risk service", {problem}'
    if calls.current().caller:  # no store keeps what one caller may see for another
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def _in_templates() -> dict[str, Any]:
    secret = g.session_secret if "session_secret" in g else ""
    return {
        "is_open": current_app.config["IS_OPEN"],
        "signed_in": calls.current().caller.removeprefix("user:") if secret else "",
        "csrf_token": csrf_token(secret) if secret else "",
    }


def is_local() -> bool:
    """Whether the browser has called this machine by a name of itself, so that no network is between."""
    host = urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def cookie_name() -> str:
    """The name of the cookie of a session."""
    return LOCAL_COOKIE if is_local() else SECURE_COOKIE


def local_path(target: str) -> str:
    """The path to go on to after a sign-in: the target if it is a path of this service, else the overview.

    >>> local_path("/home/1001"), local_path("//evil.example/"), local_path("https://evil.example/")
    ('/home/1001', '/overview/', '/overview/')
    """
    is_path = re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", target)
    return target if is_path else "/overview/"


def secured(document: Spec, app: Flask) -> Spec:
    """The API docs with the scope of each operation. Of an open service they ask for none."""
    by_path = {
        (re.sub(r"<(?:[^:<>]*:)?([^<>]*)>", r"{\1}", rule.rule), method.lower()): rule.endpoint
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            scope = scope_of(app, by_path[path, method])
            if scope and not app.config["IS_OPEN"]:
                operation["description"] += f" Scope: `{scope}`."
                operation["security"] = [{name: []} for name in SCHEMES]
    if not app.config["IS_OPEN"]:
        document["components"]["securitySchemes"] = SCHEMES
    return document
