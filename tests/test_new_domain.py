"""A newcomer follows "Add a domain" and "Add a stream" to the letter, and changes no shared code."""

import json
import re
import shutil
import sys
from pathlib import Path

import processes
import pytest
import readme

from features import DOMAINS

pytestmark = pytest.mark.slow

ALLOWED = {
    "simulators/refund_abuse.py",
    "feature_repo/features/refund_abuse.py",
    "feature_repo/views/refund_abuse.py",
    "tests/test_refund_abuse.py",
    "feature_repo/features/__init__.py",
}
ASK = """
import json
from app import create_app
client = create_app().test_client()
for path in ("/refund-abuse-risk-features/7/", "/refund-abuse-risk-score/7/", "/refund-abuse-risk-decision/7/",
             "/refund-abuse-risk-decision/999999/", "/refund-abuse-risk-decision/nobody/", "/openapi.json"):
    answer = client.get(path)
    print(json.dumps({"status": answer.status_code, **answer.json}))
"""
DECIDE = """
from app import create_app
applicant = {"state": "CA", "ssn": "213-45-6789", "dl": "T1234567", "dob": "1985-02-03"}
print(create_app().test_client().post("/onboarding-risk-decision/", json=applicant).json["decision"])
"""
IMPORTS = """
from importlib import import_module
from pkgutil import walk_packages
for room in ("features", "views", "simulators", "model", "serving", "jobs", "web"):
    for module in walk_packages(import_module(room).__path__, f"{room}."):
        try:
            import_module(module.name)
        except ModuleNotFoundError as error:
            if error.name not in ("confluent_kafka", "pyflink", "pyspark", "quixstreams"):  # of the extras
                raise
        else:
            print(module.name)
"""
PAGES = """
from unittest.mock import MagicMock
from app import create_app
app = create_app(MagicMock())
print(*app.url_map.iter_rules())
print(app.test_client().get("/", headers={"Accept": "text/html"}).status_code)
"""
LIVE = """
import json
from datetime import UTC, datetime, timedelta
from threading import Event
from unittest.mock import MagicMock, Mock
import settings
from app import create_app
from features.domains import stream_of
from features.refund_abuse import REFUNDS_NOW
from jobs.stream import loop
from jobs.stream.sources import open_source
from views import refund_abuse
now = datetime.now(UTC)
refund = {"refund_id": "r1", "customer_id": 7, "amount": 5.5, "event_timestamp": now.isoformat()}
print(create_app(MagicMock()).test_client().post("/api/v1/events/refunds", json=[refund, refund]).status_code)
sink = Mock(**{"kept.return_value": [None, None]})  # an empty store
root = settings.root()
loop.run(root, stream_of("refund_abuse"), open_source(root, "log", "refunds"), sink, b"", True, Event(), [].append)
written = [table for call in sink.write_tables.call_args_list for table in call.args[0].values()]
(table,) = [table[:1] for table in written if len(table) > 1]  # with a state
for days in (1, 9):
    print(json.dumps(REFUNDS_NOW.columns(table.to_pydict() | {"as_of": [now + timedelta(days=days)]})))
print(*[of.name for of in refund_abuse.refund_abuse.feature_view_projections])
"""


def follow(repository: Path) -> None:
    """Do what "Add a domain" says."""
    for name, text in readme.files().items():
        file = repository / name
        if name.endswith("__init__.py"):
            file.write_text(re.sub(r"^DOMAINS = .*$", text.strip(), file.read_text(), flags=re.MULTILINE))
        else:
            file.write_text(text)


def follow_stream(repository: Path) -> None:
    """Do what "Add a stream" says."""
    features, views = (repository / f"feature_repo/{room}/refund_abuse.py" for room in ("features", "views"))
    raw, live, risk, served = (
        readme.block(readme.ADD_A_STREAM, f"stream:{part}") for part in ("raw", "live", "risk", "views")
    )
    text = re.sub(r"^REFUNDS = RawTable\(.*\)\n", raw, features.read_text(), flags=re.MULTILINE)
    text = text.replace("class Customer(", f"{live}\n\nclass Customer(")
    features.write_text(text.replace("    inputs=(", f"{risk}    inputs=("))
    views.write_text(views.read_text() + served)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this project, with the domain of the page in it."""
    copy = processes.clone(tmp_path_factory.mktemp("newcomer") / "repository")
    follow(copy)
    return copy


def run(repository: Path, *command: str, code: int = 0) -> str:
    environment = processes.clone_environment(repository)
    return processes.run([sys.executable, *command], code=code, cwd=repository, env=environment).stdout


def test_the_page_touches_only_the_rooms_of_the_new_domain():
    assert set(readme.files()) == ALLOWED


def test_a_domain_added_by_the_page_decides_and_is_in_the_api_docs(repository: Path):
    run(repository, "-m", "jobs", "pipeline", "--drivers", "1500", "--users", "300", "--merchants", "600")
    answers = [json.loads(line) for line in run(repository, "-c", ASK).splitlines()]
    features, score, decision, never_seen, wrong, docs = answers
    assert set(features["features"]) == {"refunds_7d", "refund_amount_30d"}
    assert 0 < score["score"] < 1
    assert decision["model"]["name"] == "refund_abuse"
    assert decision["decision"] in ("approve", "review", "decline")
    assert never_seen["features"] == {"refunds_7d": 0, "refund_amount_30d": 0.0}
    assert (wrong["status"], wrong["error"]["name"]) == (400, "wrong_type")
    assert "/refund-abuse-risk-decision/{customer_id}/" in docs["paths"]


def test_a_domain_added_by_the_page_passes_the_tests_of_layout_and_style(repository: Path):
    tests = ["tests/test_refund_abuse.py", "tests/test_layers.py", "tests/test_domains.py"]
    assert "passed" in run(repository, "-m", "pytest", "-n", "0", *tests)
    run(repository, "-m", "ruff", "check", ".")
    run(repository, "-m", "ruff", "format", "--check", ".")


def test_a_forgotten_room_is_named(repository: Path, tmp_path: Path):
    forgetful = tmp_path / "forgetful"
    shutil.copytree(repository, forgetful, ignore=shutil.ignore_patterns("data"))
    (forgetful / "feature_repo/views/refund_abuse.py").unlink()
    printed = run(forgetful, "-m", "pytest", "-n", "0", "tests/test_domains.py", code=pytest.ExitCode.TESTS_FAILED)
    assert "views/refund_abuse.py" in printed


def test_the_tutorials_change_of_a_threshold_makes_the_outcome_stricter(repository: Path, tmp_path: Path):
    """Comes after the test that runs the pipeline in the copy."""
    changed = tmp_path / "changed"
    shutil.copytree(repository, changed, symlinks=True)
    assert run(changed, "-c", DECIDE).split() == ["approve"]
    (changed / "data/policies").mkdir(exist_ok=True)
    text = readme.block(readme.DOCS / "tutorial.md", "tutorial:change")
    (changed / "data/policies/onboarding.yaml").write_text(text)
    assert run(changed, "-c", DECIDE).split() == ["review"]


@pytest.fixture(scope="module")
def replaced(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the copy, without our own domains."""
    replaced = tmp_path_factory.mktemp("replaced") / "repository"
    shutil.copytree(repository, replaced, ignore=shutil.ignore_patterns("data", "__pycache__"))
    for room in ("feature_repo/features", "feature_repo/views", "simulators", "web", "serving", "jobs/simulate"):
        for ours in DOMAINS:
            (replaced / room / f"{ours}.py").unlink(missing_ok=True)
            shutil.rmtree(replaced / room / ours, ignore_errors=True)
    domains = replaced / "feature_repo/features/__init__.py"
    domains.write_text(re.sub(r"(?m)^DOMAINS = .*$", 'DOMAINS = ("refund_abuse",)', domains.read_text()))
    return replaced


def test_our_own_domains_can_be_taken_out_and_leave_nothing_behind(replaced: Path):
    modules = run(replaced, "-c", IMPORTS).split()
    assert {"features.refund_abuse", "views.refund_abuse", "jobs.__main__", "web.risk"} <= set(modules)
    rules, status = run(replaced, "-c", PAGES).splitlines()
    assert "/refund-abuse-risk-decision/<customer_id>/" in rules
    assert "/historical-features/" in rules
    assert not [name for name in ("daily", "sign-up", "/home", "products", *DOMAINS) if name in rules]
    assert status == "200"
    assert "pipeline" in run(replaced, "-m", "jobs", "--help")


def test_a_domain_without_a_simulator_is_built_from_what_is_in_raw(replaced: Path, tmp_path: Path):
    own = tmp_path / "own"
    shutil.copytree(replaced, own)
    run(own, "generate_data.py")
    made = own / "data/raw"
    (own / "simulators/refund_abuse.py").unlink()
    files = {file: file.read_bytes() for file in made.glob("*.parquet")}
    assert [file.stem for file in sorted(files)] == ["refund_outcomes", "refunds"]
    assert "raw events of refund_abuse" in run(own, "-m", "jobs", "pipeline")
    assert {file: file.read_bytes() for file in made.glob("*.parquet")} == files
    features, _, decision, *_ = (json.loads(line) for line in run(own, "-c", ASK).splitlines())
    assert features["features"]["refunds_7d"] >= 0
    assert decision["model"]["name"] == "refund_abuse"


def test_a_stream_added_by_the_page_counts_the_second_it_happens(repository: Path, tmp_path: Path):
    live = tmp_path / "live"
    shutil.copytree(repository, live, ignore=shutil.ignore_patterns("data"))
    follow_stream(live)
    accepted, now, later, service = run(live, "-c", LIVE).splitlines()
    assert accepted == "202"
    assert json.loads(now) == {"refunds_7d": [1], "refund_amount_30d": [5.5]}
    assert json.loads(later) == {"refunds_7d": [0], "refund_amount_30d": [5.5]}
    assert service == "refunds_now customer_refunds_state"
