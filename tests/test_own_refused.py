"""What cannot serve is refused with what was seen, and changes nothing."""

import numpy as np
import pandas as pd
import pytest
from onnx import TensorProto
from own_model import FRAMES, X, fitted, on_disk, risk_of, sums_of_rows
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.svm import LinearSVC

import model
from errors import BadInput, BadParameter, ModelRefused

pytestmark = pytest.mark.slow

CANNOT_BE_ONNX = {
    "no ONNX at all": (b"PK garbage", "no ONNX file"),
    "an empty file": (b"", "ONNX file"),
    "texts": (sums_of_rows(TensorProto.STRING), r"takes x: string \[n, 3\]"),
    "whole numbers in a matrix": (sums_of_rows(TensorProto.INT64), r"takes x: int64 \[n, 3\]"),
    "another number of inputs": (
        sums_of_rows(width=4),
        r"takes x: float \[n, 4\].*has 3 inputs: orders, spent, weekday",
    ),
    "labels only": (sums_of_rows(output_type=TensorProto.INT64), r"gives y: int64 \[n, 1\]"),
    "numbers that are no probabilities": (sums_of_rows(scale="Neg"), "a probability for each row"),
    "no number for negative roots": (sums_of_rows(scale="Log").replace(b"Log", b"Foo"), "cannot be served|no ONNX"),
}


@pytest.mark.parametrize("fault", CANNOT_BE_ONNX)
def test_an_onnx_file_that_cannot_be_served_is_refused_with_what_was_seen(tmp_path, fault):
    risk, estimator, frame, _ = fitted("logistic regression")
    model.publish(risk, estimator, frame, root=tmp_path)
    before = on_disk(tmp_path)
    content, message = CANNOT_BE_ONNX[fault]
    with pytest.raises(ModelRefused, match=message):
        model.publish(risk, content, frame, root=tmp_path)
    assert on_disk(tmp_path) == before


def three_classes(frame):
    return LogisticRegression(max_iter=500).fit(frame[X], frame.index % 3)


CANNOT_BE_PUBLISHED = {
    "not fitted": (lambda frame: LogisticRegression(), "is not fitted"),
    "no model": (lambda frame: {"a": 1}, "dict cannot be published"),
    "no probabilities": (lambda frame: LinearSVC().fit(frame[X], frame["loyalty"]), "gives no probabilities"),
    "numbers for a classification": (lambda frame: Ridge().fit(frame[X], frame["loyalty"]), "gives no probabilities"),
    "three classes": (three_classes, "has the classes 0, 1, 2. "),
    "labels that are words": (
        lambda frame: LogisticRegression(max_iter=500).fit(frame[X], frame["loyalty"].map({0: "good", 1: "bad"})),
        "has the classes 'bad', 'good'. ",
    ),
    "a column that the risk lacks": (
        lambda frame: LogisticRegression(max_iter=500).fit(frame[X].assign(age=1.0), frame["loyalty"]),
        "was fitted with age, which made_up does not have",
    ),
    "too few columns without names": (
        lambda frame: LogisticRegression(max_iter=500).fit(frame[X[:2]].to_numpy(), frame["loyalty"]),
        "was fitted with 2 columns, and made_up has 3 inputs",
    ),
}


@pytest.mark.parametrize("fault", CANNOT_BE_PUBLISHED)
def test_an_estimator_that_cannot_be_served_is_refused(tmp_path, fault):
    make, message = CANNOT_BE_PUBLISHED[fault]
    frame = FRAMES["classification"]
    with pytest.raises(ModelRefused, match=message):
        model.publish(risk_of("classification"), make(frame), frame, root=tmp_path)
    assert not (tmp_path / "models").exists()


FRAME_FAULTS = {
    "no input": (lambda frame: frame.drop(columns="spent"), "training frame has no spent"),
    "no label": (lambda frame: frame.drop(columns="loyalty"), "training frame has no loyalty"),
    "no rows": (lambda frame: frame.head(0), "has no rows"),
    "text": (lambda frame: frame.assign(spent="much"), "spent of the training frame is .*encode it"),
    "infinite": (lambda frame: frame.assign(spent=np.inf), "spent is infinite in 1,200 of 1,200"),
    "no known label": (lambda frame: frame.assign(loyalty=np.nan), "loyalty is missing in 1,200"),
    "one class": (lambda frame: frame.assign(loyalty=1), "is 1. A classification needs"),
    "a naive timestamp": (
        lambda frame: frame.assign(event_timestamp=frame["event_timestamp"].dt.tz_localize(None)), "tz_localize",
    ),
    "a column twice": (lambda frame: pd.concat([frame, frame[["spent"]]], axis=1), "has spent 2 times"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FRAME_FAULTS)
def test_a_wrong_frame_is_refused_with_what_was_seen(tmp_path, fault):
    risk, estimator, frame, _ = fitted("logistic regression")
    change, message = FRAME_FAULTS[fault]
    with pytest.raises(BadInput, match=message):
        model.publish(risk, estimator, change(frame), root=tmp_path)


def test_a_name_that_is_no_risk_or_input_is_refused(tmp_path):
    risk, estimator, frame, _ = fitted("logistic regression")
    with pytest.raises(BadParameter, match="Did you mean 'chargeback'"):
        model.publish("chargebak", estimator, frame, root=tmp_path)
    with pytest.raises(BadInput, match="'order' is no input"):
        model.publish(risk, estimator, frame, accept_against=["order"], root=tmp_path)
