"""Feast hands an on-demand view its inputs as columns; a feature is defined on one row. This lifts it."""

from collections.abc import Callable, Sequence
from typing import Any

Columns = dict[str, list[Any]]


def lift(function: Callable[..., dict[str, Any]], inputs: Columns, names: Sequence[str]) -> Columns:
    """Call `function` with the values of `names`, row by row; its answers, column by column.

    Shapes: every column has n values, n ≥ 1; the answer has the function's names, n values each.
    """
    rows = [function(*values) for values in zip(*(inputs[name] for name in names), strict=True)]
    return {name: [row[name] for row in rows] for name in rows[0]}
