"""What a caller can correct: HTTP 4xx."""

from typing import ClassVar

from errors.base import RiskError


class BadRequest(RiskError):
    """A request, or an argument of a command, is wrong. Its subclasses say in which way."""

    status: ClassVar[int] = 400


class NotJson(BadRequest):
    """The body of a request is not JSON, or has a key twice."""

    code = 1001


class MissingField(BadRequest):
    """A required field is missing."""

    code = 1002


class WrongType(BadRequest):
    """A value has the wrong JSON type, such as a number where a string is required."""

    code = 1003


class UnknownField(BadRequest):
    """A request has a field that its schema does not declare."""

    code = 1004


class BadDate(BadRequest):
    """A date of birth has an unknown form, does not exist, is before 1900 or is in the future."""

    code = 1005


class BadSsn(BadRequest):
    """The Social Security Administration never issues this number."""

    code = 1006


class BadLicence(BadRequest):
    """No US state prints this text as the number of a driving licence."""

    code = 1007


class BadState(BadRequest):
    """This is not the two-letter code of a US state."""

    code = 1008


class BadParameter(BadRequest):
    """A value has the right type and is not allowed: an unknown name, a number out of its range, a timestamp in the
    future."""

    code = 1009


class TooLarge(BadRequest):
    """The body of a request is larger than the service accepts."""

    code = 1010
    status = 413


class NotSignedIn(BadRequest):
    """The request names no caller, or its token, key or session is not valid any more."""

    code = 1101
    status = 401


class NotAllowed(BadRequest):
    """The caller is known, and lacks the scope of the path; or a page of another site sent the request."""

    code = 1102
    status = 403


class KeyReused(BadRequest):
    """An `Idempotency-Key` was sent before with another body."""

    code = 1103
    status = 409


class TooMany(BadRequest):
    """The caller, or its address, has sent too many requests. `Retry-After` says when to go on."""

    code = 1104
    status = 429


class BadHost(BadRequest):
    """The `Host` header names no host of this service."""

    code = 1105


class UnknownEntity(RiskError):
    """Nothing is stored about the entity of the request."""

    code = 1201
    status: ClassVar[int] = 404


class UnknownDecision(BadRequest):
    """The audit log has no decision of this id."""

    code = 1202
    status = 404
