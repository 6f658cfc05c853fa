"""Every error that a caller can meet, in one tree. `web/errors.py` turns an HTTP error into
`{"error": {"code": 1201, "name": "unknown_entity", "message": …, "field": …}}`. `python -m jobs` prints
`name: message` and exits with a code.

    RiskError
    ├── BadRequest              HTTP 400: the caller can correct the request
    │   ├── NotJson             1001 not_json
    │   ├── MissingField        1002 missing_field
    │   ├── WrongType           1003 wrong_type
    │   ├── UnknownField        1004 unknown_field
    │   ├── BadDate             1005 bad_date
    │   ├── BadSsn              1006 bad_ssn
    │   ├── BadLicence          1007 bad_licence
    │   ├── BadState            1008 bad_state
    │   ├── BadParameter        1009 bad_parameter
    │   └── TooLarge            1010 too_large, HTTP 413
    ├── UnknownEntity           1201 unknown_entity, HTTP 404
    ├── NotReady                HTTP 503: the operator can correct the system; the message gives the command
    │   ├── ModelNotTrained     1301 model_not_trained
    │   ├── ModelBroken         1302 model_broken
    │   ├── FeaturesNotReady    1303 features_not_ready
    │   ├── PolicyBroken        1320 policy_broken
    │   ├── AuditUnavailable    1305 audit_unavailable
    │   ├── LogUnavailable      1309 log_unavailable
    │   └── RootBroken          1315 root_broken
    └── JobError                exit code 1: only jobs raise it, so it has no HTTP status
        ├── NoData              1304 no_data
        ├── ModelRefused        1306 model_refused
        ├── BadInput            1307 bad_input
        ├── Busy                1308 busy, exit code 3
        ├── ServiceFailed       1310 service_failed
        ├── FeastFailed         1311 feast_failed
        ├── BadSetting          1312 bad_setting
        ├── Mismatch            1313 mismatch
        └── NotGenerated        1314 not_generated

A message says what was seen, then what to do. It never repeats an SSN or a licence number.
"""

from typing import ClassVar

#: A message shows at most this many characters of what a caller sent.
SHOWN_CHARACTERS = 40


class RiskError(Exception):
    """The root of the tree. Nothing raises it itself."""

    code: ClassVar[int] = 1000

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


class UnknownEntity(RiskError):
    """Nothing is stored about the entity of the request."""

    code = 1201
    status: ClassVar[int] = 404


class NotReady(RiskError):
    """The system cannot answer yet, or not any more. Its subclasses say what is missing."""

    status: ClassVar[int] = 503


class ModelNotTrained(NotReady):
    """The risk has no model yet."""

    code = 1301


class ModelBroken(NotReady):
    """A model's files cannot be read, or its card describes another model."""

    code = 1302


class FeaturesNotReady(NotReady):
    """A feature service or view is not applied or not materialized, or the online store cannot be read or written."""

    code = 1303


class PolicyBroken(NotReady):
    """A policy file, or a list that it names, cannot be read or says what cannot be. The service decides by no other
    policy meanwhile."""

    code = 1320


class AuditUnavailable(NotReady):
    """The audit log cannot be written. The service gives no decision that it cannot log."""

    code = 1305


class LogUnavailable(NotReady):
    """The event log or the file of a sign-up cannot be read or written. Send the request again later."""

    code = 1309


class RootBroken(NotReady):
    """A file of the root, or its disk, cannot be read or written, and no other error says so."""

    code = 1315


class JobError(RiskError):
    """A job cannot do its work. Its subclasses say why."""

    exit_code: ClassVar[int] = 1


class NoData(JobError):
    """There are no rows, or too few rows, to work on."""

    code = 1304


class ModelRefused(JobError):
    """Every trained model goes against a direction that the risk declares. The current model stays."""

    code = 1306


class BadInput(JobError):
    """A raw file cannot be read, or has rows or columns that break its declaration."""

    code = 1307


class Busy(JobError):
    """Another process holds the lock of the same table, stream or pipeline."""

    code = 1308
    exit_code = 3


class ServiceFailed(JobError):
    """The service that a simulation calls does not answer, or answers something unexpected."""

    code = 1310


class FeastFailed(JobError):
    """`feast apply` or `feast materialize-incremental` failed in the pipeline. The message has what Feast printed."""

    code = 1311


class BadSetting(JobError):
    """An environment variable holds a value that cannot be used. The process does not start its work."""

    code = 1312


class Mismatch(JobError):
    """A comparison found a difference: between served and trained features, or after a simulation."""

    code = 1313


class NotGenerated(JobError):
    """The generator would replace raw events that it did not make, or mix its own with events that others sent."""

    code = 1314
