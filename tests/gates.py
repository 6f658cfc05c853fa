"""A guarded service for tests: its users and keys, and the headers that they send."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from fake import NOW, unlogged
from flask.testing import FlaskClient

from access import keys, users
from access.gate import Gate

SECRET = b"a secret of the tests, of more bytes than the longest algorithm asks for, so that no test warns"
#: What a browser says that it accepts.
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
DRIVER = "/daily-risk-decision/1001/"
ANN, PASSWORD = "ann@example.com", "correct horse battery"


def gate(root: Path) -> Gate:
    """The gate of a root, as `app.py` makes it."""
    return Gate(root / "access.db", root / "sessions.db", SECRET)


def add_user(root: Path, *scopes: str, email: str = ANN) -> None:
    users.add(root / "access.db", email, PASSWORD, scopes, NOW, unlogged)


def key(root: Path, *scopes: str, name: str = "till", days: float = 90) -> dict[str, str]:
    """The header of a new API key."""
    return bearer(keys.add(root / "access.db", name, scopes, timedelta(days=days), NOW, unlogged))


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


def login(client: FlaskClient, email: str = ANN, password: str = PASSWORD) -> Any:
    """The answer of a login: tokens, or an error."""
    return client.post("/api/v1/auth/login", json={"email": email, "password": password}).json


def sign_in(client: FlaskClient, email: str = ANN) -> str:
    """Sign a browser in. Its CSRF token."""
    client.post("/sign-in/", data={"email": email, "password": PASSWORD})
    return csrf_of(client)


def csrf_of(client: FlaskClient) -> str:
    page = client.get("/overview/", headers={"Accept": "text/html"}).text
    return page.split('<meta name="csrf-token" content="')[1].split('"')[0]
