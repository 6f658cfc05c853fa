"""What a model says about itself: everything needed to feed it, read it and check it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CardInput(Part):
    """One column of the model's matrix. Its contribution to the log-odds is `weight · (x − mean)`."""

    name: str
    dtype: Literal["int", "float"]
    missing: float = Field(description="What stands in for a missing value: the training median.")
    weight: float = Field(description="Change of the log-odds for one more of the input.")
    mean: float = Field(description="Mean over the training rows.")


class Thresholds(Part):
    approve_below: float
    decline_from: float


class Split(Part):
    """The rows with since ≤ event_timestamp ≤ until."""

    since: datetime
    until: datetime
    rows: int
    positives: int


class Metrics(Part):
    """On the test rows, all later than the training rows."""

    auc: float
    average_precision: float
    brier: float
    log_loss: float


class OutcomeRate(Part):
    """What a threshold would have done on the test rows."""

    share: float
    positive_rate: float | None


class Card(Part):
    name: str
    version: str
    feature_service: str
    algorithm: str
    inputs: tuple[CardInput, ...] = Field(description="In the order in which the model takes them.")
    base: float = Field(description="Log-odds of a row whose every input is at its mean.")
    train: Split
    test: Split
    metrics: Metrics
    thresholds: Thresholds
    outcomes: dict[Literal["approve", "review", "decline"], OutcomeRate]
    libraries: dict[str, str]
    model_sha256: str
