"""A team follows the tutorial with its own file, to the letter: seven commands to a decision with reasons."""

import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import own_data
import processes
import pytest
import readme
from processes import Child, clone_environment, run, started
from servers import Server, answering

import settings

pytestmark = pytest.mark.slow

PAGE = readme.DOCS / "tutorial-own-data.md"
MOST_COMMANDS = 10
TO_A_DECISION = ("own:setup", "own:new", "own:pipeline", "own:serve", "own:decide")


def commands(*names: str) -> list[str]:
    return [line for name in names for line in readme.lines(readme.block(PAGE, name))]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this project, with the environment that `make setup` made."""
    copy = processes.clone(tmp_path_factory.mktemp("own") / "clone")
    (copy / ".venv").symlink_to(settings.PROJECT / ".venv")
    return copy


def typed(clone: Path, *lines: str, port: int = 0) -> tuple[list[str], dict[str, str]]:
    """A shell that gets the lines, and its environment. The environment has our modules from another folder."""
    activate = "source .venv/bin/activate"
    script = "\n".join(["set -e", activate, *lines]).replace("127.0.0.1:5000", f"127.0.0.1:{port}")
    return ["bash", "-c", script], clone_environment(clone) | {"PORT": str(port)}


def type_in(clone: Path, *lines: str, port: int = 0) -> str:
    command, variables = typed(clone, *lines, port=port)
    return run(command, cwd=clone, env=variables).stdout


@pytest.fixture(scope="module")
def printed(clone: Path) -> str:
    """What the commands print up to the service."""
    return type_in(clone, *commands("own:setup", "own:new", "own:pipeline"))


@pytest.fixture(scope="module")
def server(clone: Path, printed: str) -> Iterator[Server]:
    (serve,) = commands("own:serve")

    def start(port: int) -> AbstractContextManager[Child]:
        command, variables = typed(clone, f"exec {serve}", port=port)
        return started(command, cwd=clone, env=variables)

    with answering(start) as answering_server:
        yield answering_server


def test_a_decision_is_ten_commands_away_at_most():
    assert len(commands(*TO_A_DECISION)) == 7 <= MOST_COMMANDS
    assert "seven commands" in PAGE.read_text()


def test_every_row_of_the_file_is_counted(clone: Path, printed: str):
    (counts,) = re.findall(r"([\d,]+) rows in = ([\d,]+) kept \+ ([\d,]+) duplicates \+ ([\d,]+) quarantined", printed)
    rows, kept, duplicates, quarantined = (int(count.replace(",", "")) for count in counts)
    assert rows == kept + duplicates + quarantined == len((clone / "bestellungen.csv").read_text().splitlines()) - 1
    assert duplicates > 50
    assert quarantined == len((clone / "bad_rows.csv").read_text().splitlines()) - 1 >= 120


def test_the_service_decides_about_an_order_and_says_why(clone: Path, server: Server):
    answer = json.loads(type_in(clone, *commands("own:decide"), port=server.port))
    assert answer["decision"] == "decline"
    assert answer["features"]["customer_count_30d"] > 0
    texts = [reason["text"] for reason in answer["reasons"]]
    assert any("customer" in text or "amount" in text for text in texts)


def test_an_ordinary_order_is_approved(clone: Path, server: Server):
    (decide,) = commands("own:decide")
    ordinary = decide.replace("00042", "00500").replace("250.0", "20.0")
    assert json.loads(type_in(clone, ordinary, port=server.port))["decision"] == "approve"


def test_an_order_can_be_sent_as_it_happens(clone: Path, server: Server):
    answers = type_in(clone, *commands("own:event", "own:outcome"), port=server.port)
    assert answers.replace(" ", "").replace("\n", "") == '{"accepted":1}' * 2
    files = sorted((clone / "data/log/shop_events").glob("*.jsonl"))
    assert json.loads(files[-1].read_text().splitlines()[-1])["fraud"] == 1


def test_the_training_set_is_read_by_three_lines(clone: Path, printed: str):
    type_in(clone, *commands("own:dataset"))
    read = readme.block(PAGE, "own:read")
    output = type_in(clone, f"python - <<'END'\n{read}print(*orders.columns)\nEND")
    named = {name for row in readme.tables(PAGE, "## 6. The training set") for name in re.findall(r"`(\w+)`", row[0])}
    assert named <= set(output.splitlines()[-1].split())
    assert "fraud_timestamp" not in output


def test_the_pipeline_says_what_its_steps_did(printed: str):
    assert "batch features: none declared" in printed
    assert re.search(r"stream shop: [\d,]+ events of the history processed", printed)


def test_tomorrows_file_needs_only_its_name(clone: Path, printed: str):
    lines = (clone / "bestellungen.csv").read_text().splitlines()
    now = datetime.now(UTC).astimezone(own_data.BERLIN)
    new = f"B999999;00500;H07;{now:%d.%m.%Y %H:%M:%S};20,00;;"
    (clone / "tomorrow.csv").write_text("\n".join([lines[0], *lines[-100:], new]) + "\n")
    before = (clone / "sources/shop_events.yaml").read_text()
    assert "101 rows in = 1 kept + 100 duplicates + 0 quarantined" in type_in(clone, commands("own:tomorrow")[0])
    assert (clone / "sources/shop_events.yaml").read_text() == before


def test_what_is_written_is_well_formed_and_its_tests_pass(clone: Path, printed: str):
    files = (
        "feature_repo/features/shop.py feature_repo/views/shop.py tests/test_shop.py feature_repo/features/__init__.py"
    )
    type_in(clone, f"ruff check {files}", f"ruff format --check {files}", "python -m pytest -n 0 tests/test_shop.py")
