"""The risk service as a Flask application. `create_app()` makes it for any WSGI server. `python app.py` serves it with
one process, for a first look and for development; `python app.py --production` serves it with $WORKERS processes."""

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import click

import serve
import settings
from access import accounts
from access.gate import Gate
from cli.edge import Command
from errors import AuditUnavailable
from files import keep_from_others
from serving import acts
from serving.service import RiskService
from serving.store import Store
from telemetry import logs
from telemetry.metrics import Metrics
from web import (
    access,
    auth,
    calls,
    console,
    decisions,
    domains,
    door,
    encoding,
    errors,
    events,
    headers,
    historical,
    index,
    openapi,
    operator,
    outcomes,
    risk,
    throttle,
    vectors,
    watch,
    why,
)
from web.face import Face
from web.once import Once
from web.turns import TurnTaking

if TYPE_CHECKING:
    from serving.event_log import EventLog
    from telemetry.spans import Spans

OPEN = "Open service: nobody has to sign in, and only this machine can reach it. make serve asks for a sign-in."
NOBODY = "Nobody can sign in yet. Add a user: python -m jobs user add EMAIL --scope admin"

logger = logging.getLogger(__name__)


def create_app(
    store: Store | None = None, clock: Callable[[], datetime] = lambda: datetime.now(UTC), gate: Gate | None = None
) -> TurnTaking:
    """The Flask application. By default `store` is our Feast repository. Without a `gate` the service is open: whoever
    reaches it may ask for everything."""
    metrics = Metrics(settings.metrics_folder())
    if store is None:
        from serving.retrieval import FeastStore  # the import of Feast takes seconds, and tests with a fake need none

        store = FeastStore(settings.FEATURE_REPO, settings.feature_store(), metrics.missed)
    app = TurnTaking(__name__, template_folder="web/templates", static_folder="web/static")
    app.json = encoding.Json(app)
    calls.install(app)
    watch.install(app, metrics, _spans())
    headers.install(app)
    door.install(app, settings.hosts(), settings.proxies())
    access.install(app, gate, clock)
    keep_from_others()
    root = settings.root()
    with suppress(OSError, AuditUnavailable):  # a root that cannot be written can still be read
        acts.claim_hash_key(root, settings.hash_key(), acts.operator(clock()))
    service = RiskService(store, root, settings.hash_key(), _events())
    for fault in service.prepare():
        logger.error("%s", fault)
    throttle.install(app, settings.limits(), root.counters)
    face = Face(service, root, clock)
    for part in (risk, decisions, outcomes, why, console, vectors, events, historical, *domains.pages()):
        app.register_blueprint(part.blueprint(face))
    app.register_blueprint(auth.blueprint(gate, clock))
    app.once = Once(face)
    app.register_blueprint(operator.blueprint(face, metrics))
    openapi.install(app)
    index.install(app)
    errors.install(app, root)
    return app


def create_guarded_app() -> TurnTaking:
    """The application that asks who calls it."""
    root = settings.root()
    return create_app(gate=Gate(root.access_db, root.sessions_db, settings.jwt_secret(), settings.old_jwt_secret()))


def _events() -> "EventLog | None":
    """Where accepted events go, if that is not the disk. Nothing else of the service imports the client of Kafka."""
    if (topic := settings.events()) is None:
        return None
    from serving.kafka_log import KafkaLog

    return KafkaLog(topic)


def _spans() -> "Spans | None":
    """What sends traces, if there is somebody to send them to. Nothing else imports OpenTelemetry."""
    if not settings.sends_traces():
        return None
    from telemetry.spans import Spans

    return Spans("risk-service")


def create_logged(create: Callable[[], TurnTaking], as_json: bool) -> TurnTaking:
    """The application of a process that logs JSON, or text."""
    if as_json:
        logs.as_json(calls.context)
    return create()


@click.command(cls=Command)
@click.option("--production", is_flag=True, help="Serve with $WORKERS processes. Without it: one, for a first look.")
def main(production: bool) -> None:
    """Serve the risk service on $HOST:$PORT until SIGTERM or Ctrl-C.

    With --production, or on a HOST that other machines reach, every request needs a user or an API key.
    """
    is_open = settings.host_is_loopback() and not production
    if not is_open:
        for secret in (settings.own_hash_key, settings.jwt_secret, settings.old_jwt_secret):
            secret()  # fails here, once, and not in each worker
    url = f"http://{settings.host()}:{settings.port()}"
    if production:
        workers = settings.workers()
        greeting = f"{workers} workers for {url}, ready in some seconds."
    else:
        workers = 1
        pages = (f"  {link.title:<10}{url}{link.path}" for link in domains.links())
        greeting = "\n".join(["Ready in some seconds; then open", *pages])
    notice = OPEN if is_open else no_user()
    create = partial(create_logged, create_app if is_open else create_guarded_app, settings.logs_json(production))
    serve.run(create, workers, "\n".join(filter(None, [notice, greeting])))


def no_user() -> str:
    """A line for the operator while nobody can sign in; "" if somebody can."""
    return "" if accounts.read(settings.root().access_db).users else NOBODY


if __name__ == "__main__":
    main(prog_name="python app.py")
