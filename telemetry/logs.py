"""The log of the service as JSON, an object a line: what a program that collects logs can search."""

import logging
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pydantic_core import to_json
from pythonjsonlogger.json import JsonFormatter

#: Where each line about an answered request goes.
access = logging.getLogger("risk.access")


def as_json(context: Callable[[], Mapping[str, Any]]) -> None:
    """Let this process log JSON on standard error. `context` gives what a line says of the request that it is about,
    nothing outside of one."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter(context))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    access.setLevel(logging.INFO)


def _json(line: Any, **options: Any) -> str:
    """As JSON, in a third of the time of the standard library. What JSON has no form for is a text."""
    return to_json(line, fallback=str, inf_nan_mode="strings").decode()


class Formatter(JsonFormatter):
    """`timestamp` (UTC), `level`, `logger`, `message`, the context, then what the line itself adds."""

    def __init__(self, context: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__(
            ["levelname", "name", "message"], rename_fields={"levelname": "level", "name": "logger"}, timestamp=True,
            json_serializer=_json,
        )  # fmt: skip
        self._context = context

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        """The library calls this for each line."""
        super().add_fields(log_data, record, message_dict)
        for name, value in self._context().items():
            log_data.setdefault(name, value)
