"""What the service answers before or after any code of ours: no such path, another method, a bug."""

from typing import ClassVar

from errors.base import RiskError
from errors.caller import BadRequest


class BrokenHttp(BadRequest):
    """The request breaks the rules of HTTP, such as a header that is no header."""

    code = 1400
    remedy = "Check the headers of the request, such as Host, and send it again."


class NotFound(BadRequest):
    """There is no such path."""

    code = 1404
    status = 404
    remedy = "Check its spelling; `/apidocs/` lists every path."


class MethodNotAllowed(BadRequest):
    """The path takes another method."""

    code = 1405
    status = 405
    remedy = "Send a method that the header `Allow` names."


class InternalError(RiskError):
    """The service failed in a way that nobody foresaw. The log has the details, with the request's id."""

    code = 1500
    status: ClassVar[int] = 500
    remedy = "Try again. If it fails again, tell whoever runs the service, with the `request_id`."
