"""What ends a job: an exit code, and no HTTP status."""

from typing import ClassVar

from errors.base import RiskError


class JobError(RiskError):
    """A job cannot do its work. Its subclasses say why."""

    exit_code: ClassVar[int] = 1


class NoData(JobError):
    """There are no rows, or too few rows, to work on."""

    code = 1304
    remedy = "Make or send more rows: the message says of what."


class ModelRefused(JobError):
    """Every trained model goes against a direction that the risk declares. The current model stays."""

    code = 1306
    remedy = "Check the data, or the directions that the risk declares."


class BadInput(JobError):
    """A raw file cannot be read, or has rows or columns that break its declaration."""

    code = 1307
    remedy = "Correct the file and run the command again. Nothing was written."


class Busy(JobError):
    """Another process holds the lock of the same table, stream or pipeline."""

    code = 1308
    exit_code = 3
    remedy = "Wait until the other process has ended, or stop it."


class ServiceFailed(JobError):
    """The service that a simulation calls does not answer, or answers something unexpected."""

    code = 1310
    remedy = "Start the service, or correct the address."


class FeastFailed(JobError):
    """`feast apply` or `feast materialize-incremental` failed in the pipeline. The message has what Feast printed."""

    code = 1311
    remedy = "Correct what Feast names, and run the command again."


class BadSetting(JobError):
    """An environment variable holds a value that cannot be used. The process does not start its work."""

    code = 1312
    remedy = "Set the variable to a value that the message allows."


class Mismatch(JobError):
    """A comparison found a difference: between served and trained features, or after a simulation."""

    code = 1313
    remedy = "Look at the rows that the message names."


class NotGenerated(JobError):
    """The generator would replace raw events that it did not make, or mix its own with events that others sent."""

    code = 1314
    remedy = "Choose another root, or state that the events may go."


class StepKilled(JobError):
    """The system killed a step of the pipeline."""

    code = 1318
    remedy = "Free memory, and run the command again. What was done stays."
