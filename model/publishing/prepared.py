"""A copy of an estimator in the form that converters understand. It gives the same scores."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np


def prepared(estimator: Any) -> Any:
    """The copy. Columns that steps know by name become positions, wherever the step stands; and what a converter
    would misread, or refuse for its form only, is said in another way."""
    made = copy.deepcopy(estimator)
    for part in _parts(made, set()):
        change = _CHANGES.get(type(part).__name__)
        if change and _is_fitted(part):
            change(part)
    return made


def _parts(part: Any, seen: set[int]) -> Iterator[Any]:
    """An estimator and all that are inside of it."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, dict):
        inner = list(part.values())
    elif isinstance(part, list | tuple):
        inner = list(part)
    elif _is_estimator(part):
        inner = list(vars(part).values())
    else:
        return
    for value in inner:
        yield from _parts(value, seen)
    if _is_estimator(part):
        yield part


def raw_scores(estimator: Any) -> dict[int, dict[str, bool]]:
    """The id of an estimator → options of its converter. A calibration takes the `decision_function` of what it
    calibrates, and the converter sees no further than a pipeline."""
    options: dict[int, dict[str, bool]] = {}
    for part in _parts(estimator, set()):
        calibrated: Any = getattr(part, "estimator", None)
        if type(part).__name__ == "_CalibratedClassifier" and hasattr(calibrated, "steps"):
            while hasattr(calibrated, "steps"):
                calibrated = calibrated.steps[-1][1]
            if hasattr(calibrated, "decision_function"):
                options[id(calibrated)] = {"raw_scores": True}
    return options


def _is_estimator(part: Any) -> bool:
    return type(part).__module__.split(".")[0] in ("sklearn", "xgboost", "lightgbm") and hasattr(part, "__dict__")


def _is_fitted(part: Any) -> bool:
    """An ensemble keeps the estimators that it was made of too, which were never fitted."""
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    if not hasattr(part, "fit"):
        return True
    try:
        check_is_fitted(part)
    except NotFittedError:
        return False
    return True


def _by_position(transformer: Any) -> None:
    """A ColumnTransformer that takes one matrix."""
    names = [str(name) for name in getattr(transformer, "feature_names_in_", [])]
    count = transformer.n_features_in_

    def positions(columns: Any) -> list[int]:
        if isinstance(columns, str):
            return [names.index(columns)]
        if isinstance(columns, slice) and not isinstance(columns.start or columns.stop or 0, str):
            return list(range(count))[columns]
        listed = (
            list(range(names.index(columns.start), names.index(columns.stop) + 1))
            if isinstance(columns, slice)
            else list(np.atleast_1d(columns))
        )
        if listed and isinstance(listed[0], bool | np.bool_):
            return [place for place, is_taken in enumerate(listed) if is_taken]
        return [names.index(column) if isinstance(column, str) else int(column) % count for column in listed]

    transformer.transformers_ = [(name, step, positions(columns)) for name, step, columns in transformer.transformers_]
    transformer._columns = [columns for _, _, columns in transformer.transformers_[: len(transformer.transformers)]]
    transformer.transformers = [
        (name, step, columns)
        for (name, step, _), columns in zip(transformer.transformers, transformer._columns, strict=True)
    ]


def _as_logistic(discriminant: Any) -> None:
    """The converter takes a softmax of two classes for every linear classifier that is no logistic regression."""
    from sklearn.linear_model import LogisticRegression

    discriminant.__class__ = LogisticRegression
    for name, value in LogisticRegression().get_params().items():
        vars(discriminant).setdefault(name, value)


def _with_dense_bins(discretizer: Any) -> None:
    if discretizer.encode == "onehot":  # the same numbers, kept in another way
        discretizer.encode = "onehot-dense"


def _with_an_array_of_weights(vote: Any) -> None:
    if vote.weights is not None:
        vote.weights = np.asarray(vote.weights, dtype=float)
    vote.flatten_transform = False  # no matter for probabilities, and the converter refuses it


def _without_ice(calibrated: Any) -> None:
    """FrozenEstimator only keeps a calibration from fitting again what is in it."""
    if type(calibrated.estimator).__name__ == "FrozenEstimator":
        calibrated.estimator = calibrated.estimator.estimator


def _without_names(model: Any) -> None:
    """XGBoost's converter wants f0, f1 and so on."""
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if type(booster).__module__.startswith("xgboost"):
        booster.feature_names = booster.feature_types = None


_CHANGES = {
    "_CalibratedClassifier": _without_ice,
    "ColumnTransformer": _by_position,
    "LinearDiscriminantAnalysis": _as_logistic,
    "KBinsDiscretizer": _with_dense_bins,
    "VotingClassifier": _with_an_array_of_weights,
    **dict.fromkeys(("XGBClassifier", "XGBRegressor", "XGBRFClassifier", "XGBRFRegressor", "Booster"), _without_names),
}
