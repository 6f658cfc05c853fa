"""What every page shares: the service, and the requests that it reads from a path or a body."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import request
from pydantic import ValidationError

from choices import did_you_mean
from errors import BadRequest, NotJson, WrongType
from features.risk import Risk, RiskRequest
from root import Root
from serving import strict_json
from serving.service import RiskService
from web import examples
from web.errors import SPELLING, from_validation


@dataclass(frozen=True)
class Face:
    """What the pages need: the service, the root of its files, and a clock."""

    service: RiskService
    root: Root
    clock: Callable[[], datetime]


def from_path(risk: Risk, path: dict[str, str]) -> RiskRequest:
    """The request whose only field is in the URL. Raises WrongType, BadParameter."""
    try:
        return risk.request.from_texts(path)
    except ValidationError as error:
        raise from_validation(error) from None


def from_body(risk: Risk) -> RiskRequest:
    """The request in the body. Raises NotJson, WrongType, MissingField, UnknownField, BadParameter, and the errors of
    its fields."""
    return validated(risk, json_body(examples.of_model(risk.request)))


def json_body(example: str) -> Any:
    """The body of the current HTTP request as JSON. An error shows `example`, the JSON of a right body. Raises
    NotJson."""
    try:
        return strict_json.parse(request.get_data())
    except strict_json.NotStrict as error:
        message = f"The body cannot be read as JSON: {error}. {remedy(example)}"
        raise NotJson(message, error.key) from None


def as_object(value: Any, example: str, prefix: str = "") -> dict[str, Any]:
    """A JSON value that must be an object. `prefix` says where it is in a list. Raises WrongType."""
    if isinstance(value, dict):
        return value
    place = f"Item {prefix.removesuffix('.')} of the body" if prefix else "The body"
    raise WrongType(f"{place} is a JSON {examples.kind(value)}. {remedy(example)}")


def remedy(example: str) -> str:
    """What to send instead, for a message."""
    return f"Send one object, such as {example}; see /apidocs/."


def validated(risk: Risk, body: Any, prefix: str = "") -> RiskRequest:
    """The request in a JSON value. `prefix` says where it is in a list. Raises WrongType, MissingField, UnknownField,
    BadParameter, and the errors of its fields."""
    fields = as_object(body, examples.of_model(risk.request), prefix)
    try:
        return risk.request.model_validate(fields)
    except ValidationError as error:
        names = risk.request.model_fields
        raise from_validation(error, prefix, lambda name: f"{did_you_mean(name, names)}{SPELLING}") from None
    except BadRequest as error:  # of a validator, which does not know the place
        if prefix and error.field:
            raise type(error)(f"{prefix}{error.message}", f"{prefix}{error.field}") from None
        raise
