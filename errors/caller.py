"""What a caller can correct: HTTP 4xx."""

from typing import ClassVar

from errors.base import RiskError


class BadRequest(RiskError):
    """A request, or an argument of a command, is wrong. Its subclasses say in which way."""

    status: ClassVar[int] = 400


class NotJson(BadRequest):
    """The body of a request is not JSON, or has a key twice."""

    code = 1001
    remedy = "Send one JSON object in UTF-8, each key once. The message shows an example."


class MissingField(BadRequest):
    """A required field is missing."""

    code = 1002
    remedy = "Send the field that `field` names."


class WrongType(BadRequest):
    """A value has the wrong JSON type, such as a number where a string is required."""

    code = 1003
    remedy = "Send the type that the API docs state."


class UnknownField(BadRequest):
    """A request has a field that its schema does not declare."""

    code = 1004
    remedy = "Remove the field, or correct its name. The message names the nearest one."


class BadDate(BadRequest):
    """A date of birth has an unknown form, does not exist, is before 1900 or is in the future."""

    code = 1005
    remedy = "Send a date that exists, as `1990-05-17` or `05-17-1990`."


class BadSsn(BadRequest):
    """The Social Security Administration never issues this number."""

    code = 1006
    remedy = "Check the number: nine digits."


class BadLicence(BadRequest):
    """No US state prints this text as the number of a driving licence."""

    code = 1007
    remedy = "Check the number: letters and digits, as on the card."


class BadState(BadRequest):
    """This is not the two-letter code of a US state."""

    code = 1008
    remedy = "Send two letters, such as `CA`."


class BadParameter(BadRequest):
    """A value has the right type and is not allowed: an unknown name, a number out of its range, a timestamp in the
    future."""

    code = 1009
    remedy = "Send a value that the message allows."


class TooLarge(BadRequest):
    """The body of a request is larger than the service accepts."""

    code = 1010
    status = 413
    remedy = "Send at most as much as the message says, in several requests."


class TooSlow(BadRequest):
    """The body of a request did not arrive in time. The connection is closed."""

    code = 1011
    status = 408
    remedy = "Send the request again, all of it at once."


class NotSignedIn(BadRequest):
    """The request names no caller, or its token, key or session is not valid any more."""

    code = 1101
    status = 401
    remedy = "Sign in, or send a valid token or key in the header `Authorization`."


class NotAllowed(BadRequest):
    """The caller is known, and lacks the scope of the path; or a page of another site sent the request."""

    code = 1102
    status = 403
    remedy = "Ask for the scope that the API docs state; send the request from a page of the service."


class KeyReused(BadRequest):
    """An `Idempotency-Key` was sent before with another body."""

    code = 1103
    status = 409
    remedy = "Send another key for another request."


class TooMany(BadRequest):
    """The caller, or its address, has sent too many requests. `Retry-After` says when to go on."""

    code = 1104
    status = 429
    remedy = "Wait as many seconds as `Retry-After` says, then send the request again."


class BadHost(BadRequest):
    """The `Host` header names no host of this service."""

    code = 1105
    remedy = "Send the request to a host of the service, or add the host to `RISK_HOSTS`."


class UnknownEntity(RiskError):
    """Nothing is stored about the entity of the request."""

    code = 1201
    status: ClassVar[int] = 404
    remedy = "Check the key. A new entity is known after the next batch or event."


class UnknownDecision(BadRequest):
    """The audit log has no decision of this id."""

    code = 1202
    status = 404
    remedy = "Check the id."
