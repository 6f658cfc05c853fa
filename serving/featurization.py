"""Between the store and the model: what stands for a value that is not stored, and the row that the model takes.
The same for one request and for a training set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from features.domains import empty_values
from model.card import Card


def complete(features: Mapping[str, Any], views: Mapping[str, str]) -> dict[str, Any]:
    """Plain values: where nothing is stored a count is 0 and a mean is None, as the feature's definition says.

    `views` names the feature view of each feature.
    """
    return {
        name: _when_empty(views[name], name) if _is_missing(value) else _plain(value)
        for name, value in features.items()
    }


def _when_empty(view: str, name: str) -> Any:
    return empty_values().get(view, {}).get(name.removeprefix(f"{view}__"))


def complete_frame(frame: pd.DataFrame, views: Mapping[str, str]) -> pd.DataFrame:
    """The same for columns; a column of no view is left alone."""
    defaults = {name: _when_empty(view, name) for name, view in views.items() if name in frame}
    filled = {n: frame[n].where(frame[n].notna(), value) for n, value in defaults.items() if value is not None}
    return frame.assign(**filled)


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value != value  # NaN and NaT are not equal to themselves


def _plain(value: Any) -> Any:
    """numpy's numbers as Python's, so that JSON knows them."""
    return value.item() if isinstance(value, np.generic) else value


def rows(frame: pd.DataFrame, card: Card) -> np.ndarray:
    """The model's matrix: the card's inputs in the card's order, missing values replaced by the card's. Float64."""
    matrix = frame[[i.name for i in card.inputs]].to_numpy(dtype=float, na_value=np.nan)
    return np.where(np.isnan(matrix), [i.missing for i in card.inputs], matrix)


def row(features: Mapping[str, Any], card: Card) -> np.ndarray:
    """One request's matrix, shape (1, inputs)."""
    values = [features[i.name] for i in card.inputs]
    return np.array([[i.missing if v is None else v for v, i in zip(values, card.inputs, strict=True)]], dtype=float)
