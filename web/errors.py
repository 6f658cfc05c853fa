"""One handler at the edge: every error becomes `{"error": {"code", "name", "message", "field"}}`, or a page for a
person who asked for one. No body, SSN or licence number is ever logged here."""

import logging

from flask import Flask, Response, jsonify, make_response, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from errors import BadParameter, BadRequest, MissingField, RiskError, TooLarge, UnknownField, WrongType
from features.identifiers import shape

logger = logging.getLogger(__name__)

INTERNAL = "Something failed here; it is logged. Try again, and tell us if it stays."


def install(app: Flask) -> None:
    app.register_error_handler(RiskError, _risk_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _bug)


def from_validation(error: ValidationError, at: str = "") -> BadRequest:
    """The first thing that is wrong with a request, as one of ours; `at` is put before the field's name."""
    first = error.errors(include_input=False, include_url=False)[0]
    field, kind = at + ".".join(str(part) for part in first["loc"]), first["type"]
    if kind == "missing":
        return MissingField(f"{field} is missing. Send it with the others.", field)
    if kind == "extra_forbidden":
        field = at + shape(field.removeprefix(at))
        return UnknownField(f"{field} is not known here. Leave it out, or check how it is spelled.", field)
    if kind.endswith(("_type", "_parsing", "_from_float")):
        return WrongType(f"{field} has the wrong type: {first['msg'][0].lower()}{first['msg'][1:]}.", field)
    return BadParameter(f"{field} cannot be: {first['msg'][0].lower()}{first['msg'][1:]}.", field)


def _risk_error(error: RiskError) -> Response:
    return _answer(error.status, error.code, error.name, error.message, error.field)


def _http_error(error: HTTPException) -> Response:
    if error.code == 413:
        return _risk_error(TooLarge("The request is too large. A request of this service is under 512 KB."))
    status, name = error.code or 500, (error.name or "error").lower().replace(" ", "_")
    answer = _answer(status, 1000 + status, name, error.description or "", None)
    if status == 405 and (allow := dict(error.get_headers()).get("Allow")):
        answer.headers["Allow"] = allow
    return answer


def _bug(error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return _answer(500, 1500, "internal_error", INTERNAL, None)


def _answer(status: int, code: int, name: str, message: str, field: str | None) -> Response:
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        return make_response(render_template("error.html", status=status, message=message), status)
    error = {"code": code, "name": name, "message": message} | ({"field": field} if field else {})
    return make_response(jsonify(error=error), status)
