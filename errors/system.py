"""What an operator can correct: HTTP 503."""

from typing import ClassVar

from errors.base import RiskError


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
