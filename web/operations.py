"""The parts of an OpenAPI document that every path needs."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from errors import RiskError
from errors.table import Entry, entries
from web import schemas

Spec = dict[str, Any]

#: The errors that a path may answer by its status, from the one table of errors.
ERRORS: Mapping[int, list[Entry]] = {
    status: [entry for entry in entries(RiskError) if entry.status == status]
    for status in sorted({entry.status for entry in entries(RiskError) if entry.status})
}
#: What any path may answer: a host that is not ours, a page of another site, a body that is too slow or too large, a
#: bug.
ALWAYS = (400, 403, 408, 413, 500)
#: What any path may answer that not everybody may ask, beside `ALWAYS`.
PROTECTED = (401, 429, 503)
IDEMPOTENCY_KEY = "Idempotency-Key"


def operation(
    tag: str,
    title: str,
    about: str,
    answer: type[BaseModel],
    errors: tuple[int, ...] = (),
    status: int = 200,
    name: str = "",
    public: bool = False,
    **request: Any,
) -> Spec:
    """One method of a path. `request` is what the caller sends: `parameters` or `requestBody`. `name` is the id of the
    operation, by default its title as one word. The statuses of its errors follow from the declaration; `errors` are
    more of them. Everybody may ask a `public` path."""
    statuses = {*errors, *ALWAYS, *(() if public else PROTECTED)}
    for parameter in request.get("parameters", ()):
        statuses |= {404} if parameter["in"] == "path" else set()
        statuses |= {409} if parameter["name"] == IDEMPOTENCY_KEY else set()
    responses = {str(status): _json(answer, about)}
    responses |= {str(error): {"$ref": f"#/components/responses/{_component(error)}"} for error in sorted(statuses)}
    return {
        "tags": [tag],
        "summary": title,
        "description": about,
        "operationId": name or re.sub(r"\W+", "_", title.lower()),
        "responses": responses,
        **request,
    }


def error_responses() -> Spec:
    """The components to which the operations refer: for each status its errors, with the form of the answer."""
    return {_component(status): _described(entries) for status, entries in ERRORS.items()}


def error_table() -> list[Spec]:
    """The table of errors, for programs: code, name, status, meaning and remedy."""
    return [
        {"code": e.code, "name": e.name, "status": e.status, "meaning": e.meaning, "remedy": e.remedy}
        for of_status in ERRORS.values()
        for e in of_status
    ]


def _component(status: int) -> str:
    return f"Error{status}"


def _described(entries: list[Entry]) -> Spec:
    lines = [f"* {entry.code} `{entry.name}`: {entry.meaning} {entry.remedy}" for entry in entries]
    response = _json(schemas.Error, "\n".join(lines))
    response["content"]["application/json"]["examples"] = {
        entry.name: {
            "summary": entry.meaning,
            "value": {"error": {"code": entry.code, "name": entry.name, "message": entry.remedy, "request_id": "a1"}},
        }
        for entry in entries
    }
    if any(entry.status == 429 for entry in entries):
        about = "After how many seconds the caller may go on."
        response["headers"] = {"Retry-After": {"description": about, "schema": {"type": "integer"}}}
    return response


def body(request: type[BaseModel]) -> Spec:
    """A `requestBody`: JSON of this model."""
    return {"required": True, "content": {"application/json": {"schema": reference(request)}}}


def _json(model: type[BaseModel], about: str) -> Spec:
    return {"description": about, "content": {"application/json": {"schema": reference(model)}}}


def reference(model: type[BaseModel]) -> Spec:
    """The schema of a model, by its name in the document."""
    return {"$ref": f"#/components/schemas/{model.__name__}"}
