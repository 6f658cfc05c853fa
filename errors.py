"""The errors that a caller can meet, in one tree. The edge (`web/errors.py`) turns each into
`{"error": {"code": 1201, "name": "unknown_entity", "message": …, "field": …}}`.

    RiskError
    ├── BadRequest 400          the caller can mend it
    │   ├── NotJson             1001 not_json
    │   ├── MissingField        1002 missing_field
    │   ├── WrongType           1003 wrong_type
    │   ├── UnknownField        1004 unknown_field
    │   ├── BadDate             1005 bad_date
    │   ├── BadSsn              1006 bad_ssn
    │   ├── BadLicence          1007 bad_licence
    │   ├── BadState            1008 bad_state
    │   ├── BadParameter        1009 bad_parameter
    │   └── TooLarge 413        1010 too_large
    ├── UnknownEntity 404       1201 unknown_entity
    └── NotReady 503            the operator can mend it; the message gives the command
        ├── ModelNotTrained     1301 model_not_trained
        ├── ModelBroken         1302 model_broken
        ├── FeaturesNotReady    1303 features_not_ready
        ├── NoData              1304 no_data
        ├── AuditUnavailable    1305 audit_unavailable
        ├── ModelRefused        1306 model_refused
        ├── BadInput            1307 bad_input
        ├── Busy                1308 busy
        ├── LogUnavailable      1309 log_unavailable
        └── ServiceFailed       1310 service_failed

A message says what was seen, then what to do. It never repeats an SSN or a licence number.
"""

from typing import ClassVar


class RiskError(Exception):
    code: ClassVar[int] = 1000
    status: ClassVar[int] = 500

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    @property
    def name(self) -> str:
        """`BadDate` → `bad_date`."""
        letters = type(self).__name__
        return "".join("_" + c.lower() if c.isupper() else c for c in letters).lstrip("_")


class BadRequest(RiskError):
    status = 400


class NotJson(BadRequest):
    code = 1001


class MissingField(BadRequest):
    code = 1002


class WrongType(BadRequest):
    code = 1003


class UnknownField(BadRequest):
    code = 1004


class BadDate(BadRequest):
    code = 1005


class BadSsn(BadRequest):
    code = 1006


class BadLicence(BadRequest):
    code = 1007


class BadState(BadRequest):
    code = 1008


class BadParameter(BadRequest):
    code = 1009


class TooLarge(BadRequest):
    code = 1010
    status = 413


class UnknownEntity(RiskError):
    code = 1201
    status = 404


class NotReady(RiskError):
    status = 503


class ModelNotTrained(NotReady):
    code = 1301


class ModelBroken(NotReady):
    code = 1302


class FeaturesNotReady(NotReady):
    code = 1303


class NoData(NotReady):
    code = 1304


class AuditUnavailable(NotReady):
    code = 1305


class ModelRefused(NotReady):
    code = 1306


class BadInput(NotReady):
    code = 1307


class Busy(NotReady):
    code = 1308


class LogUnavailable(NotReady):
    code = 1309


class ServiceFailed(NotReady):
    code = 1310
