"""How one entity's features lie in a SQLite row.

A plain feature (a number, text, bytes, a boolean or a timestamp) is a native SQLite value. Any other feature is the
bytes of Feast's `Value` message. NaN is stored as null, as Feast's own conversion does.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
from feast import FeatureView
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_NAME
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.value_type import ValueType

from exact_stores.declared import as_declared
from exact_stores.names import folded


class Plain(NamedTuple):
    """A type that SQLite has too.

    `field` is its field of Feast's `Value`, `affinity` its SQLite column type.
    """

    field: str
    affinity: str


PLAIN = {
    ValueType.INT32: Plain("int32_val", "INTEGER"),
    ValueType.INT64: Plain("int64_val", "INTEGER"),
    ValueType.FLOAT: Plain("float_val", "REAL"),
    ValueType.DOUBLE: Plain("double_val", "REAL"),
    ValueType.BOOL: Plain("bool_val", "INTEGER"),
    ValueType.STRING: Plain("string_val", "TEXT"),
    ValueType.BYTES: Plain("bytes_val", "BLOB"),
    ValueType.UNIX_TIMESTAMP: Plain("unix_timestamp_val", "INTEGER"),
}


@dataclass(frozen=True)
class Column:
    """A feature and its type.

    The SQLite column's name holds both. A feature that changes its type gets another column, so no value is ever read
    as a type that it was not written with.
    """

    feature: str
    type: ValueType

    @cached_property
    def name(self) -> str:
        """The name of the SQLite column."""
        return folded(f"{self.feature} {self.type.name.lower()}")

    @property
    def affinity(self) -> str:
        """The type of the SQLite column."""
        return PLAIN[self.type].affinity if self.type in PLAIN else "BLOB"

    def from_value(self, value: Value | None) -> Any:
        """The SQLite value of Feast's `Value`. Raises TypeError if the value is not of the declared type."""
        field = value.WhichOneof("val") if value else None
        if value is None or field is None:
            return None
        if self.type not in PLAIN:
            return value.SerializeToString(deterministic=True)
        if field != PLAIN[self.type].field:
            raise TypeError(
                f"The feature {self.feature!r} is declared {self.type.name}, and its value is a {field}. "
                "Write a value of the declared type, or change the declaration and run: feast apply"
            )
        return getattr(value, field)

    def to_value(self, stored: Any) -> Value:
        """Feast's `Value` of a SQLite value."""
        if stored is None:
            return Value()
        return Value(**{PLAIN[self.type].field: stored}) if self.type in PLAIN else Value.FromString(stored)

    @property
    def to_python(self) -> Callable[[Any], Any] | None:
        """A function from the SQLite value (never null) to what Feast's `to_dict()` gives. None if they are equal."""
        if self.type == ValueType.BOOL:
            return bool
        if self.type in PLAIN and self.type != ValueType.UNIX_TIMESTAMP:
            return None
        return lambda stored: feast_value_type_to_python_type(self.to_value(stored), self.type)

    def from_arrow(self, values: pa.Array) -> list[Any]:
        """The SQLite values of an Arrow array, one for each item.

        Raises ValueError for values that cannot be of the declared type, and whatever Feast's own conversion raises.
        """
        values = as_declared(values, self.feature, self.type)
        if self.type == ValueType.UNIX_TIMESTAMP:
            values = values.cast(pa.timestamp("s", "UTC")).cast(pa.int64())
        if self.type in PLAIN:
            return values.to_pylist()  # type: ignore[no-any-return]  # ten times as fast as with the option below
        items: list[Any] = values.to_pylist(maps_as_pydicts="strict")
        return [self.from_value(proto) for proto in python_values_to_proto_values(items, self.type)]


def columns(view: FeatureView) -> tuple[Column, ...]:
    """A column for each feature of the view, in the view's order."""
    return tuple(Column(field.name, field.dtype.to_value_type()) for field in view.features)


def join_keys(view: FeatureView) -> dict[str, ValueType]:
    """The view's join keys and their types, in the order of `view.entity_columns`. A view without entities has Feast's.

    Raises ValueError for a view that was not applied: its join keys get their types when it is applied.
    """
    if view.entities in ([], [DUMMY_ENTITY_NAME]):
        return {DUMMY_ENTITY_ID: ValueType.STRING}
    if not view.entity_columns:
        raise ValueError(f"The join keys of {view.name!r} have no types yet. Apply it, and take it from the registry.")
    return {field.name: field.dtype.to_value_type() for field in view.entity_columns}


def declared_types(view: FeatureView) -> dict[str, ValueType]:
    """The types of the view's join keys and features."""
    return join_keys(view) | {column.feature: column.type for column in columns(view)}


def from_values(layout: Iterable[Column], values: Mapping[str, Value]) -> list[Any]:
    """The SQLite values of one row, in the order of `layout`. A feature without a value is null: rows are whole."""
    return [column.from_value(values.get(column.feature)) for column in layout]
