"""One handler for every error. It answers `{"error": {"code", "name", "message", "field"}}`, or a page where the client
prefers HTML. It never logs a body, an SSN or a licence number."""

import logging
from collections.abc import Callable

from flask import Flask, Response, jsonify, make_response, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from errors import (
    BadParameter,
    BadRequest,
    MissingField,
    NotReady,
    RootBroken,
    TooLarge,
    UnknownEntity,
    UnknownField,
    WrongType,
)
from features.fields import fault_of
from features.identifiers import shape
from files import fault, is_file_fault
from web.turns import TOO_LARGE

logger = logging.getLogger(__name__)

HttpError = BadRequest | UnknownEntity | NotReady
#: HTTP status → what was seen, then what to do.
MESSAGES = {
    400: "The request breaks the rules of HTTP. Check its headers, such as Host, and send it again.",
    404: "There is no such path. Check its spelling; /apidocs/ lists every path.",
    405: "The path does not take this method. Send one of: {allow}.",
}
SPELLING = "Remove it, or check its spelling"
INTERNAL = "The service failed. The log has the details. Try again, and tell us if it fails again."


def install(app: Flask) -> None:
    """Register the handlers. An exception without a handler of its own is a bug, and answers 500."""
    for error in (BadRequest, UnknownEntity, NotReady):
        app.register_error_handler(error, _http_error)
    app.register_error_handler(HTTPException, _werkzeug_error)
    app.register_error_handler(Exception, _unforeseen)


def from_validation(
    error: ValidationError, prefix: str = "", unknown: Callable[[str], str] = lambda name: SPELLING
) -> BadRequest:
    """The first fault that pydantic found, as one of our errors. `prefix` is put before the field's name. `unknown`
    says what to do about a field that is not declared."""
    first = error.errors(include_input=False, include_url=False)[0]
    field, kind = prefix + ".".join(str(part) for part in first["loc"]), first["type"]
    if kind == "missing":
        return MissingField(f"{field} is missing. Send it.", field)
    if kind == "extra_forbidden":
        name = field.removeprefix(prefix)
        field = prefix + shape(name)
        return UnknownField(f"{field} is not a field of this request. {unknown(name)}.", field)
    fault = fault_of(first)
    if kind.endswith(("_type", "_parsing", "_from_float")):
        reason = fault.replace("is invalid", "has the wrong type", 1)
        return WrongType(f"{field} {reason}. Correct it; see /apidocs/.", field)
    return BadParameter(f"{field} {fault}. Correct it; see /apidocs/.", field)


def _http_error(error: HttpError) -> Response:
    return _answer(error.status, error.code, error.name, error.message, error.field)


def _werkzeug_error(error: HTTPException) -> Response:
    if error.code == 413:
        return _http_error(TooLarge(TOO_LARGE))
    status, name = error.code or 500, error.name.lower().replace(" ", "_")
    allow = dict(error.get_headers()).get("Allow", "")
    message = MESSAGES.get(status, f"{error.description} /apidocs/ describes every path.")
    answer = _answer(status, 1000 + status, name, message.replace("{allow}", allow), None)
    if allow:
        answer.headers["Allow"] = allow
    return answer


def _unforeseen(error: Exception) -> Response:
    """What no part of the service turned into an error of ours: a fault of a file, or a bug."""
    if is_file_fault(error) and not isinstance(error, ConnectionError):
        logger.error("%s %s failed: %s", request.method, request.path, error)
        return _http_error(RootBroken(fault(error)))
    return _bug(error)


def _bug(error: Exception) -> Response:
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return _answer(500, 1500, "internal_error", INTERNAL, None)


def _answer(status: int, code: int, name: str, message: str, field: str | None) -> Response:
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        return make_response(render_template("error.html", status=status, message=message), status)
    error = {"code": code, "name": name, "message": message} | ({"field": field} if field else {})
    return make_response(jsonify(error=error), status)
