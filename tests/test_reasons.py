"""The reasons of a decision: what is not known gives none, and a code stands once."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from decided import INPUTS, KNOWN, NAMES, NOON, decision, rule
from hypothesis import given
from hypothesis import strategies as st

from errors import ModelBroken
from features.domains import risks
from features.policy import Policy
from features.risk import Reason, Rule
from model.card import Card, CardInput
from serving.decision import Decider

# What is not known


@pytest.mark.parametrize("nothing", [None, math.nan, ""])
@pytest.mark.parametrize(("score", "outcome"), [(0.1, "review"), (0.5, "review"), (0.9, "decline")])
def test_without_a_need_the_outcome_is_at_least_the_middle_one(nothing, score, outcome):
    taken = decision(score, (0, 0, 0, 0), needs=("age", "seen"), values=KNOWN | {"age": nothing})
    assert taken.decision == outcome
    assert taken.reasons[0].code == "not_enough_known"
    assert taken.reasons[0].text == "Not enough is known: age is missing."


def test_a_need_may_be_a_field_of_the_request():
    needs = {"needs": ("merchant", "age", "amount")}
    known = decision(0.1, **needs, fields={"merchant": "m", "amount": "5"})
    unknown = decision(0.1, **needs, fields={"merchant": "", "amount": None})
    assert (known.decision, known.reasons) == ("approve", ())
    assert unknown.reasons[0].text == "Not enough is known: merchant and amount are missing."


def test_without_any_known_input_no_decision_is_the_mildest():
    taken = decision(0.1, (-1, -2, -3, -4), values=dict.fromkeys(NAMES))
    assert (taken.decision, [r.code for r in taken.reasons]) == ("review", ["not_enough_known"])


def test_what_is_not_known_is_told_beside_many_rules_and_overruled_by_allow():
    three = [rule("decline", code=code) for code in ("a", "b", "c")]
    unknown = {"needs": ("age",), "values": KNOWN | {"age": None}, "state": 0}
    taken = decision(0.1, (0, 0, 0, 0), *three, **unknown)
    assert [r.code for r in taken.reasons] == ["a_decline", "b_decline", "not_enough_known"]
    assert decision(0.1, (0, 0, 0, 0), rule("approve", allow=True), **unknown).decision == "approve"


@pytest.mark.parametrize("score", [0.1, 0.5, 0.9])
def test_no_reason_comes_from_a_stand_in(score):
    contributions = (-5, -4, -3, -2) if score < 0.2 else (5, 4, 3, 2)
    values = KNOWN | {"trips": None, "seen": math.nan}
    inputs = tuple(replace(i, known_by=("merchant",)) if i.name == "age" else i for i in INPUTS)
    taken = decision(score, contributions, values=values, inputs=inputs, fields={"merchant": ""})
    assert [r.code for r in taken.reasons] == ["rate_low" if score < 0.2 else "rate_high"]


# Inputs that share a reason


def sharing(**codes):
    """The inputs, with the same two codes where the same letter stands."""
    return tuple(
        replace(i, raises=Reason(f"{codes[i.name]}_high", i.name), lowers=Reason(f"{codes[i.name]}_low", i.name))
        for i in INPUTS
    )


def test_inputs_that_share_a_reason_are_one_reason_with_their_sum():
    inputs = sharing(trips="x", seen="x", age="y", rate="x")
    taken = decision(0.9, (1.0, -0.25, 0.5, 2.0), inputs=inputs)
    assert [(r.code, r.text, r.contribution) for r in taken.reasons] == [
        ("x_high", "rate", 2.75),
        ("y_high", "age", 0.5),
    ]
    taken = decision(0.1, (1.0, -3.0, 0.5, -2.0), inputs=inputs)
    assert [(r.code, r.text, r.contribution) for r in taken.reasons] == [("x_low", "seen", -4.0)]


def test_a_stand_in_adds_nothing_to_a_shared_reason():
    inputs = sharing(trips="x", seen="x", age="y", rate="y")
    taken = decision(0.9, (1.0, 7.0, 0.5, 0.25), inputs=inputs, values=KNOWN | {"seen": None})
    assert [(r.code, r.contribution) for r in taken.reasons] == [("x_high", 1.0), ("y_high", 0.75)]


@given(st.tuples(*[st.floats(-5, 5)] * 4), st.tuples(*[st.sampled_from("xyz")] * 4), st.sampled_from([0.1, 0.5, 0.9]))
def test_a_code_stands_once_and_the_groups_sum_to_all_contributions(contributions, letters, score):
    inputs = sharing(**dict(zip(NAMES, letters, strict=True)))
    taken = decision(score, contributions, inputs=inputs)
    assert len({r.code for r in taken.reasons}) == len(taken.reasons)
    groups = {
        letter: sum(c for c, own in zip(contributions, letters, strict=True) if own == letter) for letter in letters
    }
    assert math.fsum(groups.values()) == pytest.approx(math.fsum(contributions), abs=1e-9)
    for reason in taken.reasons:
        assert reason.contribution == pytest.approx(groups[reason.code[0]], abs=1e-9)


def test_a_rule_and_an_input_with_the_same_code_are_one_reason():
    same = Rule("state == 0", "review", Reason("seen_low", "A rule."))
    taken = decision(0.1, (0, -2, 0, 0), same, state=0)
    assert [(r.code, r.text, r.contribution) for r in taken.reasons] == [("seen_low", "A rule.", -2.0)]


def test_a_model_with_an_input_that_is_no_longer_declared_is_broken():
    with pytest.raises(ModelBroken, match=r"takes 'trips'.*jobs models made_up rollback"):
        decision(0.1, inputs=INPUTS[:-1])


def test_an_internal_feature_is_in_the_log_and_in_no_answer():
    taken = decision(0.1, values=KNOWN | {"user_orders_seen": 7})
    assert "user_orders_seen" not in taken.as_json()["features"]
    assert taken.as_record()["features"] == {"state": 1, **KNOWN, "user_orders_seen": 7}


def test_the_reason_of_the_rule_that_decides_is_given_however_many_rules_hold():
    mild = [rule("review", code=code) for code in "abcd"]
    taken = decision(0.1, (0, 0, 0, 0), *mild, rule("decline", code="e"), state=0)
    assert (taken.decision, [r.code for r in taken.reasons]) == ("decline", ["e_decline", "a_review", "b_review"])


WHAT_MAY_LACK = [
    (name, what)
    for name, risk in risks().items()
    for what in dict.fromkeys((*risk.by_input, *risk.needs, *(k for i in risk.inputs for k in i.known_by)))
]


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize(("name", "what"), WHAT_MAY_LACK)
def test_a_declared_risk_gives_no_reason_out_of_what_is_not_known(name: str, what: str, sign: float):
    risk = risks()[name]
    inputs = tuple(CardInput.model_construct(name=i.name, missing=0.0) for i in risk.inputs)
    card = Card.model_construct(name=name, version="1", inputs=inputs, task=risk.task)
    values: dict[str, Any] = dict.fromkeys((*risk.by_input, *(w for n, w in WHAT_MAY_LACK if n == name)), 1.0)
    policy = Policy(name, "1", risk.appetite, ())
    mildest = -1e9 if risk.appetite.strict == "high" else 1e9
    contributions = np.full(len(inputs), sign)
    taken = Decider(risk, card, policy).decide("1", values | {what: None}, {}, mildest, contributions, NOON)
    codes = [reason.code for reason in taken.reasons]
    unknown = [i for i in risk.inputs if what in (i.name, *i.known_by)]
    groups = {risk.reason_groups[i.name] for i in risk.inputs if i not in unknown}
    only = {r.code for i in unknown if risk.reason_groups[i.name] not in groups for r in (i.raises, i.lowers)}
    assert not only & set(codes)
    assert len(codes) == len(set(codes))
    assert (what in risk.needs) == ("not_enough_known" in codes)
    assert (risk.appetite.severity(taken.decision) >= 1) == (what in risk.needs)
