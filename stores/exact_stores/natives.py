"""Arrow values as the Python values that Feast's conversion takes.

NumPy is no way there: whole numbers with a null among them become floats, and lists of maps become arrays of objects.
"""

from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa


def natives(values: pa.Array) -> list[Any]:
    """One Python value for each item. A map is a dict, and a date is its midnight.

    Feast has no null inside a list. It stands there as NaN, 0, "" or false.

    >>> natives(pa.array([[1, None, 3], None]))
    [[1, 0, 3], None]
    """
    convert = _converter(values.type)
    items: list[Any] = values.to_pylist(maps_as_pydicts="strict")
    return items if convert is None else [None if item is None else convert(item) for item in items]


def _converter(kind: pa.DataType) -> Callable[[Any], Any] | None:
    """A function from a value that is not null to the one that Feast takes. None if they are equal."""
    if pa.types.is_date(kind):
        return lambda value: datetime.combine(value, time()) if isinstance(value, date) else value
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        null, convert = _null_in_lists(kind.value_type), _converter(kind.value_type) or (lambda value: value)
        return lambda items: [null if item is None else convert(item) for item in items]
    return None


def _null_in_lists(kind: pa.DataType) -> Any:
    if pa.types.is_floating(kind):
        return float("nan")
    if pa.types.is_integer(kind):
        return 0
    if pa.types.is_boolean(kind):
        return False
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ""
    return None
