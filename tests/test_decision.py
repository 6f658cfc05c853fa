"""From a score to a decision: outcome and reasons, the scores on the pages, the matrix of the model."""

import json
import math
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from constants import override
from decided import CARD, KNOWN, NAMES, NOON, SEVERITY, decision, rule
from hypothesis import given
from hypothesis import strategies as st

from errors import ModelBroken
from features.risk import Appetite
from serving import featurization, scores
from serving.decision import band_of

APPETITE = Appetite(low=0.2, high=0.7)


@pytest.mark.parametrize(
    ("score", "outcome"),
    [(0.0, "approve"), (0.19, "approve"), (math.nextafter(0.2, 0), "approve"), (0.2, "review"),
     (math.nextafter(0.2, 1), "review"), (0.5, "review"), (math.nextafter(0.7, 0), "review"), (0.7, "decline"),
     (math.nextafter(0.7, 1), "decline"), (1.0, "decline")],
)  # fmt: skip
def test_the_bands_are_below_low_between_and_from_high_on(score, outcome):
    assert SEVERITY[band_of(score, APPETITE)] == outcome == decision(score).decision


@pytest.mark.parametrize("score", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("outcome", SEVERITY[1:])
@pytest.mark.parametrize("state", [0, 1])
def test_a_rule_makes_an_outcome_stricter_and_never_milder(score, outcome, state):
    before, after = decision(score), decision(score, (0, 0, 0, 0), rule(outcome), state=state)
    stricter = SEVERITY[max(SEVERITY.index(before.decision), SEVERITY.index(outcome))]
    assert after.decision == (stricter if state == 0 else before.decision)
    assert after.score == score
    assert [r.code for r in after.reasons] == ([f"policy_{outcome}"] if state == 0 else [])


@pytest.mark.parametrize("words", [("allow", "review", "block"), ("new", "regular", "loyal")])
@pytest.mark.parametrize(
    ("score", "rule_band", "band"),
    [(0.1, None, 0), (0.5, None, 1), (0.9, None, 2), (0.1, 1, 1), (0.1, 2, 2), (0.5, 1, 1), (0.5, 2, 2), (0.9, 1, 2),
     (0.9, 2, 2)],
)  # fmt: skip
def test_a_rule_makes_a_decision_stricter_in_the_risks_own_words(words, score, rule_band, band):
    rules = [] if rule_band is None else [rule(words[rule_band])]
    assert decision(score, (0, 0, 0, 0), *rules, state=0, words=words).decision == words[band]


def test_a_rule_with_an_unknown_word_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"outcome is 'decline'\. Use one of: allow, review, block"):
        decision(0.1, (0, 0, 0, 0), rule("decline"), words=("allow", "review", "block"))


def test_the_strictest_of_several_rules_counts_and_each_is_named():
    taken = decision(0.1, (-1, -2, 0, 0), rule("decline"), rule("review"), state=0)
    assert taken.decision == "decline"
    assert [r.code for r in taken.reasons] == ["policy_decline", "policy_review", "seen_low"]


@pytest.mark.parametrize(
    ("score", "contributions", "codes"),
    [(0.1, (-1, -4, -2, -3), ["seen_low", "rate_low", "age_low"]),
     (0.1, (9, -4, 8, -0.1), ["seen_low", "rate_low"]),
     (0.5, (1, 4, 2, 3), ["seen_high", "rate_high", "age_high"]),
     (0.9, (-9, 0.1, -8, 4), ["rate_high", "seen_high"]),
     (0.9, (-1, -1, 0, 0), []), (0.1, (0, 0, 0, 0), []),
     (0.9, (1, 1, 1, 1), ["trips_high", "seen_high", "age_high"])],
)  # fmt: skip
def test_the_reasons_are_the_strongest_for_the_outcome(score, contributions, codes):
    assert [r.code for r in decision(score, contributions).reasons] == codes


@pytest.mark.parametrize(
    ("score", "contributions", "codes"),
    [(0.1, (9, -4, 8, -0.1), ["seen_low", "rate_low"]), (0.9, (-9, 0.1, -8, 4), ["rate_high", "seen_high"]),
     (0.5, (2, -1, 1, -1), ["trips_high", "age_high"]), (0.5, (1, -3, 1, -1), ["seen_low", "rate_low"]),
     (0.5, (0, 0, 0, 0), [])],
)  # fmt: skip
def test_the_reasons_of_a_number_are_what_moved_it_to_its_band(score, contributions, codes):
    """A number in the middle band may have come there from below or from above."""
    of_number = CARD.model_copy(update={"task": "regression"})
    assert [r.code for r in decision(score, contributions, card=of_number).reasons] == codes


@given(st.floats(0, 1), st.tuples(*[st.floats(-5, 5)] * 4), st.sampled_from([0, 1]), st.sampled_from(SEVERITY[1:]))
def test_at_most_three_reasons_are_given_strongest_first_on_one_side(score, contributions, state, strict):
    taken = decision(score, contributions, rule(strict), state=state)
    of_model = [r for r in taken.reasons if not r.code.startswith("policy")]
    strengths = [r.contribution for r in of_model]
    assert len(taken.reasons) <= 3
    assert strengths == sorted(strengths, key=abs, reverse=True)
    assert all(s < 0 for s in strengths) if score < 0.2 else all(s > 0 for s in strengths)
    assert all(r.code.endswith("_low" if score < 0.2 else "_high") for r in of_model)


def test_the_reason_of_a_rule_comes_first_and_contributes_nothing():
    taken = decision(0.1, (-1, 0, -2, 0), rule("review"), state=0)
    reasons = [
        {"code": "policy_review", "text": "The policy says review.", "contribution": 0.0},
        {"code": "age_low", "text": "age is low.", "contribution": -2.0},
        {"code": "trips_low", "text": "trips is low.", "contribution": -1.0},
    ]
    assert json.loads(json.dumps(taken.as_json())) == {
        "decision_id": "d-1", "decision": "review", "score": 0.1, "reasons": reasons,
        "features": {"state": 0, **KNOWN}, "model": {"name": "made_up", "version": "v1"},
        "policy": taken.policy, "as_of": "2026-01-31T12:00:00+00:00",
    }  # fmt: skip


def test_an_allow_rule_makes_the_models_outcome_milder_and_no_rules():
    assert decision(0.9, (0, 0, 0, 1), rule("review", allow=True), state=0).decision == "review"
    assert decision(0.9, (0, 0, 0, 1), rule("approve", allow=True), state=0).decision == "approve"
    assert decision(0.1, (0, 0, 0, 1), rule("review", allow=True), state=0).decision == "approve"
    strict, allow = rule("review", code="strict"), rule("approve", allow=True)
    taken = decision(0.9, (0, 0, 0, 1), allow, strict, state=0)
    assert taken.decision == "review"
    assert [r.code for r in taken.reasons] == ["strict_review", "policy_approve", "rate_high"]


@pytest.mark.parametrize(
    ("outcome", "allow", "words"),
    [("approve", False, "is the mildest outcome"), ("decline", True, "is the strictest outcome")],
)
def test_a_rule_that_could_change_nothing_is_refused(outcome, allow, words):
    with pytest.raises(ValueError, match=words):
        decision(0.1, (0, 0, 0, 0), rule(outcome, allow))


def test_strictness_may_be_at_the_low_end_of_the_scores():
    appetite = Appetite(4, 7, ("passing", "regular", "loyal"), strict="low")
    assert decision(8, (0, 0, 0, 0), rule("regular"), state=0, appetite=appetite).decision == "regular"
    assert decision(2, (0, 0, 0, 0), rule("regular"), state=0, appetite=appetite).decision == "passing"
    unknown = {"needs": ("age",), "values": KNOWN | {"age": None}, "appetite": appetite}
    assert [decision(score, **unknown).decision for score in (2, 5, 8)] == ["passing", "regular", "regular"]


def run(root, day, score=0.1, risk="daily"):
    taken = decision(score, as_of=NOON + timedelta(days=day), number=f"d-{day}")
    with scores.new_run(root / "scores.db", risk) as add:
        add([(7, taken.as_json()), (8, taken.as_json())])
    return taken.as_of


def latest(root, entity, risk="daily"):
    return scores.latest(root / "scores.db", risk, entity)


def test_a_page_has_the_newest_decision_and_the_scores_in_order_of_time(tmp_path):
    assert latest(tmp_path, 7) == (None, [])
    run(tmp_path, 3, score=0.9)
    timestamps = {day: run(tmp_path, day, score=day / 10) for day in (3, 1, 2)}
    newest = decision(0.3, as_of=timestamps[3], number="d-3").as_json()
    assert latest(tmp_path, 7) == (newest, [(timestamps[1], 0.1), (timestamps[2], 0.2), (timestamps[3], 0.3)])
    assert latest(tmp_path, 9) == (None, []) == latest(tmp_path, 7, "another")


def test_the_oldest_runs_of_each_risk_are_deleted(tmp_path):
    other = run(tmp_path, -5, risk="another")
    timestamps = [run(tmp_path, day) for day in range(scores.KEPT_RUNS + 2)]
    assert [as_of for as_of, _ in latest(tmp_path, 7)[1]] == timestamps[2:]
    assert [as_of for as_of, _ in latest(tmp_path, 7, "another")[1]] == [other]


def test_a_reader_never_sees_half_a_run_and_another_run_does_not_wait(tmp_path):
    run(tmp_path, 0)
    seen = []

    def decisions():
        for entity in (7, 8):
            yield entity, decision(0.9, as_of=NOON + timedelta(days=1)).as_json()
            seen.append([len(latest(tmp_path, e)[1]) for e in (7, 8)])
            run(tmp_path, entity, risk="another")

    with scores.new_run(tmp_path / "scores.db", "daily") as add:
        add(decisions())
    assert seen == [[1, 1], [1, 1]]
    assert [len(latest(tmp_path, e)[1]) for e in (7, 8)] == [2, 2]


@pytest.mark.parametrize(
    ("stored", "meant"),
    [(None, None), (math.nan, None), (np.float64("nan"), None), (pd.NaT, None), (0, 0), (0.0, 0.0), ("CA", "CA"),
     (np.int64(3), 3), (np.float32(0.5), 0.5), (np.bool_(True), True),
     (np.float32("nan"), None), (pd.NA, None)],
)  # fmt: skip
def test_a_stored_value_becomes_a_plain_one(stored, meant):
    answer = featurization.complete({"x": stored}, {"x": "made_view"})["x"]
    assert (type(answer), answer) == (type(meant), meant)


def test_an_empty_count_is_zero_and_an_empty_mean_missing_in_both_forms(monkeypatch):
    override(monkeypatch, featurization, empty_values=lambda: {"orders": {"orders_7d": 0, "amount_7d": None}})
    views = {"orders_7d": "orders", "amount_7d": "orders", "state": "profile"}
    stored = [(None, None, None), (3, 1.5, "CA")]
    online = [featurization.complete(dict(zip(views, row, strict=True)), views) for row in stored]
    frame = featurization.complete_frame(pd.DataFrame(stored, columns=list(views)), views)
    assert online == [dict.fromkeys(views) | {"orders_7d": 0}, {"orders_7d": 3, "amount_7d": 1.5, "state": "CA"}]
    assert frame.astype(object).where(frame.notna(), None).to_dict("records") == online


def test_the_matrix_has_the_cards_inputs_in_its_order_without_gaps():
    people = [{"state": "CA", "rate": 0.5, "age": None, "seen": 1, "trips": 40}, {**dict.fromkeys(NAMES), "seen": 0}]
    expected = [[40.0, 1.0, 2.0, 0.5], [0.0, 0.0, 2.0, 3.0]]
    assert featurization.matrix(people, CARD).tolist() == expected
    assert featurization.matrix([], CARD).shape == (0, 4)


def test_an_input_that_the_feature_service_lost_is_named():
    with pytest.raises(ModelBroken, match=f"needs {CARD.inputs[0].name}, which its feature service does not have"):
        featurization.matrix([{i.name: 1 for i in CARD.inputs[1:]}], CARD)
