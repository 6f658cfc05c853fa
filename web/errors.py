"""One handler for every error. It answers `{"error": {"code", "name", "message", "field", "request_id"}}`, or a page
where the client prefers HTML. It never logs a body, an SSN or a licence number. What an answer says of files is short:
`web/paths.py`."""

import logging
from collections.abc import Callable
from functools import partial

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request
from pydantic import ValidationError
from werkzeug.exceptions import HTTPException

from errors import (
    BadParameter,
    BadRequest,
    BrokenHttp,
    InternalError,
    MethodNotAllowed,
    MissingField,
    NotFound,
    NotReady,
    RootBroken,
    TooLarge,
    UnknownEntity,
    UnknownField,
    WrongType,
)
from features.fields import fault_of, first_fault
from features.identifiers import shape
from files import fault, is_file_fault
from root import Root
from web import calls
from web.paths import shortened
from web.turns import TOO_LARGE

logger = logging.getLogger(__name__)

HttpError = BadRequest | UnknownEntity | NotReady | InternalError
#: HTTP status → the error, and its message: what was seen, then what to do.
OF_HTTP: dict[int, tuple[type[BadRequest], str]] = {
    400: (BrokenHttp, "The request breaks the rules of HTTP. Check its headers, such as Host, and send it again."),
    404: (NotFound, "There is no such path. Check its spelling; /apidocs/ lists every path."),
    405: (MethodNotAllowed, "The path does not take this method. Send one of: {allow}."),
    413: (TooLarge, TOO_LARGE),
}
SPELLING = "Remove it, or check its spelling"
INTERNAL = "The service failed. The log has the details. Try again, and tell us if it fails again."


def install(app: Flask, root: Root) -> None:
    """Register the handlers. An exception without a handler of its own is a bug, and answers 500. Answers name the
    files of `root` by their paths below it."""
    app.extensions["short"] = partial(shortened, root=root.path)
    for error in (BadRequest, UnknownEntity, NotReady):
        app.register_error_handler(error, _http_error)
    app.register_error_handler(HTTPException, _werkzeug_error)
    app.register_error_handler(Exception, _unforeseen)


def from_validation(
    error: ValidationError, prefix: str = "", unknown: Callable[[str], str] = lambda name: SPELLING
) -> BadRequest:
    """The fault that pydantic found first, as one of our errors. `prefix` is put before the field's name. `unknown`
    says what to do about a field that is not declared."""
    first = first_fault(error)
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
    if error.status == NotReady.status:  # the whole message, for the operator; the caller gets a short one
        logger.error("%s: %s", error.name, error.message)
    return _answer(error.status, error.code, error.name, error.message, error.field)


def _werkzeug_error(error: HTTPException) -> Response:
    status = error.code or 500
    if status not in OF_HTTP:  # such as 416: what a path of a library answers
        name = error.name.lower().replace(" ", "_")
        return _answer(status, 1000 + status, name, f"{error.description} /apidocs/ describes every path.", None)
    kind, message = OF_HTTP[status]
    allow = dict(error.get_headers()).get("Allow", "")
    answer = _http_error(kind(message.replace("{allow}", allow)))
    if allow:
        answer.headers["Allow"] = allow
    return answer


def _unforeseen(error: Exception) -> Response:
    """What no part of the service turned into an error of ours: a fault of a file, or a bug."""
    if is_file_fault(error) and not isinstance(error, ConnectionError):
        return _http_error(RootBroken(fault(error)))
    logger.error("%s %s failed", request.method, calls.route(), exc_info=error)
    return _http_error(InternalError(INTERNAL))


def _answer(status: int, code: int, name: str, message: str, field: str | None) -> Response:
    message, request_id = current_app.extensions["short"](message), calls.current().request_id
    calls.current().error = name
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        return make_response(render_template("error.html", status=status, message=message), status)
    error = {"code": code, "name": name, "message": message} | ({"field": field} if field else {})
    return make_response(jsonify(error=error | {"request_id": request_id}), status)
