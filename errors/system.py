"""What an operator can correct: HTTP 503."""

from typing import ClassVar

from errors.base import RiskError


class NotReady(RiskError):
    """The system cannot answer yet, or not any more. Its subclasses say what is missing."""

    status: ClassVar[int] = 503


class ModelNotTrained(NotReady):
    """The risk has no model yet."""

    code = 1301
    remedy = "Run: `python -m jobs train RISK`"


class ModelBroken(NotReady):
    """A model's files cannot be read, or its card describes another model."""

    code = 1302
    remedy = "Train again, or roll back: `python -m jobs models RISK rollback`"


class FeaturesNotReady(NotReady):
    """A feature service or view is not applied or not materialized, or the online store cannot be read or written."""

    code = 1303
    remedy = "Run the command in the message, such as `make pipeline`."


class PolicyBroken(NotReady):
    """A policy file, or a list that it names, cannot be read or says what cannot be. The service decides by no other
    policy meanwhile."""

    code = 1320
    remedy = "Correct the line that the message names."


class AuditUnavailable(NotReady):
    """The audit log cannot be written. The service gives no decision that it cannot log."""

    code = 1305
    remedy = "Free space on the disk, or let the service write the folder `decisions/`."


class LogUnavailable(NotReady):
    """The event log, the log of outcomes or the file of a sign-up cannot be read or written, or Kafka does not
    acknowledge events. Send the request again later."""

    code = 1309
    remedy = "Free space on the disk, let the service write the folder `log/`, or start Kafka."


class RootBroken(NotReady):
    """A file of the root, or its disk, cannot be read or written, and no other error says so."""

    code = 1315
    remedy = "Do what the message says about the file."


class IndexBehind(NotReady):
    """The index of decisions has much of the audit log to read first, and is reading it."""

    code = 1321
    remedy = "Search again a minute later."


class AccessUnavailable(NotReady):
    """The users, the keys or the sessions cannot be read or written, so nobody can be told apart from anybody."""

    code = 1330
    remedy = "Put a backup of `access.db` back. `sessions.db` may be removed: then everybody signs in again."
