"""The card of a model: everything that is needed to feed it, to read its scores and to check it."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

Task = Literal["classification", "regression"]
#: The name of the algorithm of a model that a team published itself.
OWN = "own"


def _is_none(value: object) -> bool:
    return value is None


class Part(BaseModel):
    """A part of a card. It cannot be changed, and has no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CardInput(Part):
    """One column of the model's matrix. In a linear model it contributes `weight · (x − mean)` to the log-odds of a
    probability, or to an estimated number."""

    name: str
    dtype: Literal["int", "float"]
    missing: float = Field(description="The training median. It replaces a missing value.")
    mean: float = Field(description="The mean of the training rows.")
    low: float = Field(description="The smallest value of the training rows.")
    high: float = Field(description="The largest value of the training rows.")
    weight: float | None = Field(None, description="What one unit of the input adds; None in a model of trees.")


class Split(Part):
    """The rows with since ≤ event_timestamp ≤ until."""

    since: datetime | None = Field(None, description="None if the rows have no timestamps.")
    until: datetime | None = None
    rows: int
    positives: int | None = Field(
        default=None, description="Rows whose label is 1; of a classification.", exclude_if=_is_none
    )
    mean: float | None = Field(default=None, description="Mean of the labels; of a regression.", exclude_if=_is_none)


class Metrics(Part):
    """Measured on the test rows, which are all later than the training rows. The first six are of a classification,
    the others of a regression. A metric that does not apply is None, and is not written."""

    roc_auc: float | None = Field(default=None, exclude_if=_is_none)
    average_precision: float | None = Field(default=None, exclude_if=_is_none)
    brier: float | None = Field(default=None, exclude_if=_is_none)
    log_loss: float | None = Field(default=None, exclude_if=_is_none)
    calibration_error: float | None = Field(
        default=None,
        description="How far scores are from the share that came true, in ten bins of the score, weighted by rows.",
        exclude_if=_is_none,
    )
    card_precision: float | None = Field(
        default=None,
        validation_alias=AliasChoices("card_precision", "card_precision_100"),
        description="The share that was bad of the card's `top` most suspicious entities of a day; mean over the days.",
        exclude_if=_is_none,
    )
    rmse: float | None = Field(default=None, exclude_if=_is_none)
    mae: float | None = Field(default=None, exclude_if=_is_none)
    r2: float | None = Field(default=None, exclude_if=_is_none)
    baseline_rmse: float | None = Field(
        default=None, description="The RMSE if every score were the mean of the training labels.", exclude_if=_is_none
    )


class OutcomeRate(Part):
    """The test rows that get one outcome by the thresholds that were in force at the training."""

    share: float
    positive_rate: float | None = Field(default=None, description="Share of labels that are 1; of a classification.")
    mean: float | None = Field(default=None, description="Mean of the labels; of a regression.", exclude_if=_is_none)


class Sampling(Part):
    """Contributions that are not exact: Shapley values against some kept training rows, by sampled orders of the
    inputs. They are the same for the same row, and with `base` they sum to the log-odds of the score, or to the
    number."""

    rows: int = Field(description="How many training rows are kept, in `background.csv`.")
    error: float = Field(
        description="By how much a contribution differs from the one without sampling, in log-odds or in the unit of "
        "the number: in 19 of 20 cases by less. Measured on training rows."
    )


class Calibration(Part):
    """The line that log-odds are on: `slope` times those that the model learned, plus `intercept`. It is in the model's
    file, its base and its contributions."""

    slope: float
    intercept: float


class Rehearsal(Part):
    """The same algorithms, fitted on earlier rows and measured on rows that came later and whose outcomes were known
    before the test rows. It chose the champion and its calibration, so that the test rows chose nothing."""

    train: Split
    test: Split
    metrics: dict[str, Metrics]


class Replaced(Part):
    """The version that served before, on the same test rows."""

    version: str
    metrics: Metrics


class Card(Part):
    """What a model says about itself."""

    name: str
    version: str
    feature_service: str
    champion: str = Field(description="The algorithm that serves, one of those in `metrics`.")
    algorithm: str = Field(description="The champion in words.")
    inputs: tuple[CardInput, ...] = Field(description="In the order in which the model takes them.")
    base: float = Field(description="The log-odds, or the estimated number, before any contribution.")
    train: Split
    test: Split
    metrics: dict[str, Metrics] = Field(description="Of the champion and of every challenger, on the same test rows.")
    intervals: dict[str, tuple[float, float]] = Field(
        default={},
        description="Metric → its 95 % interval for the champion: where the metric is if other test rows of this kind "
        "are drawn.",
        exclude_if=lambda value: not value,
    )
    outcomes: dict[str, OutcomeRate] = Field(description="By the risk's words, the mildest first.")
    refused: dict[str, tuple[str, ...]] = Field(
        default={}, description="Algorithm → inputs in which it goes against the declared direction; it cannot serve."
    )
    unserved: dict[str, str] = Field(
        default={}, description="Algorithm → why the service could not serve it.", exclude_if=lambda value: not value
    )
    libraries: dict[str, str]
    model_sha256: str
    scored_by: Literal["onnx", "sums"] = Field(
        default="onnx",
        description="What gives the scores: the ONNX file, or the sum of base and contributions, which is the same but "
        "for the ONNX file's rounding.",
        exclude_if=lambda scored_by: scored_by == "onnx",
    )
    trees_sha256: str | None = Field(None, description="Of `trees.txt`, which explains a model of trees.")
    sampled: Sampling | None = Field(default=None, description="None if contributions are exact.", exclude_if=_is_none)
    background_sha256: str | None = Field(default=None, description="Of `background.csv`.", exclude_if=_is_none)
    reference_sha256: str | None = Field(default=None, description="Of `reference.json`.", exclude_if=_is_none)
    notes: tuple[str, ...] = Field(
        default=(), description="What to know before the figures are trusted.", exclude_if=lambda notes: not notes
    )
    rehearsal: Rehearsal | None = Field(
        default=None, description="None where there were too few earlier rows.", exclude_if=_is_none
    )
    calibration: Calibration | None = Field(default=None, description="Of the champion.", exclude_if=_is_none)
    replaced: Replaced | None = Field(default=None, description="The version that served.", exclude_if=_is_none)
    task: Task = Field("classification", exclude_if=lambda task: task == "classification")
    bounds: tuple[float, float] | None = Field(
        default=None,
        description="The smallest and the largest score of a regression. A score outside becomes the nearer of "
        "the two; base and contributions sum to the score before that.",
        exclude_if=_is_none,
    )
    top: int | None = Field(
        default=None, description="How many entities a day `card_precision` looks at.", exclude_if=_is_none
    )

    @model_validator(mode="before")
    @classmethod
    def _without_thresholds(cls, values: Any) -> Any:
        """An older card has the thresholds of its training. They are beside the model now, so these are left out."""
        return {k: v for k, v in values.items() if k != "thresholds"} if isinstance(values, dict) else values

    @property
    def quality(self) -> Metrics:
        """The champion's metrics."""
        return self.metrics[self.champion]

    @property
    def is_own(self) -> bool:
        """Whether a team published it, and no training made it."""
        return self.champion == OWN

    @property
    def headline(self) -> str:
        """The champion's quality in one figure."""
        metrics = self.quality
        return f"RMSE {metrics.rmse:.3f}" if self.task == "regression" else f"AUC {metrics.roc_auc:.3f}"
