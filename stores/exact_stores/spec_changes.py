"""What differs between two versions of an object of the registry, as a line for each field: `ttl: 1 day → 2 days`."""

from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

#: What Feast adds: the project, times of changes, and the bytes of a function beside its text.
_NO_CHANGES = ("project", "meta", "body")
_ABSENT = "(none)"
_LONGEST = 80


def changed_fields(old: Message, new: Message, path: str = "") -> Iterator[str]:
    """A line for each field that differs, with its path from `path` on. Items of a list are compared by name."""
    for field in new.DESCRIPTOR.fields:
        if field.name not in _NO_CHANGES:
            yield from _changes(field, getattr(old, field.name), getattr(new, field.name), f"{path}{field.name}")


def _changes(field: FieldDescriptor, old: Any, new: Any, path: str) -> Iterator[str]:
    if old == new:  # a source may hold a source
        return
    if isinstance(new, Duration | Timestamp) or field.message_type is None:
        yield f"{path}: {_text(field, old)} → {_text(field, new)}"
    elif field.message_type.GetOptions().map_entry:
        yield from _changes_by_name(field.message_type.fields_by_name["value"], dict(old), dict(new), path)
    elif isinstance(new, Message):
        yield from changed_fields(old, new, f"{path}.")
    elif "name" in field.message_type.fields_by_name:
        before, after = ({item.name: item for item in items} for items in (old, new))
        yield from _changes_by_name(field, before, after, path)
    else:
        yield f"{path}: {len(old)} items → {len(new)} items"


def _changes_by_name(
    field: FieldDescriptor, old: Mapping[str, Any], new: Mapping[str, Any], path: str
) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name in old and name in new and isinstance(new[name], Message):
            yield from changed_fields(old[name], new[name], f"{path}.{name}.")
        elif old.get(name) != new.get(name):
            yield f"{path}.{name}: {_text(field, old.get(name))} → {_text(field, new.get(name))}"


def _text(field: FieldDescriptor, value: Any) -> str:
    """One short line."""
    if value is None or value in ("", []):
        return _ABSENT
    if isinstance(value, Duration):
        return str(value.ToTimedelta())
    if isinstance(value, Timestamp):
        return str(value.ToDatetime())
    if isinstance(value, Message):
        kinds = [_text(kind, getattr(value, kind.name)) for kind in value.DESCRIPTOR.fields if kind.enum_type]
        return ", ".join(kinds) or "added"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if field.enum_type and isinstance(value, int):
        return str(field.enum_type.values_by_number[value].name)
    if not isinstance(value, str | bool | int | float):
        return ", ".join(_text(field, item) for item in value)
    line, *more = str(value).strip().splitlines() or [""]
    return f"{line[:_LONGEST]}…" if more or len(line) > _LONGEST else line
