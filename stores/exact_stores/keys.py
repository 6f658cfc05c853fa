"""Entity keys as bytes.

They are the bytes of Feast's `serialize_entity_key`, version 3, made without a message for each key.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from struct import Struct, error
from typing import Any

from feast.value_type import ValueType

from exact_stores.timestamps import zoned

_LENGTH = Struct("<I")
_TYPE_AND_LENGTH = Struct("<II")
_INT32, _INT64 = Struct("<IIi"), Struct("<IIq")
#: Read once, as reading the value of an enum is slow.
_STRING_TYPE, _BYTES_TYPE, _INT32_TYPE, _INT64_TYPE, _TIMESTAMP_TYPE = (
    kind.value
    for kind in (ValueType.STRING, ValueType.BYTES, ValueType.INT32, ValueType.INT64, ValueType.UNIX_TIMESTAMP)
)
_WRONG_VALUE = (AttributeError, TypeError, IndexError, OverflowError, error)

EntityKey = Callable[..., bytes]


def entity_key(join_keys: Mapping[str, ValueType]) -> EntityKey:
    """A function that takes one value for each join key, in the order of `join_keys`, and returns the entity key.

    Raises TypeError for a type of which Feast makes no keys. The function raises TypeError for a value of a wrong type.
    """
    for name, kind in join_keys.items():
        if kind not in _ENCODERS:
            raise TypeError(f"The join key {name!r} is of type {kind.name}. Make it one of {', '.join(_type_names())}.")
    names = sorted(join_keys)
    head = _LENGTH.pack(len(names)) + b"".join(_text(name) for name in names)
    encoders = tuple(_ENCODERS[join_keys[name]] for name in names)
    positions = [list(join_keys).index(name) for name in names]
    (first, *others), steps = encoders, tuple(zip(encoders, positions, strict=True))

    def single_key(value: Any) -> bytes:
        try:
            return head + first(value)
        except _WRONG_VALUE as cause:
            raise _type_error(join_keys, value) from cause

    def composite_key(*values: Any) -> bytes:
        try:
            return head + b"".join([encode(values[position]) for encode, position in steps])
        except _WRONG_VALUE as cause:
            raise _type_error(join_keys, *values) from cause

    return composite_key if others else single_key


def _type_error(join_keys: Mapping[str, ValueType], *values: Any) -> TypeError:
    expected = ", ".join(f"{name} ({kind.name})" for name, kind in join_keys.items())
    received = ", ".join(type(value).__name__ for value in values)
    return TypeError(f"The entity key's values are {received}. Give {expected}.")


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _TYPE_AND_LENGTH.pack(_STRING_TYPE, len(encoded)) + encoded


def _bytes(value: bytes) -> bytes:
    return _TYPE_AND_LENGTH.pack(_BYTES_TYPE, len(value)) + value


def _int32(value: int) -> bytes:
    return _INT32.pack(_INT32_TYPE, 4, value)


def _int64(value: int) -> bytes:
    return _INT64.pack(_INT64_TYPE, 8, value)


def _timestamp(value: datetime | int) -> bytes:
    """Whole seconds since 1970, as Feast takes them."""
    if isinstance(value, datetime):
        value = int(zoned(value).timestamp())
    return _INT64.pack(_TIMESTAMP_TYPE, 8, value)


_ENCODERS: dict[ValueType, Callable[[Any], bytes]] = {
    ValueType.STRING: _text,
    ValueType.BYTES: _bytes,
    ValueType.INT32: _int32,
    ValueType.INT64: _int64,
    ValueType.UNIX_TIMESTAMP: _timestamp,
}


def _type_names() -> list[str]:
    return [kind.name for kind in _ENCODERS]
