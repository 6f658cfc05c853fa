"""The parts of an OpenAPI document that every path needs."""

from typing import Any

from pydantic import BaseModel

from web import schemas

Spec = dict[str, Any]

ERRORS = {
    400: "The request is wrong. The message names the field and says what to do.",
    404: "Nothing is stored under that number.",
    413: "The body is too large. The message says how large it may be.",
    503: "The service is not ready. The message gives the command to run.",
}


def operation(
    tag: str,
    title: str,
    about: str,
    answer: type[BaseModel],
    errors: tuple[int, ...],
    status: int = 200,
    **request: Any,
) -> Spec:
    """One method of a path. `request` is what the caller sends: `parameters` or `requestBody`. A body may be too
    large."""
    errors = (*errors, 413) if "requestBody" in request else errors
    responses = {str(status): _json(answer, about)}
    responses |= {str(error): _json(schemas.Error, ERRORS[error]) for error in sorted(errors)}
    return {"tags": [tag], "summary": title, "description": about, "responses": responses, **request}


def body(request: type[BaseModel]) -> Spec:
    """A `requestBody`: JSON of this model."""
    return {"required": True, "content": {"application/json": {"schema": reference(request)}}}


def _json(model: type[BaseModel], about: str) -> Spec:
    return {"description": about, "content": {"application/json": {"schema": reference(model)}}}


def reference(model: type[BaseModel]) -> Spec:
    """The schema of a model, by its name in the document."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}
