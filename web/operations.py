"""The pieces of an OpenAPI document that every path is made of."""

from typing import Any

from pydantic import BaseModel

from web import schemas

Spec = dict[str, Any]

ERRORS = {
    400: "The request is wrong: the message names the field and the remedy.",
    404: "Nobody is known by that number.",
    503: "Not ready: the message gives the command to run.",
}


def operation(
    tag: str, title: str, about: str, answer: type[BaseModel], errors: tuple[int, ...], status: int = 200, **asked: Any
) -> Spec:
    """`asked` is what the caller sends: `parameters` or `requestBody`."""
    responses = {str(status): _json(answer, about)}
    responses |= {str(error): _json(schemas.Error, ERRORS[error]) for error in errors}
    return {"tags": [tag], "summary": title, "description": about, "responses": responses, **asked}


def body(request: type[BaseModel]) -> Spec:
    return {"required": True, "content": {"application/json": {"schema": reference(request)}}}


def _json(model: type[BaseModel], about: str) -> Spec:
    return {"description": about, "content": {"application/json": {"schema": reference(model)}}}


def reference(model: type[BaseModel]) -> Spec:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
