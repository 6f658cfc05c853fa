"""The risk service: `python app.py` serves it on 127.0.0.1:$PORT; `create_app()` makes it for any WSGI server."""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask

import settings
from serving.service import RiskService
from serving.source import FeatureSource
from web import domains, errors, historical, openapi, risk

LARGEST_REQUEST_BYTES = 64 * 1024


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
    """Become gunicorn, with one process and a few threads."""
    port = settings.port()
    print(f"Sign up       http://127.0.0.1:{port}/")
    print(f"A driver      http://127.0.0.1:{port}/home/1001")
    print(f"API docs      http://127.0.0.1:{port}/apidocs/", flush=True)
    if settings.hash_key_is_the_demo_one():
        print("RISK_HASH_KEY is not set: the demo's key is used. Set a secret one before real people's data come in.")
    options = ["--bind", f"127.0.0.1:{port}", "--threads", "8", "--preload", "--log-level", "warning"]
    sys.stdout.flush()
    os.chdir(settings.ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "gunicorn", *options, "app:create_app()"])


if __name__ == "__main__":
    main()
