"""What a model says about itself: everything needed to feed it, read it and check it."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CardInput(Part):
    """One column of the model's matrix. In a linear model its contribution to the log-odds is `weight · (x − mean)`."""

    name: str
    dtype: Literal["int", "float"]
    missing: float = Field(description="What stands in for a missing value: the training median.")
    mean: float = Field(description="Mean over the training rows.")
    low: float = Field(description="The smallest of the training rows.")
    high: float = Field(description="The largest of the training rows.")
    weight: float | None = Field(None, description="Change of the log-odds for one more of the input; of trees, none.")


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

    roc_auc: float
    average_precision: float
    brier: float
    log_loss: float
    card_precision_100: float | None = Field(
        None, description="Of the 100 most suspicious each day, the share that was bad; mean over the days."
    )


class OutcomeRate(Part):
    """What a threshold would have done on the test rows."""

    share: float
    positive_rate: float | None


class Card(Part):
    name: str
    version: str
    feature_service: str
    champion: str = Field(description="The algorithm that serves, one of those in `metrics`.")
    algorithm: str = Field(description="The champion in words.")
    inputs: tuple[CardInput, ...] = Field(description="In the order in which the model takes them.")
    base: float = Field(description="Log-odds before any contribution.")
    train: Split
    test: Split
    metrics: dict[str, Metrics] = Field(description="Of the champion and of every challenger, on the same test rows.")
    thresholds: Thresholds
    outcomes: dict[Literal["approve", "review", "decline"], OutcomeRate]
    refused: dict[str, tuple[str, ...]] = Field(
        default={}, description="Algorithm → inputs in which it goes against the declared direction; it cannot serve."
    )
    libraries: dict[str, str]
    model_sha256: str
    trees_sha256: str | None = Field(None, description="Of `trees.txt`, which explains a model of trees.")

    @property
    def quality(self) -> Metrics:
        return self.metrics[self.champion]
