"""Between the store and the model: the value of a feature that is not stored, and the matrix that a model takes. A
request and a training set use the same code."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from errors import ModelBroken
from features.domains import empty_values
from model.card import Card

#: The types of most values. They are plain already, so a decision does not pay for a call for each of its features.
_PLAIN = frozenset((int, float, str, bool))


def complete(features: Mapping[str, Any], views: Mapping[str, str]) -> dict[str, Any]:
    """The features as plain Python values. Where nothing is stored, a feature has the empty value of its definition: 0
    for a count, None for a mean. `views` maps a feature to its feature view."""
    return {
        name: value if type(value) in _PLAIN and value == value else _completed(views[name], name, value)
        for name, value in features.items()
    }


def complete_frame(frame: pd.DataFrame, views: Mapping[str, str]) -> pd.DataFrame:
    """The same for the columns of a frame. Columns that are not in `views` stay as they are."""
    empty = {name: _empty_value(view, name) for name, view in views.items() if name in frame}
    filled = {name: frame[name].where(frame[name].notna(), value) for name, value in empty.items() if value is not None}
    return frame.assign(**filled)


def matrix(features: Sequence[Mapping[str, Any]], card: Card) -> np.ndarray:
    """The model's input, shape (rows, inputs), float64: the card's inputs in the card's order, and the card's median
    for a value that is None. Raises ModelBroken if the feature service no longer has an input of the card."""
    names = [(i.name, i.missing) for i in card.inputs]
    if features and (gone := [name for name, _ in names if name not in features[0]]):
        raise ModelBroken(
            f"The model {card.name} {card.version} needs {', '.join(gone)}, which its feature service does not have. "
            f"Train again: python -m jobs train {card.name}"
        )
    rows = [[missing if row[name] is None else row[name] for name, missing in names] for row in features]
    return np.array(rows, dtype=float).reshape(len(rows), len(names))


def _empty_value(view: str, name: str) -> Any:
    return empty_values().get(view, {}).get(name.removeprefix(f"{view}__"))


def _completed(view: str, name: str, value: Any) -> Any:
    """A value as a plain one: a numpy number as a Python number, which JSON can hold."""
    if value is None or value is pd.NA or value != value:  # NaN and NaT are not equal to themselves
        return _empty_value(view, name)
    return value.item() if isinstance(value, np.generic) else value
