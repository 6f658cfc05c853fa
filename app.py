"""The risk service, put together: `create_app()` makes it for any WSGI server. `python app.py` serves it with one
process, for a first look and for development; `python app.py --production` with $WORKERS of them."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Flask

import serve
import settings
from serving.service import RiskService
from serving.store import Store
from web import domains, encoding, errors, events, historical, openapi, risk, vectors
from web.face import Face
from web.turns import TurnTaking

LARGEST_REQUEST_BYTES = 512 * 1024


def create_app(store: Store | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Flask:
    """The Flask application. `store` answers features; by default the Feast repository does."""
    if store is None:
        from serving.retrieval import FeastStore  # importing Feast takes seconds, and a fake does without

        store = FeastStore(settings.FEATURE_REPO)
    app = TurnTaking(__name__, template_folder="web/templates", static_folder="web/static")
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_REQUEST_BYTES
    app.json = encoding.Json(app)
    root = settings.root()
    service = RiskService(store, root, settings.hash_key())
    service.prepare()
    face = Face(service, root, clock)
    for part in (risk, vectors, events, historical, *domains.pages()):
        app.register_blueprint(part.blueprint(face))
    openapi.install(app)
    errors.install(app)
    return app


def main() -> None:
    """Serve, until SIGTERM or Ctrl-C. Raises SystemExit as `serve.run`."""
    parser = argparse.ArgumentParser(prog="python app.py", description="The risk service on $HOST:$PORT.")
    parser.add_argument("--production", action="store_true", help="with $WORKERS processes; default: one, for a look")
    at = f"http://{settings.host()}:{settings.port()}"
    if parser.parse_args().production:
        workers = settings.workers()
        return serve.run(create_app, workers, f"{workers} workers for {at}, ready in some seconds.")
    pages = {"Sign up": "/", "A driver": "/home/1001", "Coupons": "/coupon/", "API docs": "/apidocs/"}
    looks = (f"  {what:<10}{at}{path}" for what, path in pages.items())
    return serve.run(create_app, 1, "\n".join(["Ready in some seconds; then open", *looks]))


if __name__ == "__main__":
    main()
