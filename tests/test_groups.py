"""Fair treatment: rates by group are those of a loop, and neither a model nor a reason knows the group."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from fake import APPLICANT, NOW
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from own_model import FRAMES, fitted
from sklearn.linear_model import LogisticRegression

import model
import settings
from errors import ModelRefused
from features import policy as policies
from features.domains import risks
from features.rules import Names
from jobs.commands import jobs
from jobs.monitor import log
from model import shelf
from model.card import Card, CardInput
from model.report.groups import LEAST_ROWS, by_group
from model.report.tables import wilson
from serving.decision import NOT_ENOUGH_KNOWN, Decider
from serving.featurization import matrix

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(1)
NAMES = pd.Series(RNG.choice(["CA", "NY", "WY", None], 2_000, p=[0.5, 0.39, 0.01, 0.1]))
LABELS = RNG.integers(0, 2, 2_000)
APPROVED = RNG.random(2_000) < np.where(NAMES == "NY", 0.4, 0.8)


def test_the_rates_of_a_group_are_those_of_a_loop():
    groups = {group.name: group for group in by_group(NAMES, APPROVED, LABELS)}
    assert groups.keys() == {"CA", "NY", "WY", "not known"}
    rates = {}
    for name, group in groups.items():
        rows = [(a, label) for n, a, label in zip(NAMES, APPROVED, LABELS, strict=True) if (n or "not known") == name]
        assert (group.approved.some, group.approved.count) == (sum(a for a, _ in rows), len(rows))
        good, bad = ([a for a, label in rows if label == value] for value in (0, 1))
        assert (group.wrongly_stopped.some, group.wrongly_stopped.count) == (good.count(False), len(good))
        assert (group.wrongly_approved.some, group.wrongly_approved.count) == (bad.count(True), len(bad))
        low, high = wilson(group.approved.some, group.approved.count)
        assert group.approved.interval == f"{100 * low:.1f} % to {100 * high:.1f} %"
        if len(rows) >= LEAST_ROWS:
            rates[name] = group.approved.some / len(rows)
    assert "WY" not in rates
    assert groups["WY"].mark == f"too few: under {LEAST_ROWS} rows"
    for name, rate in rates.items():
        assert groups[name].ratio == pytest.approx(rate / max(rates.values()))
        assert groups[name].mark == ("below four fifths" if rate / max(rates.values()) < 0.8 else "")
    assert groups["NY"].mark == "below four fifths"


def test_a_group_that_is_an_input_is_refused_where_it_is_declared():
    with pytest.raises(ValueError, match="onboarding: is_previously_seen_dl is both the group and an input"):
        replace(risks()["onboarding"], group="is_previously_seen_dl")


def test_the_report_compares_groups_and_says_where_their_column_lacks(tmp_path):
    risk, estimator, frame, _ = fitted("logistic regression")
    risk = replace(risk, group="state")
    states = np.where(np.arange(len(frame)) % 3 == 0, "CA", "NY")
    model.publish(risk, estimator, frame, frame.assign(state=states), root=tmp_path)
    page = (shelf.current(tmp_path / "models", risk.name) / "report.html").read_text()
    assert all(text in page for text in ("Fair treatment", "By state, which is no input of the model", "<td>CA</td>"))
    model.publish(risk, estimator.set_params(), frame, root=tmp_path / "other")
    page = (shelf.current(tmp_path / "other" / "models", risk.name) / "report.html").read_text()
    assert "The test rows have no column state" in page


def test_a_published_model_that_takes_the_group_is_refused(tmp_path):
    risk, _, frame, _ = fitted("logistic regression")
    frame = frame.assign(state=np.arange(len(frame)) % 2)
    taken = [*(i.name for i in risk.inputs), "state"]
    estimator = LogisticRegression().fit(frame[taken], FRAMES["classification"]["loyalty"])
    with pytest.raises(ModelRefused, match="was fitted with state, which made_up does not have"):
        model.publish(replace(risk, group="state"), estimator, frame, root=tmp_path)
    assert not (tmp_path / "models" / risk.name / "current").exists()


@pytest.mark.parametrize("risk", [risk for risk in risks().values() if risk.group], ids=lambda risk: risk.name)
def test_the_group_never_reaches_the_matrix(risk):
    inputs = tuple(CardInput(name=i.name, dtype=i.dtype, missing=0, mean=0, low=0, high=1) for i in risk.inputs)
    card = Card.model_construct(name=risk.name, version="1", inputs=inputs)
    assert risk.group not in {i.name for i in card.inputs}
    rows = [{i.name: 1.0 for i in inputs} | {risk.group: group} for group in ("CA", "NY", None)]
    assert (matrix(rows, card) == 1).all()


VALUES = st.one_of(st.none(), st.just(math.nan), st.just(0.0), st.floats(-1e6, 1e6))


@given(data=st.data())
@examples(max_examples=100)
@pytest.mark.parametrize("risk", risks().values(), ids=lambda risk: risk.name)
def test_every_reason_names_an_input_a_rule_or_what_is_not_known(risk, data):
    inputs = tuple(CardInput.model_construct(name=i.name, missing=0.0) for i in risk.inputs)
    card = Card.model_construct(name=risk.name, version="1", inputs=inputs, task=risk.task)
    names = {i.name for i in risk.inputs} | {name for i in risk.inputs for name in i.known_by} | {*risk.needs}
    features = {name: data.draw(VALUES) for name in sorted(names)}
    features |= {"is_valid_state": data.draw(st.sampled_from([0, 1, None]))}
    if risk.group:
        features[risk.group] = data.draw(st.sampled_from(["CA", "WY", None]))
    kinds = Names({name: "text" if name == risk.group else "number" for name in features}, {})
    policy = policies.declared(risk, kinds)
    score = data.draw(st.floats(*(risk.score_range if risk.task == "classification" else (0, 10))))
    contributions = np.array(data.draw(st.lists(st.floats(-9, 9), min_size=len(inputs), max_size=len(inputs))))
    decision = Decider(risk, card, policy).decide("1", features, {}, score, contributions, NOW)
    scored = {reason.code for i in risk.inputs for reason in (i.raises, i.lowers)}
    known = scored | {rule.reason.code for rule in risk.policies} | {NOT_ENOUGH_KNOWN}
    assert {reason.code for reason in decision.reasons} <= known
    for reason in decision.reasons:
        of_code = [i.name for i in risk.inputs if reason.code in (i.raises.code, i.lowers.code)]
        assert risk.group not in of_code
        if reason.contribution:
            assert any(features[name] is not None for name in of_code)


def test_the_command_compares_logged_decisions_by_group(client, capsys):
    url = "/onboarding-risk-decision/"
    for state, number in product(("CA", "WY"), range(LEAST_ROWS)):
        assert client.post(url, json=APPLICANT | {"state": state, "dl": f"D{number:07}"}).status_code == 200
    wyoming = [record for some, _ in log.read(settings.root().decisions, {}) for record in some][LEAST_ROWS:]
    given = [{"decision_id": record.decision_id, "outcome": n % 2} for n, record in enumerate(wyoming[:10])]
    assert client.post("/api/v1/outcomes", json=given).status_code == 200
    jobs.main(["groups", "onboarding"], standalone_mode=False)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][:5] == ["CA", "30", "100.0", "%", "88.6"]
    assert (lines[2][:3], lines[2][-3:]) == (["WY", "30", "0.0"], ["below", "four", "fifths"])
    assert lines[2][10:13] == ["5", "of", "5"]
