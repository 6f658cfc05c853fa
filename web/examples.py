"""Examples of what a caller may send, for messages and for the API docs. They are made from the declarations."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

from features.domains import risks_of, stream_named
from features.windows import Column

#: What stands for a value that has no example of its own, by its type in JSON Schema or in a raw table.
VALUES: Mapping[str, Any] = {
    "string": "a", "integer": 1, "number": 1.5, "boolean": True, "array": [], "object": {},
    "int": 1, "float": 1.5, "timestamp": "2026-01-31T12:00:00Z",
}  # fmt: skip


@cache
def of_model(model: type[BaseModel]) -> str:
    """A request as JSON: the first example of each field that has one, and something for each other required field."""
    schema = model.model_json_schema()
    required, properties = schema.get("required", []), schema["properties"].items()
    return to_json(
        {
            name: field["examples"][0] if "examples" in field else VALUES.get(field.get("type", ""))
            for name, field in properties
            if "examples" in field or name in required
        }
    ).decode()


@cache
def of_event(name: str) -> str:
    """An event of the stream with this name, as JSON: its required columns. A column that the domain's requests have
    too has their example."""
    stream = stream_named(name)
    raw = stream.raw
    known = {
        name: field.examples[0]
        for risk in risks_of(stream.domain)
        for name, field in risk.request.model_fields.items()
        if field.examples
    }
    columns = {c.name: known.get(c.name, _of_column(c)) for c in raw.columns if not c.is_optional}
    return to_json(columns | {raw.time: VALUES["timestamp"]}).decode()


def _of_column(column: Column) -> Any:
    """The first word of a pattern that is a choice of words."""
    choice = re.fullmatch(r"(\w+)(\|\w+)+", column.pattern or "")
    return choice[1] if choice else VALUES[column.dtype]


def kind(value: Any) -> str:
    """The JSON word for the type of a value."""
    words = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return words.get(type(value), "null")
