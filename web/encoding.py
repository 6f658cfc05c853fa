"""Answers as JSON, written by pydantic: the standard library takes four times as long."""

from typing import Any

from flask.json.provider import DefaultJSONProvider
from pydantic_core import to_json


class Json(DefaultJSONProvider):
    """In the order given, which is that of the docs."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return to_json(obj).decode()
