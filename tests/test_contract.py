"""The service against its own OpenAPI document: schemathesis asks every operation over HTTP, with right and with wrong
requests, and applies all of its checks to the answers. The store is a fake one, so it is quick."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import schemathesis
from fake import NOW, shelve
from gates import gate, key
from schemathesis.engine import events, from_schema
from werkzeug.serving import WSGIRequestHandler, make_server
from whole import Whole

from app import create_app
from features.domains import risks

pytestmark = pytest.mark.slow
EXAMPLES = 2
ACCEPTED = "positive_data_acceptance"
BODY_BY_PATH = "Which body is right depends on the name in the path, and a schema cannot say that."
DATED = "A timestamp has a zone and is in the years 1970 to 2200. A schema cannot say that."
PERSON = "A date of birth is a day that exists, and no number is one that nobody has. A schema cannot say that."
CURSOR = "A cursor is what the page before has answered."
#: Method and path → a check that cannot apply, and why. Every other check is on everywhere.
EXCEPT: Mapping[str, tuple[str, str]] = {
    "GET /api/health-check/ready": ("not_a_server_error", "503 is its answer where a part is missing, as it is here."),
    "GET /api/v1/decisions": (ACCEPTED, CURSOR),
    "POST /api/v1/decisions/search": (ACCEPTED, CURSOR),
    "POST /api/v1/decisions/{name}": (ACCEPTED, BODY_BY_PATH),
    "POST /api/v1/events/{stream}": (ACCEPTED, BODY_BY_PATH),
    "POST /api/v1/features/{service}": (ACCEPTED, BODY_BY_PATH),
    "POST /api/v1/outcomes": (ACCEPTED, DATED),
    **{f"POST /{name}-risk-{part}/": (ACCEPTED, reason) for part in ("features", "score", "decision")
       for name, reason in (("chargeback", DATED), ("loyalty", DATED), ("onboarding", PERSON))},
    "POST /sign-up/": (ACCEPTED, PERSON),
}  # fmt: skip


class Quiet(WSGIRequestHandler):
    """Logs no line for each request."""

    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(root))
        for name in risks():
            shelve(name)
        yield root


@pytest.fixture(scope="module")
def document(root: Path) -> Iterator[str]:
    """The address of the document of a guarded service."""
    app = create_app(Whole(), clock=lambda: NOW, gate=gate(root))
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/openapi.json"
    server.shutdown()
    thread.join()
    server.server_close()


def faults(document: str, headers: dict[str, str]) -> tuple[int, list[str]]:
    """How many requests were sent, and what is wrong with the answers."""
    config = schemathesis.Config.from_dict(
        {
            "seed": 1, "headers": headers, "continue-on-failure": True,
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
            "operations": [
                {"include-name": name, "checks": {check: {"enabled": False}}} for name, (check, _) in EXCEPT.items()
            ],
        }
    )  # fmt: skip
    sent, wrong = 0, []
    for event in from_schema(schemathesis.openapi.from_url(document, config=config)).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            wrong.append(str(event))
        if isinstance(event, events.ScenarioFinished):
            sent += len(event.recorder.checks)
            checks = [check for of_case in event.recorder.checks.values() for check in of_case]
            wrong += [
                f"{event.recorder.label}: {check.name}: {check.failure_info.failure.message}\n"
                f"{check.failure_info.code_sample}"
                for check in checks
                if check.failure_info
            ]
    return sent, wrong


def test_every_answer_to_a_caller_is_as_the_document_says(document: str, root: Path):
    sent, wrong = faults(document, key(root, "admin"))
    assert "\n\n".join(wrong) == ""
    assert sent > 1000


def test_every_answer_to_nobody_is_as_the_document_says(document: str):
    sent, wrong = faults(document, {})
    assert "\n\n".join(wrong) == ""
    assert sent > 1000


def test_what_is_not_checked_is_an_operation_and_has_a_reason(document: str):
    operations = {result.ok().label for result in schemathesis.openapi.from_url(document).get_all_operations()}
    assert EXCEPT.keys() <= operations
    assert all(reason for _, reason in EXCEPT.values())
