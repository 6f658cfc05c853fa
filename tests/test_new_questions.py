"""`python -m jobs new` asks for what it is not given, again where an answer cannot be, and explains too few rows."""

import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from new_command import STATED, new, project_in, refused, tree

from features import DOMAINS
from jobs.commands import jobs


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return project_in(tmp_path, monkeypatch)


def test_what_is_not_given_is_asked_for_on_a_terminal(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobs.commands.own.new.is_terminal", lambda: True)
    answers = [";", "ordered_at=Bestellt am", "%d.%m.%Y %H:%M:%S", "Europe/Berlin", "Kunden-Nr,Händler", "customer", "",
               "-", "Bestellnr", "", "Betrug", "", "ja", "nein", "14"]  # fmt: skip
    result = new(project, "--quarantine", str(project / "bad.csv"), answers=answers)
    assert result.exit_code == 0, result.output
    features = (project / "feature_repo/features/shop.py").read_text()
    assert '    "customer",\n    "haendler",\n' in features
    assert "AMOUNTS" not in features


#: Answers in the order of the questions, and what is said of each: nothing of one that can be.
ANSWERED: tuple[tuple[str, str], ...] = (
    ("latin-1", ""),
    (",", "State the delimiter: --delimiter ';'"),
    ("\\t", "State the delimiter"),
    (";;", "The delimiter is ';;'"),
    (";", ""),
    ("Bestellt", "There is no column 'Bestellt'. Did you mean 'Bestellt am'?"),
    ("Ordered=Bestellt am", "the name 'Ordered' is not made of"),
    ("ordered_at=Bestellt am", ""),
    ("-", "Bestellt am has '"),
    ("%Y", "They can be read with --time-format '%d.%m.%Y %H:%M:%S'"),
    ("%d.%m.%Y %H:%M:%S", ""),
    ("Berlin", "There is no time zone 'Berlin'"),
    ("-", "is without a time zone"),
    ("Europe/Berlin", ""),
    ("-", "A domain has a key at least"),
    ("customer=Kunden-Nr,merchant=Handler", "Did you mean 'Händler'?"),
    ("customer=Kunden-Nr,merchant=Bestellt am,customer=Händler", "customer is the column 'Kunden-Nr' already"),
    ("customer=Kunden-Nr,ordered_at=Bestellt am", "'ordered_at' is stated twice"),
    ("customer=Kunden-Nr,Händler", ""),
    ("class", "the name 'class' is a word of Python"),
    ("customer", "customer is the column 'Kunden-Nr' already"),
    ("merchant", ""),
    ("amount=Betrag", ""),
    (".", "They can be read with --decimal ','"),
    (",", ""),
    ("customer,amuont", "There is no column to make an id of 'amuont'. Did you mean 'amount'?"),
    ("order_id=Bestellnr", ""),
    ("fraud=Betrug", ""),
    ("Ja", "No row has 'Ja' as Betrug. The rows have: 'nein', 'ja', 'vielleicht'."),
    ("ja", ""),
    ("nein", ""),
    ("x", "is not a valid integer"),
    ("14", ""),
)


def test_an_answer_that_cannot_be_is_asked_for_again(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobs.commands.own.new.is_terminal", lambda: True)
    file = project / "orders.csv"
    file.write_bytes(file.read_text().encode("cp1252"))
    result = new(project, "--quarantine", str(project / "bad.csv"), answers=[answer for answer, _ in ANSWERED])
    assert result.exit_code == 0, result.output
    messages = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    expected = [reason for _, reason in ANSWERED if reason]
    for line, reason in zip(messages, expected, strict=True):
        assert reason in line
    assert "encoding: latin-1\n" in (project / "sources/shop_events.yaml").read_text()


def test_a_name_that_the_domain_cannot_have_is_refused_before_the_questions(
    project: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("jobs.commands.own.new.is_terminal", lambda: True)
    result = new(project, name=DOMAINS[0])
    assert (result.exit_code, "Choose another name" in result.stderr, result.stdout) == (1, True, "")


# What is said of rows that are not kept


@pytest.mark.parametrize(
    ("left_out", "parts"),
    [("--time-zone", ["No row is kept. ", "rows: ordered_at is without a time zone; the first is line 2 of ",
                      "--time-zone Europe/Berlin", "1 row: amount is no number", "Nothing was changed"]),
     ("--time-format", ["No row is kept. ", "ordered_at is no ISO 8601 timestamp", "'%d.%m.%Y %H:%M:%S'"]),
     ("--true", ["A model needs 2 of each", "fraud is no whole number", "fraud has also 'ja'"])],
)  # fmt: skip
def test_too_few_rows_are_explained_by_those_that_were_not_kept(project: Path, left_out: str, parts: list[str]):
    at = STATED.index(left_out)
    message = refused(project, *STATED[:at], *STATED[at + 2 :], "--quarantine", str(project / "bad.csv"))
    for part in parts:
        assert part in message


def test_the_command_that_needs_no_questions_is_printed(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobs.commands.own.new.is_terminal", lambda: True)
    words = ["--value", "fraud:ja=1", "--value", "fraud:nein=0", "--missing", "-"]
    arguments = [*STATED, *words, "--quarantine", str(project / "bad.csv")]
    first = new(project, *arguments)
    (line,) = (line for line in first.output.splitlines() if line.startswith("python -m jobs new"))
    written = tree(project)
    shutil.rmtree(project / "data")
    for name in ("feature_repo/features/shop.py", "feature_repo/views/shop.py", "tests/test_shop.py",
                 "sources/shop_events.yaml"):  # fmt: skip
        (project / name).unlink()
    monkeypatch.setattr("jobs.commands.own.new.is_terminal", lambda: False)
    second = CliRunner().invoke(jobs, shlex.split(line)[3:])
    assert second.exit_code == 0, second.output
    assert tree(project)["feature_repo/features/shop.py"] == written["feature_repo/features/shop.py"]
    assert tree(project)["sources/shop_events.yaml"] == written["sources/shop_events.yaml"]
