"""A fitted estimator as ONNX: scikit-learn, LightGBM, XGBoost."""

import re
from collections.abc import Callable
from importlib.metadata import packages_distributions
from typing import Any

import numpy as np
import pandas as pd
from onnx import ModelProto

from errors import ModelRefused
from features.risk import Risk
from model.publishing.boosters import by_onnxmltools_in_32_bits, standalone
from model.publishing.casts import with_casts
from model.publishing.converters import register
from model.publishing.fitted import ONNX_INPUT, Fitted
from model.publishing.onnx_files import read, served
from model.publishing.prepared import prepared, raw_scores
from model.publishing.trees import lightgbm_in_64_bits

CAN = (
    "A model is a fitted classifier with predict_proba, a regressor or a pipeline of scikit-learn, a model of LightGBM "
    "or XGBoost, or an ONNX file."
)
#: A version of ONNX that onnxruntime and all converters know.
_OPSETS = {"": 18, "ai.onnx.ml": 3}
#: How skl2onnx says that it does not know a class.
_UNKNOWN = re.compile(r"Unable to find a shape calculator for type '<class '[\w.]*?(\w+)'>'")
_POSITIONAL = re.compile(r"Column_\d+")
Attempt = Callable[[], ModelProto]


def fitted_with(risk: Risk, estimator: Any) -> list[Fitted]:
    """The ways in which the estimator can become ONNX, in 64 bits and in 32. Raises ModelRefused if there is none."""
    names = [i.name for i in risk.inputs]
    library = type(estimator).__module__.split(".")[0]
    _check(risk, estimator, library)
    order = _order(estimator, names, risk)
    scores = _scores(estimator, library, order, names)
    words = _words(estimator)
    faults, ways = [], []
    for attempt, trees in _attempts(estimator, library, order, names):
        try:
            content = served(read(attempt().SerializeToString()), names, risk.task, order)
        except Exception as error:  # a converter raises what it likes
            faults.append(_cause(error))
            continue
        base = 0.0 if trees is None else _base(trees, len(names))
        ways.append(Fitted(words, content, scores, base, trees=trees, libraries=(_distribution(library),)))
    if not ways:
        raise ModelRefused(f"{words} cannot become an ONNX file: {faults[0]} {CAN} The current model stays.")
    return ways


def _cause(error: Exception) -> str:
    """What a converter raised, as a sentence with what to do."""
    text = " ".join(str(error).split())
    if unknown := _UNKNOWN.search(text):
        return f"{unknown[1]} has no form in ONNX. Use another step, or make its result an input of the risk."
    if isinstance(error, ValueError) and text.endswith("."):  # a sentence of ours
        return text
    return f"its converter fails ({text[:200] or type(error).__name__}). Use another step or estimator."


def _check(risk: Risk, estimator: Any, library: str) -> None:
    """Raises ModelRefused unless it is a fitted estimator of the risk's task."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    words = _words(estimator)
    if type(estimator).__name__ == "Booster":
        return
    if not hasattr(estimator, "predict"):
        raise ModelRefused(f"{words} cannot be published. {CAN} The current model stays.")
    if library != "xgboost":
        try:
            check_is_fitted(estimator)
        except NotFittedError:
            raise ModelRefused(f"{words} is not fitted. Call fit() first. The current model stays.") from None
        except TypeError as error:
            raise ModelRefused(f"{words} cannot be published ({error}). {CAN} The current model stays.") from error
    classes = getattr(estimator, "classes_", None)
    if risk.task == "classification" and not hasattr(estimator, "predict_proba"):
        raise ModelRefused(
            f"{words} gives no probabilities, and {risk.name} is a classification. Publish a classifier with "
            "predict_proba, such as CalibratedClassifierCV around it. The current model stays."
        )
    if risk.task == "regression" and classes is not None:
        raise ModelRefused(f"{words} gives classes, and {risk.name} is a regression. The current model stays.")
    if classes is not None and [str(c) for c in classes] not in (["0", "1"], ["0.0", "1.0"], ["False", "True"]):
        seen = ", ".join(map(repr, np.asarray(classes).tolist()[:5]))
        raise ModelRefused(
            f"{words} has the classes {seen}. The service reads the probability of class 1: fit it with the labels "
            "0 and 1. The current model stays."
        )


def _order(estimator: Any, names: list[str], risk: Risk) -> list[str]:
    """The inputs in the order in which the estimator takes them. Raises ModelRefused if it takes others."""
    words = _words(estimator)
    known = getattr(estimator, "feature_names_in_", None)
    if known is None and type(estimator).__name__ == "Booster":
        known = estimator.feature_name() if callable(getattr(estimator, "feature_name", None)) else None
        known = getattr(estimator, "feature_names", None) if known is None else known
    if known is not None and not all(_POSITIONAL.fullmatch(str(name)) for name in known):
        order = [str(name) for name in known]
        if unknown := [name for name in order if name not in names]:
            raise ModelRefused(
                f"{words} was fitted with {', '.join(unknown)}, which {risk.name} does not have. Its inputs are "
                f"{', '.join(names)}. The current model stays."
            )
        return order
    count = getattr(estimator, "n_features_in_", len(names) if known is None else len(known))
    if count != len(names):
        raise ModelRefused(
            f"{words} was fitted with {count} columns, and {risk.name} has {len(names)} inputs: {', '.join(names)}. "
            "Fit it with these, in this order, or with a frame that has their names. The current model stays."
        )
    return names


def _scores(estimator: Any, library: str, order: list[str], names: list[str]) -> Callable[[np.ndarray], np.ndarray]:
    """The estimator's own scores, for rows in the order of the risk's inputs."""
    by_name = getattr(estimator, "feature_names_in_", None) is not None
    columns = [names.index(name) for name in order]

    def scores(rows: np.ndarray) -> np.ndarray:
        taken: Any = rows[:, columns]
        if type(estimator).__name__ == "Booster":
            if library == "xgboost":
                from xgboost import DMatrix

                taken = DMatrix(taken, feature_names=estimator.feature_names)
            return np.asarray(estimator.predict(taken), dtype=float).reshape(len(rows))
        taken = pd.DataFrame(taken, columns=order) if by_name else taken
        if hasattr(estimator, "predict_proba"):
            return np.asarray(estimator.predict_proba(taken), dtype=float)[:, 1]
        return np.asarray(estimator.predict(taken), dtype=float).reshape(len(rows))

    return scores


def _attempts(estimator: Any, library: str, order: list[str], names: list[str]) -> list[tuple[Attempt, str | None]]:
    """Functions that give an ONNX model or raise, each with LightGBM's text if that explains it."""
    count = len(order)
    if library == "lightgbm":
        booster = getattr(estimator, "booster_", estimator)
        exact = lightgbm_in_64_bits(booster)
        is_whole = order == names and exact is not None and not booster.dump_model()["average_output"]
        text = booster.model_to_string() if is_whole else None
        return [
            (lambda: standalone(estimator, count), text),
            (lambda: by_onnxmltools_in_32_bits(estimator, count), None),
        ]
    made = prepared(estimator)
    if library == "xgboost":
        return [(lambda: standalone(made, count), None)]
    return [(lambda bits=bits: _by_skl2onnx(made, count, bits), None) for bits in (64, 32)]  # type: ignore[misc]


def _by_skl2onnx(estimator: Any, inputs: int, bits: int) -> ModelProto:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    register()
    shape = [(ONNX_INPUT, (DoubleTensorType if bits == 64 else FloatTensorType)([None, inputs]))]
    options: dict[int, dict[str, bool]] = raw_scores(estimator)
    if hasattr(estimator, "predict_proba"):
        options[id(estimator)] = {"zipmap": False}
    model = to_onnx(estimator, initial_types=shape, options=options, target_opset=_OPSETS)
    assert isinstance(model, ModelProto)
    return with_casts(model)


def _base(trees: str, inputs: int) -> float:
    from lightgbm import Booster

    return float(np.asarray(Booster(model_str=trees).predict(np.zeros((1, inputs)), pred_contrib=True))[0, -1])


def _words(estimator: Any) -> str:
    """`Pipeline(SimpleImputer, RandomForestClassifier)`."""
    steps = ", ".join(type(step).__name__ for _, step in getattr(estimator, "steps", []))
    return f"{type(estimator).__name__}({steps})" if steps else type(estimator).__name__


def _distribution(library: str) -> str:
    """What pip installs it as: `xgboost` comes with xgboost or with xgboost-cpu."""
    return packages_distributions()[library][0]
