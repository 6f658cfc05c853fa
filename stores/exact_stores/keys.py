"""Entity keys as bytes: those of Feast's `serialize_entity_key` in version 3, made without a message for each key."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from struct import Struct, error
from typing import Any

from feast.value_type import ValueType

_LENGTH = Struct("<I")
_TYPE_AND_LENGTH = Struct("<II")
_INT32, _INT64 = Struct("<IIi"), Struct("<IIq")
#: Looked up once: an enum's value is slow to come by.
_OF_STRING, _OF_BYTES, _OF_INT32, _OF_INT64, _OF_MOMENT = (
    kind.value
    for kind in (ValueType.STRING, ValueType.BYTES, ValueType.INT32, ValueType.INT64, ValueType.UNIX_TIMESTAMP)
)
_NO_KEY = (AttributeError, TypeError, IndexError, OverflowError, error)

EntityKey = Callable[..., bytes]


def entity_key(join_keys: Mapping[str, ValueType]) -> EntityKey:
    """A function of the values of these join keys, in this order, that returns their entity key.

    Raises TypeError for a type of which Feast makes no keys; the function raises it for a value of another type.
    """
    for name, kind in join_keys.items():
        if kind not in _ENCODE:
            raise TypeError(f"The join key {name!r} is of type {kind.name}. Make it one of {', '.join(_names())}.")
    names = sorted(join_keys)
    head = _LENGTH.pack(len(names)) + b"".join(_text(name) for name in names)
    encode = tuple(_ENCODE[join_keys[name]] for name in names)
    places = [list(join_keys).index(name) for name in names]
    (first, *others), steps = encode, tuple(zip(encode, places, strict=True))

    def of_one(value: Any) -> bytes:
        try:
            return head + first(value)
        except _NO_KEY as cause:
            raise _refused(join_keys, value) from cause

    def of_several(*values: Any) -> bytes:
        try:
            return head + b"".join([part(values[place]) for part, place in steps])
        except _NO_KEY as cause:
            raise _refused(join_keys, *values) from cause

    return of_several if others else of_one


def _refused(join_keys: Mapping[str, ValueType], *values: Any) -> TypeError:
    wanted = ", ".join(f"{name} ({kind.name})" for name, kind in join_keys.items())
    given = ", ".join(type(value).__name__ for value in values)
    return TypeError(f"An entity key of {given} was asked for. Give {wanted}.")


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _TYPE_AND_LENGTH.pack(_OF_STRING, len(encoded)) + encoded


def _bytes(value: bytes) -> bytes:
    return _TYPE_AND_LENGTH.pack(_OF_BYTES, len(value)) + value


def _int32(value: int) -> bytes:
    return _INT32.pack(_OF_INT32, 4, value)


def _int64(value: int) -> bytes:
    return _INT64.pack(_OF_INT64, 8, value)


def _moment(value: datetime | int) -> bytes:
    """Whole seconds, as Feast takes them; a moment without a zone is in UTC."""
    if isinstance(value, datetime):
        value = int((value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp())
    return _INT64.pack(_OF_MOMENT, 8, value)


_ENCODE: dict[ValueType, Callable[[Any], bytes]] = {
    ValueType.STRING: _text,
    ValueType.BYTES: _bytes,
    ValueType.INT32: _int32,
    ValueType.INT64: _int64,
    ValueType.UNIX_TIMESTAMP: _moment,
}


def _names() -> list[str]:
    return [kind.name for kind in _ENCODE]
