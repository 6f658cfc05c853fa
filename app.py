"""The risk service: `python app.py` serves it on 127.0.0.1:$PORT; `create_app()` makes it for any WSGI server."""

import os
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask

import settings
from serving.service import RiskService
from serving.source import FeatureSource
from web import domains, errors, historical, openapi, risk

HOST = "127.0.0.1"
LARGEST_REQUEST_BYTES = 512 * 1024


def create_app(store: FeatureSource | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Flask:
    """The Flask application. `store` answers features; by default the Feast repository does."""
    if store is None:
        from serving.retrieval import FeastSource  # importing Feast takes seconds, and a fake does without

        store = FeastSource(settings.FEATURE_REPO)
    app = Flask(__name__, template_folder="web/templates", static_folder="web/static")
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]  # answers keep the order that the docs show
    service = RiskService(store, settings.models(), settings.decisions(), settings.hash_key())
    face = risk.Face(service, settings.scores_db(), clock)
    for part in (risk, historical, *domains.pages()):
        app.register_blueprint(part.blueprint(face))
    openapi.install(app)
    errors.install(app)
    return app


def main() -> None:
    """Become gunicorn, with one process and a few threads. Raises SystemExit where the port is taken."""
    port = settings.port()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise SystemExit(
                f"Port {port}: {error.strerror}. Set PORT to a free one, such as PORT={port + 1}."
            ) from None
    if settings.hash_key_is_the_demo_one():
        print("RISK_HASH_KEY is not set: the demo's key is used. Set a secret one before real people's data come in.")
    print("Ready in some seconds; then open")
    for what, path in (("Sign up", "/"), ("A driver", "/home/1001"), ("API docs", "/apidocs/")):
        print(f"  {what:<10}http://{HOST}:{port}{path}")
    sys.stdout.flush()
    os.chdir(settings.ROOT)
    # Loaded in the worker, not before the fork: threads do not survive one, and a stop would wait for them.
    options = ["--bind", f"{HOST}:{port}", "--threads", "8", "--log-level", "warning", "--no-control-socket"]
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *options, "app:create_app()"])


if __name__ == "__main__":
    main()
