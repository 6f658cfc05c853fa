"""Every error that a caller can meet, in one tree. `web/errors.py` turns an HTTP error into
`{"error": {"code": 1201, "name": "unknown_entity", "message": …, "field": …, "request_id": …}}`. `python -m jobs`
prints `name: message` and exits with a code. docs/reference/errors.md lists all of them.

    RiskError
    ├── BadRequest      HTTP 4xx: the caller can correct the request
    ├── UnknownEntity   HTTP 404
    ├── NotReady        HTTP 503: the operator can correct the system; the message gives the command
    ├── InternalError   HTTP 500: a bug
    └── JobError        exit code 1: only jobs raise it, so it has no HTTP status

A message says what was seen, then what to do. It never repeats an SSN or a licence number.
"""

from errors.base import SHOWN_CHARACTERS, RiskError
from errors.caller import (
    BadDate,
    BadHost,
    BadLicence,
    BadParameter,
    BadRequest,
    BadSsn,
    BadState,
    KeyReused,
    MissingField,
    NotAllowed,
    NotJson,
    NotSignedIn,
    TooLarge,
    TooMany,
    TooSlow,
    UnknownDecision,
    UnknownEntity,
    UnknownField,
    WrongType,
)
from errors.http import BrokenHttp, InternalError, MethodNotAllowed, NotFound
from errors.job import (
    BadInput,
    BadSetting,
    Busy,
    FeastFailed,
    JobError,
    Mismatch,
    ModelRefused,
    NoData,
    NotGenerated,
    ServiceFailed,
    StepKilled,
)
from errors.system import (
    AccessUnavailable,
    AuditUnavailable,
    FeaturesNotReady,
    IndexBehind,
    LogUnavailable,
    ModelBroken,
    ModelNotTrained,
    NotReady,
    PolicyBroken,
    RootBroken,
)

__all__ = [
    "SHOWN_CHARACTERS",
    "AccessUnavailable",
    "AuditUnavailable",
    "BadDate",
    "BadHost",
    "BadInput",
    "BadLicence",
    "BadParameter",
    "BadRequest",
    "BadSetting",
    "BadSsn",
    "BadState",
    "BrokenHttp",
    "Busy",
    "FeastFailed",
    "FeaturesNotReady",
    "IndexBehind",
    "InternalError",
    "JobError",
    "KeyReused",
    "LogUnavailable",
    "MethodNotAllowed",
    "Mismatch",
    "MissingField",
    "ModelBroken",
    "ModelNotTrained",
    "ModelRefused",
    "NoData",
    "NotAllowed",
    "NotFound",
    "NotGenerated",
    "NotJson",
    "NotReady",
    "NotSignedIn",
    "PolicyBroken",
    "RiskError",
    "RootBroken",
    "ServiceFailed",
    "StepKilled",
    "TooLarge",
    "TooMany",
    "TooSlow",
    "UnknownDecision",
    "UnknownEntity",
    "UnknownField",
    "WrongType",
]
