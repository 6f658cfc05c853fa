"""What decisions keep of a policy, what is shown of one, and the commands."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from fake import APPLICANT, Fake
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_changes import ONBOARDING, STRICT, Changes

from cli.exit_codes import ExitCode
from errors import PolicyBroken
from features.domains import risks
from features.policy import active, declared_reasons, in_force
from features.risk import Appetite, Reason, Rule
from features.rules import Names
from jobs.commands import jobs
from jobs.commands.risk import policy as command
from serving.lines import read_folder
from serving.policies import Policies
from serving.policy_file import dumped, read
from serving.policy_history import History


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "policies"


@pytest.fixture
def changes(folder: Path) -> Changes:
    return Changes(folder)


def test_the_version_of_a_decision_leads_to_its_file_and_its_lists(client, changes):
    def decide():
        return client.post("/onboarding-risk-decision/", json=APPLICANT).json["policy"]["version"]

    versions = [decide()]
    changes.edit(
        b"lists: {closed: closed.txt}\nrules:\n  - {when: state in list closed, outcome: review, reason: c, text: C.}"
    )
    for lines in ("CA\n", "NY\n"):
        (changes.folder / "closed.txt").write_text(lines)
        versions += [decide(), decide()]
    entries = changes.history.entries()
    assert [entry.version for entry in entries] == list(dict.fromkeys(versions))
    assert {entry.act for entry in entries} == {"decided"}
    assert read("f", changes.history.content(entries[0]), ONBOARDING).appetite == ONBOARDING.appetite
    assert changes.history.content(entries[1]) == changes.file.read_bytes()
    kept = [entry.lists["closed.txt"]["sha256"] for entry in entries[1:]]
    assert [(changes.folder / f"history/lists/{digest}.txt").read_text() for digest in kept] == ["CA\n", "NY\n"]


def test_a_history_that_cannot_be_written_stops_no_decision(client, changes):
    changes.folder.mkdir()
    (changes.folder / "history").write_text("a file is in the way")
    assert client.post("/onboarding-risk-decision/", json=APPLICANT).status_code == 200


def test_the_texts_of_a_models_reasons_may_be_written_otherwise(client, changes):
    def decide():
        answer = client.post("/onboarding-risk-decision/", json=APPLICANT).json
        return answer["policy"]["version"], {reason["code"]: reason["text"] for reason in answer["reasons"]}

    default, texts = decide()
    changes.edit(b"reasons: {adult: Old enough.}\nowner: Risk team\nnote: Shorter.")
    version, changed = decide()
    assert changed == texts | {"adult": "Old enough."} != texts
    assert version != default
    changes.edit(f"reasons: {{adult: {texts['adult']!r}}}\nowner: Somebody".encode())
    assert decide() == (default, texts)
    policy = Policies(changes.folder, Fake())[ONBOARDING]
    assert (policy.owner, policy.note) == ("Somebody", "")
    changes.edit(b"reasons: {adlut: Old enough.}")
    with pytest.raises(PolicyBroken, match=r"line 1: 'adlut' is unknown\. Did you mean 'adult'"):
        changes.version()


# What is shown reads back

TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1).map(str.strip).filter(bool)
LOWS, HIGHS = st.floats(0, 0.5), st.floats(0.5, 1)


@pytest.mark.parametrize("risk", risks().values(), ids=list(risks()))
@settings(max_examples=25)
@given(data=st.data())
def test_what_is_shown_reads_back_to_the_same_version(risk, data):
    names = Names({}, {"x": "text"})
    least, most = risk.score_range
    top = min(most, 1e6)
    low, high = (least + data.draw(part) * (top - least) for part in (LOWS, HIGHS))
    appetite = Appetite(low, high, risk.appetite.words, risk.appetite.strict)
    rules = [
        active(Rule("x is missing", risk.appetite.words[1], Reason("made_up", text)), appetite, names, {})
        for text in data.draw(st.lists(TEXTS, max_size=2))
    ]
    reasons = data.draw(st.dictionaries(st.sampled_from(sorted(declared_reasons(risk))), TEXTS, max_size=2))
    policy = in_force(risk, appetite, rules, {}, reasons)
    written = read("f", dumped(policy), risk)
    again = [active(rule, written.appetite, names, {}) for _, rule in written.rules]
    assert in_force(risk, written.appetite, again, {}, written.reasons).version == policy.version


# The commands


def run(*arguments: str):
    return CliRunner().invoke(jobs, ["policy", "onboarding", *arguments])


def test_the_commands_apply_list_print_and_roll_back(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    monkeypatch.setattr(command, "_policies", lambda: Policies(folder, Fake()))
    assert "no history yet" in run("history").output
    shown = run("show").output
    (tmp_path / "new.yaml").write_bytes(STRICT)
    applied = run("apply", str(tmp_path / "new.yaml"), "--note", "Frauds in May.")
    assert (applied.exit_code, "is in force" in applied.output) == (ExitCode.OK, True)
    default, strict = (line for line in run("history").output.splitlines()[1:])
    assert ("in force" in default, "in force" in strict) == (False, True)
    assert strict.endswith("Frauds in May.")
    assert shown.split()[3].rstrip(":") in default
    version = strict.split()[2]
    printed = run("history", version).output
    assert yaml.safe_load(printed) == yaml.safe_load(STRICT)
    (tmp_path / "new.yaml").write_text("rules: 1")
    assert run("apply", str(tmp_path / "new.yaml")).exit_code == ExitCode.FAILED
    assert "is in force" in run("rollback").output
    assert run("show").output == shown
    assert run("history", "f00").exit_code == ExitCode.FAILED
    acts = [(line["policy"], line["act"], line["version"]) for line in read_folder(tmp_path / "cases")]
    assert acts == [("onboarding", "apply", version), ("onboarding", "rollback", shown.split()[3].rstrip(":"))]
    os.utime(tmp_path, None)
    assert datetime.now(UTC) - History(folder, "onboarding").entries()[-1].at < timedelta(minutes=5)
