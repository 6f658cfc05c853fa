"""A column of a source as the type that its feature is declared with.

Both ways of reading convert here: the point-in-time join when it reads, the online store when it is written. So a
feature has one value, whatever type its source has.
"""

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from feast.value_type import ValueType

Convert = Callable[[pa.Array], pa.Array]
Test = Callable[[pa.DataType], bool]


def as_declared(values: pa.Array, feature: str, kind: ValueType) -> pa.Array:
    """The values in the Arrow type of `kind`. Nulls stay null, and NaN becomes null.

    A number becomes any number that can hold it, or text. A text becomes the number that is written in it. A timestamp
    is cut to the second, because Feast's UNIX_TIMESTAMP holds no more. A null within a list becomes NaN, 0, "" or
    false, because Feast's lists hold no nulls. A type that is neither plain nor a list of plain values stays as it is.

    Raises ValueError for values that cannot be of the declared type.
    """
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    try:
        return _converted(values, kind)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ValueError(
            f"{feature!r} is declared {kind.name}, and its column holds {values.type} ({error}). "
            "Correct the column, or declare the type that it holds and run: feast apply"
        ) from error


def can_be(dtype: pa.DataType, kind: ValueType) -> bool:
    """Whether values of this Arrow type can be of the declared type."""
    try:
        as_declared(pa.array([], dtype), "", kind)
    except ValueError:
        return False
    return True


def _converted(values: pa.Array, kind: ValueType) -> pa.Array:
    if kind in _PLAIN:
        arrow, convert = _PLAIN[kind]
        return pa.nulls(len(values), arrow) if pa.types.is_null(values.type) else convert(values)
    if kind in _RECORDS and not _is_one_of(values.type, *_TEXTS, pa.types.is_map, pa.types.is_struct, pa.types.is_null):
        raise TypeError("no record")
    if kind in _ITEMS and not _is_list(values.type):
        if not pa.types.is_null(values.type):
            raise TypeError("no list")
        return pa.nulls(len(values), pa.list_(_PLAIN[_ITEMS[kind]][0]))
    return _without_null_items(values, _ITEMS.get(kind)) if _is_list(values.type) else values


def _without_null_items(values: pa.Array, kind: ValueType | None) -> pa.Array:
    """A list with its items as `kind`, if there is one, and without nulls among them."""
    items = values.flatten()
    if _is_list(items.type):
        items = _without_null_items(items, None)
    elif kind:
        items = _converted(items, kind)
    fill = next((fill for is_kind, fill in _NULL_ITEMS if is_kind(items.type)), None)
    lengths = pc.list_value_length(values).fill_null(0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths.cast(pa.int32()))])
    items = items if fill is None else items.fill_null(pa.scalar(fill, items.type))
    return pa.ListArray.from_arrays(offsets, items, mask=values.is_null())


def _to_number(arrow: pa.DataType) -> Convert:
    """To whole numbers without a loss, and to floats with the loss that floats have."""

    def convert(values: pa.Array) -> pa.Array:
        if not _is_one_of(values.type, *_NUMBERS, *_TEXTS):
            raise TypeError("no number")
        if pa.types.is_boolean(values.type):
            values = values.cast(pa.int8())
        if pa.types.is_floating(arrow):
            return _without_nan(values.cast(arrow, safe=False))
        return _without_nan(values).cast(arrow)

    return convert


def _to_truth(values: pa.Array) -> pa.Array:
    if not _is_one_of(values.type, *_NUMBERS):
        raise TypeError("no number, and no boolean")
    is_real = _is_one_of(values.type, pa.types.is_floating, pa.types.is_decimal)
    return (_without_nan(values).cast(pa.int64()) if is_real else values).cast(pa.bool_())


def _to_text(values: pa.Array) -> pa.Array:
    """Bytes are UTF-8. What is no integer is written as Python writes it, a timestamp with a zone in UTC."""
    if _is_one_of(values.type, *_TEXTS, pa.types.is_integer, *_BYTES):
        return values.cast(pa.string())
    if not _is_one_of(values.type, *_NUMBERS, pa.types.is_temporal):
        raise TypeError("no plain value")
    if pa.types.is_timestamp(values.type) and values.type.tz:
        values = values.cast(pa.timestamp(values.type.unit, "UTC"))
    return pa.array([_written(item) for item in _without_nan(values).to_pylist()], pa.string())


def _written(item: Any) -> str | None:
    if not isinstance(item, bool | float | Decimal | date | datetime | time | None):
        raise TypeError(f"{item!r} has no text")
    return None if item is None else str(item)


def _to_bytes(values: pa.Array) -> pa.Array:
    if not _is_one_of(values.type, *_BYTES, pa.types.is_fixed_size_binary):
        raise TypeError("no bytes")
    return values.cast(pa.binary())


def _to_timestamp(values: pa.Array) -> pa.Array:
    """A number is seconds since 1970. A timestamp without a zone is in UTC."""
    kind = values.type
    if _is_one_of(kind, pa.types.is_integer, pa.types.is_floating):
        values = _without_nan(values).cast(pa.int64()).cast(pa.timestamp("s"))
    elif pa.types.is_date(kind):
        values = values.cast(pa.timestamp("s"))
    elif pa.types.is_timestamp(kind):
        values = pc.floor_temporal(values.cast(pa.timestamp(kind.unit)), unit="second")
    else:
        raise TypeError("no timestamp")
    return values.cast(_UTC)


def _without_nan(values: pa.Array) -> pa.Array:
    if not pa.types.is_floating(values.type):
        return values
    is_nan = pc.is_nan(values)
    return pc.if_else(is_nan, None, values) if pc.any(is_nan).as_py() else values


def _is_one_of(kind: pa.DataType, *tests: Test) -> bool:
    return any(test(kind) for test in tests)


def _is_list(kind: pa.DataType) -> bool:
    return _is_one_of(kind, pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)


_TEXTS: tuple[Test, ...] = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BYTES: tuple[Test, ...] = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
_NUMBERS: tuple[Test, ...] = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
_UTC = pa.timestamp("us", "UTC")

#: Declared type → its Arrow type, and the conversion to it.
_PLAIN: dict[ValueType, tuple[pa.DataType, Convert]] = {
    ValueType.INT32: (pa.int32(), _to_number(pa.int32())),
    ValueType.INT64: (pa.int64(), _to_number(pa.int64())),
    ValueType.FLOAT: (pa.float32(), _to_number(pa.float32())),
    ValueType.DOUBLE: (pa.float64(), _to_number(pa.float64())),
    ValueType.BOOL: (pa.bool_(), _to_truth),
    ValueType.STRING: (pa.string(), _to_text),
    ValueType.BYTES: (pa.binary(), _to_bytes),
    ValueType.UNIX_TIMESTAMP: (_UTC, _to_timestamp),
}
#: Written as maps, structures or JSON.
_RECORDS = (ValueType.MAP, ValueType.SCALAR_MAP, ValueType.STRUCT)
#: Declared type of a list or a set → that of its items.
_ITEMS = {ValueType[f"{kind.name}_{group}"]: kind for kind in _PLAIN for group in ("LIST", "SET")}
#: What stands for a null within a list.
_NULL_ITEMS: tuple[tuple[Test, Any], ...] = (
    (pa.types.is_floating, float("nan")),
    (pa.types.is_integer, 0),
    (pa.types.is_boolean, False),
    *((is_text, "") for is_text in _TEXTS),
    *((is_bytes, b"") for is_bytes in _BYTES),
)
