"""When a change of a policy file or of a list is in force in the running service, and what a broken one does."""

import os
from itertools import pairwise

import pytest
from fake import APPLICANT, NOW, Fake, shelve

import settings
from app import create_app
from errors import PolicyBroken
from features.domains import risks
from jobs.build import run as build
from jobs.build.plan import steps
from jobs.world.marker import World
from root import Root
from serving.policies import Policies
from simulators import Size

ONBOARDING = risks()["onboarding"]
RULES = """
rules:
  - when: {when}
    outcome: review
    reason: made_up
    text: A made-up rule.
"""


def write(folder, text):
    (folder / "onboarding.yaml").write_text(text)


def decide(client):
    answer = client.post("/onboarding-risk-decision/", json=APPLICANT).json
    return answer.get("error", {}).get("name") or answer["decision"]


def test_a_change_of_the_file_is_in_force_from_the_next_decision_on(client, tmp_path):
    folder, file = tmp_path / "policies", tmp_path / "policies/onboarding.yaml"
    assert decide(client) == "approve"
    folder.mkdir(exist_ok=True)
    outcomes = []
    for low, high in (
        (0.0, 0.9),
        (0.9, 0.9),
        (0.0, 0.0),
        (0.8, 0.9),
    ):  # files of one size, within one tick of the clock
        file.write_text(f"thresholds: {{low: {low}, high: {high}}}")
        os.utime(file, ns=(1, 1))
        outcomes.append(decide(client))
    assert outcomes == ["review", "approve", "decline", "approve"]
    (folder / "new").write_text("thresholds: {low: 0.0, high: 0.9}")
    (folder / "new").replace(file)
    assert decide(client) == "review"
    file.unlink()
    assert decide(client) == "approve"


def test_a_start_names_a_policy_that_is_broken_or_of_no_risk(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    folder = tmp_path / "policies"
    folder.mkdir(exist_ok=True)
    write(folder, "thresholds: {low: 0.2, high: 0.1}")
    (folder / "chargebak.yaml").write_text("rules: []")
    create_app(Fake(), clock=lambda: NOW)
    (broken,) = (message for message in caplog.messages if message.startswith("policies/onboarding"))
    (stray,) = (message for message in caplog.messages if message.startswith("policies/chargebak"))
    assert broken.startswith("policies/onboarding.yaml, line 1: low is 0.2")
    assert broken.endswith("Until then, decisions of onboarding answer 503.")
    assert stray.endswith("is of no risk, so it changes nothing. Did you mean 'chargeback'? Rename it.")


def test_a_pipeline_with_a_broken_policy_does_nothing(tmp_path):
    (tmp_path / "policies").mkdir(exist_ok=True)
    write(tmp_path / "policies", "thresholds: {low: 0.2, high: 0.1}")
    with pytest.raises(PolicyBroken, match=r"policies/onboarding\.yaml, line 1"):
        build.run(Root(tmp_path), World(7, Size(), b"key"), NOW)
    assert not (tmp_path / "raw").exists()


def test_a_broken_file_is_a_503_until_it_is_mended(client, tmp_path):
    file = tmp_path / "policies/onboarding.yaml"
    file.parent.mkdir()
    file.write_text("thresholds: {low: 0.2, high: 0.1}")
    for _ in range(2):
        answer = client.post("/onboarding-risk-decision/", json=APPLICANT)
        assert (answer.status_code, answer.json["error"]["name"]) == (503, "policy_broken")
        assert "policies/onboarding.yaml, line 1: low is 0.2" in answer.json["error"]["message"]
    assert client.post("/onboarding-risk-score/", json=APPLICANT).status_code == 200, "a score needs no policy"
    assert client.get("/daily-risk-decision/1001/").status_code == 200
    file.write_text("thresholds: {low: 0.1, high: 0.2}")
    assert decide(client) == "approve"


def test_a_changed_list_is_in_force_at_once(client, tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir(exist_ok=True)
    (folder / "lists").mkdir()
    (folder / "lists/states").write_text("NY\n")
    write(folder, "lists: {states: lists/states}" + RULES.format(when="state in list states"))
    outcomes = []
    for state in ("CA", "NY", "CA"):
        (folder / "lists/states").write_text(f"{state}\n")
        outcomes.append(decide(client))
    assert outcomes == ["review", "approve", "review"]
    (folder / "lists/states").unlink()
    assert decide(client) == "policy_broken"


def test_a_secret_is_in_a_list_as_the_hash_that_the_log_has(client, tmp_path):
    decide(client)
    (log,) = (tmp_path / "decisions").iterdir()
    ssn = log.read_text().split('"ssn":"')[1].split('"')[0]
    folder = tmp_path / "policies"
    folder.mkdir(exist_ok=True)
    for blocked, outcome in ((APPLICANT["ssn"], "policy_broken"), (ssn, "review")):
        (folder / "ssns").write_text(blocked)
        write(folder, "lists: {ssns: ssns}" + RULES.format(when="ssn in list ssns"))
        assert decide(client) == outcome


def test_the_answer_and_the_log_name_the_policy(client, tmp_path):
    answer = client.post("/onboarding-risk-decision/", json=APPLICANT).json
    version = Policies(tmp_path / "policies", Fake())[ONBOARDING].version
    assert answer["policy"] == {"name": "onboarding", "version": version}
    (log,) = (tmp_path / "decisions").iterdir()
    assert f'"policy":{{"name":"onboarding","version":"{version}"}}' in log.read_text()


def test_a_changed_policy_makes_the_batch_scores_stale(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    shelve("daily")
    (step,) = [step for step in steps(settings.root(), World(7, Size(), b""), NOW) if step.name == "score daily"]
    seen = [step.inputs()]
    (tmp_path / "policies/lists").mkdir(parents=True)
    for name, text in (("daily.yaml", "rules: []"), ("lists/blocked", "1"), ("lists/blocked", "2")):
        (tmp_path / "policies" / name).write_text(text)
        seen.append(step.inputs())
    assert [later for earlier, later in pairwise(seen) if later == earlier] == []


def test_an_older_model_brings_no_thresholds_back(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    shelve("onboarding")
    (tmp_path / "policies").mkdir(exist_ok=True)
    write(tmp_path / "policies", "thresholds: {low: 0.0, high: 0.9}")
    card = tmp_path / "models/onboarding/1/card.json"
    card.write_text(card.read_text().replace('"libraries"', '"thresholds": {"low": 0.99, "high": 1.0}, "libraries"'))
    client = create_app(Fake(), clock=lambda: NOW).test_client()
    assert settings.root().path == tmp_path
    assert decide(client) == "review"
