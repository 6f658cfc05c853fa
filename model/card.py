"""What a model says about itself: everything needed to feed it, read it and check it."""

from datetime import datetime
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

Task = Literal["classification", "regression"]


def _is_none(value: object) -> bool:
    return value is None


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CardInput(Part):
    """One column of the model's matrix. In a linear model it contributes `weight · (x − mean)`: to the log-odds of a
    probability, or to an estimated number itself."""

    name: str
    dtype: Literal["int", "float"]
    missing: float = Field(description="What stands in for a missing value: the training median.")
    mean: float = Field(description="Mean over the training rows.")
    low: float = Field(description="The smallest of the training rows.")
    high: float = Field(description="The largest of the training rows.")
    weight: float | None = Field(None, description="What one more of the input contributes; of trees, none.")


class Thresholds(Part):
    """A score below `low` is in the first band, a score from `high` on in the third.
    Older cards call them `approve_below` and `decline_from`."""

    low: float = Field(validation_alias=AliasChoices("low", "approve_below"))
    high: float = Field(validation_alias=AliasChoices("high", "decline_from"))


class Split(Part):
    """The rows with since ≤ event_timestamp ≤ until."""

    since: datetime
    until: datetime
    rows: int
    positives: int | None = Field(
        default=None, description="Rows whose label is 1, of a classification.", exclude_if=_is_none
    )
    mean: float | None = Field(default=None, description="Mean of the label, of a regression.", exclude_if=_is_none)


class Metrics(Part):
    """On the test rows, all later than the training rows. The first five are of a classification, the others of a
    regression; what does not apply is None, and not written."""

    roc_auc: float | None = Field(default=None, exclude_if=_is_none)
    average_precision: float | None = Field(default=None, exclude_if=_is_none)
    brier: float | None = Field(default=None, exclude_if=_is_none)
    log_loss: float | None = Field(default=None, exclude_if=_is_none)
    card_precision: float | None = Field(
        default=None,
        validation_alias=AliasChoices("card_precision", "card_precision_100"),
        description="The share that was bad of the card's `top` most suspicious entities of a day; mean over days.",
        exclude_if=_is_none,
    )
    rmse: float | None = Field(default=None, exclude_if=_is_none)
    mae: float | None = Field(default=None, exclude_if=_is_none)
    r2: float | None = Field(default=None, exclude_if=_is_none)
    baseline_rmse: float | None = Field(
        default=None, description="RMSE of saying the mean of the training rows every time.", exclude_if=_is_none
    )


class OutcomeRate(Part):
    """What a threshold would have done on the test rows."""

    share: float
    positive_rate: float | None = Field(default=None, description="Share of labels that are 1, of a classification.")
    mean: float | None = Field(default=None, description="Mean of the label, of a regression.", exclude_if=_is_none)


class Card(Part):
    name: str
    version: str
    feature_service: str
    champion: str = Field(description="The algorithm that serves, one of those in `metrics`.")
    algorithm: str = Field(description="The champion in words.")
    inputs: tuple[CardInput, ...] = Field(description="In the order in which the model takes them.")
    base: float = Field(description="Log-odds, or the estimated number itself, before any contribution.")
    train: Split
    test: Split
    metrics: dict[str, Metrics] = Field(description="Of the champion and of every challenger, on the same test rows.")
    thresholds: Thresholds
    outcomes: dict[str, OutcomeRate] = Field(description="By the risk's words, the mildest first.")
    refused: dict[str, tuple[str, ...]] = Field(
        default={}, description="Algorithm → inputs in which it goes against the declared direction; it cannot serve."
    )
    libraries: dict[str, str]
    model_sha256: str
    trees_sha256: str | None = Field(None, description="Of `trees.txt`, which explains a model of trees.")
    top: int | None = Field(
        default=None, description="How many entities a day `card_precision` looks at.", exclude_if=_is_none
    )
    task: Task = Field("classification", exclude_if=lambda task: task == "classification")
    bounds: tuple[float, float] | None = Field(
        default=None,
        description="Of a regression: a score outside is moved to the nearer of the two. Base and contributions sum to "
        "what it was before.",
        exclude_if=_is_none,
    )

    @property
    def quality(self) -> Metrics:
        return self.metrics[self.champion]

    @property
    def headline(self) -> str:
        """How good the champion is, in one figure."""
        of = self.quality
        return f"RMSE {of.rmse:.3f}" if self.task == "regression" else f"AUC {of.roc_auc:.3f}"
