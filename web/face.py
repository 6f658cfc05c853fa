"""What every page shares: the service, and the requests that it reads from a path or a body."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import request
from pydantic import ValidationError

from errors import NotJson, WrongType
from features.risk import Risk, RiskRequest
from root import Root
from serving.service import RiskService
from web.errors import from_validation


@dataclass(frozen=True)
class Face:
    """What the pages need: the service, the root of its files, and a clock."""

    service: RiskService
    root: Root
    clock: Callable[[], datetime]


def from_path(risk: Risk, path: dict[str, str]) -> RiskRequest:
    """The request whose only field is in the URL. Raises WrongType, BadParameter."""
    try:
        return risk.request.model_validate_strings(path)
    except ValidationError as error:
        raise from_validation(error) from None


def from_body(risk: Risk) -> RiskRequest:
    """The request in the body. Raises NotJson, WrongType, MissingField, UnknownField, BadParameter, and the errors of
    its fields."""
    return validated(risk, json_body())


def json_body() -> Any:
    """The body of the current HTTP request as JSON. Raises NotJson."""
    try:
        return json.loads(request.get_data())
    except (ValueError, RecursionError):
        raise NotJson('The body is not JSON. Send one object, such as {"state": "CA", …}; see /apidocs/.') from None


def validated(risk: Risk, body: Any, prefix: str = "") -> RiskRequest:
    """The request in a JSON value. `prefix` says where it is in a list. Raises WrongType, MissingField, UnknownField,
    BadParameter, and the errors of its fields."""
    if not isinstance(body, dict):
        raise WrongType(f"The body is a JSON {type(body).__name__}. Send one object; see /apidocs/.")
    try:
        return risk.request.model_validate(body)
    except ValidationError as error:
        raise from_validation(error, prefix) from None
