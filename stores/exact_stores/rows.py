"""How the features of one entity lie in one SQLite row: a plain feature as a native value, any other as the bytes of
Feast's `Value`. Plain are numbers, text, bytes, booleans and moments; a NaN is missing, as in Feast's conversion."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
from feast import FeatureView
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.value_type import ValueType

from exact_stores import names

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Plain(NamedTuple):
    """A type that SQLite has too: the field of `Value`, the column's affinity, and the Arrow type to cast a column to
    where `accepts` says that nothing is lost in between."""

    field: str
    affinity: str
    arrow: pa.DataType
    accepts: Callable[[pa.DataType], bool]


PLAIN = {
    ValueType.INT32: Plain("int32_val", "INTEGER", pa.int32(), pa.types.is_integer),
    ValueType.INT64: Plain("int64_val", "INTEGER", pa.int64(), pa.types.is_integer),
    ValueType.FLOAT: Plain("float_val", "REAL", pa.float32(), pa.types.is_floating),
    ValueType.DOUBLE: Plain("double_val", "REAL", pa.float64(), pa.types.is_floating),
    ValueType.BOOL: Plain("bool_val", "INTEGER", pa.bool_(), pa.types.is_boolean),
    ValueType.STRING: Plain("string_val", "TEXT", pa.large_string(), lambda t: t in (pa.string(), pa.large_string())),
    ValueType.BYTES: Plain("bytes_val", "BLOB", pa.large_binary(), lambda t: t in (pa.binary(), pa.large_binary())),
    ValueType.UNIX_TIMESTAMP: Plain("unix_timestamp_val", "INTEGER", pa.int64(), lambda _: False),
}


@dataclass(frozen=True)
class Column:
    """A feature and its type. Both are in the column's name: a feature that changes its type is another column, so
    that no value is ever read as a type it was not written with."""

    feature: str
    type: ValueType

    @cached_property
    def name(self) -> str:
        return names.folded(f"{self.feature} {self.type.name.lower()}")

    @property
    def affinity(self) -> str:
        return PLAIN[self.type].affinity if self.type in PLAIN else "BLOB"

    def from_value(self, value: Value | None) -> Any:
        """What SQLite is to keep. Raises TypeError where the value is not of the declared type."""
        field = value.WhichOneof("val") if value else None
        if value is None or field is None:
            return None
        if self.type not in PLAIN:
            return value.SerializeToString(deterministic=True)
        if field != PLAIN[self.type].field:
            raise TypeError(
                f"The feature {self.feature!r} is declared {self.type.name}, and a {field} was to be written. "
                "Write what is declared, or declare it so and run: feast apply"
            )
        return getattr(value, field)

    def to_value(self, kept: Any) -> Value:
        if kept is None:
            return Value()
        return Value(**{PLAIN[self.type].field: kept}) if self.type in PLAIN else Value.FromString(kept)

    @property
    def to_python(self) -> Callable[[Any], Any] | None:
        """From what SQLite kept (never null) to what `to_dict()` gives; None where that is the same."""
        if self.type == ValueType.BOOL:
            return bool
        if self.type in PLAIN and self.type != ValueType.UNIX_TIMESTAMP:
            return None
        return lambda kept: feast_value_type_to_python_type(self.to_value(kept), self.type)

    def from_arrow(self, values: pa.Array) -> list[Any]:
        """One item a row. Raises ValueError where a number does not fit, and what Feast's own conversion raises."""
        plain = PLAIN.get(self.type)
        if plain and plain.accepts(values.type):
            return values.cast(plain.arrow).to_pylist()
        protos = python_values_to_proto_values(values.to_numpy(zero_copy_only=False), self.type)
        return [self.from_value(proto) for proto in protos]


def columns(view: FeatureView) -> tuple[Column, ...]:
    return tuple(Column(field.name, field.dtype.to_value_type()) for field in view.features)


def join_keys(view: FeatureView) -> dict[str, ValueType]:
    """Raises ValueError for a view as it is written in Python: its keys get their types when it is applied."""
    if not view.entity_columns:
        raise ValueError(f"The join keys of {view.name!r} have no types yet. Apply it, and take it from the registry.")
    return {field.name: field.dtype.to_value_type() for field in view.entity_columns}


def from_values(layout: Iterable[Column], values: Mapping[str, Value]) -> list[Any]:
    """The features of one row; one that is not given is null, for a row is written whole."""
    return [column.from_value(values.get(column.feature)) for column in layout]


def microseconds(moment: datetime | None) -> int | None:
    """Since 1970, rounded down; without a zone it is in UTC. None of None and of pandas' NaT."""
    if moment is None or moment != moment:
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH) // _MICROSECOND


def moment(since_1970: int) -> datetime:
    return EPOCH + since_1970 * _MICROSECOND


def moments(batch: pa.RecordBatch, name: str) -> list[int | None]:
    """A column of moments as microseconds since 1970. Raises ValueError where it holds anything else."""
    kind = batch.schema.field(name).type
    if not (pa.types.is_timestamp(kind) or pa.types.is_null(kind)):
        raise ValueError(f"The column {name!r} is {kind}. Give moments: an Arrow timestamp in UTC.")
    return batch.column(name).cast(pa.timestamp("us"), safe=False).cast(pa.int64()).to_pylist()
