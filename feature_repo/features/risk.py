"""What a domain declares about a decision it takes. Jobs, serving and the HTTP face read these
declarations and know no domain by name, so a new domain changes none of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from features.windows.live import LiveFeatures
from features.windows.raw import RawTable

Task = Literal["classification", "regression"]
Algorithm = Literal["logistic_regression", "linear_regression", "gradient_boosting"]
#: What a task can be learned with; trees are fitted to either.
ALGORITHMS: Mapping[Task, tuple[Algorithm, ...]] = {
    "classification": ("logistic_regression", "gradient_boosting"),
    "regression": ("linear_regression", "gradient_boosting"),
}


class RiskRequest(BaseModel):
    """What a caller says. Subclasses add the fields; their descriptions and examples become the docs.
    A value that cannot be is refused by a validator raising from `errors`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    def row(self, as_of: datetime, hash_key: bytes) -> dict[str, Any]:
        """Entity keys and request data as Feast names them. Secrets leave here as keyed hashes only."""
        return self.model_dump()


@dataclass(frozen=True)
class Reason:
    code: str
    text: str


@dataclass(frozen=True)
class Input:
    """One input of a model: a feature of the risk's feature service.

    `direction` is what the business expects of it: +1 a higher value never lowers the score, −1 never
    raises it, 0 nothing is said. Training refuses a model that goes against it. `raises` and `lowers` are what is
    said where it did so to the score.
    """

    name: str
    dtype: Literal["int", "float"]
    direction: Literal[-1, 0, 1]
    raises: Reason
    lowers: Reason


@dataclass(frozen=True)
class Policy:
    """A rule of the business beside the model: where `feature == equals`, at least `outcome`, one of the risk's words.
    The model never sees `feature`, so a policy is no penalty in the score."""

    feature: str
    equals: int | float | str | None
    outcome: str
    reason: Reason

    def applies(self, features: Mapping[str, Any]) -> bool:
        return features[self.feature] == self.equals


@dataclass(frozen=True)
class Outcomes:
    """Where the truth about past cases is: a raw table with the columns of `RiskRequest.row`, known `matures_after` the
    event. `label` is its 0/1 column, of a regression a number; or, with `happened`, 1 where that column has a moment
    and 0 where it is empty."""

    table: RawTable
    label: str
    matures_after: timedelta
    happened: str | None = None


@dataclass(frozen=True)
class Protocol:
    """Train on some days, leave out those whose outcomes were not known by then, test on the next ones. Of the test are
    left out all `who` were known to be bad by its day. `top`: so many a day can be looked at."""

    who: str
    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7
    top: int = 100


@dataclass(frozen=True)
class Appetite:
    """The two scores that part the three bands. A score below `low` gives the first of the `words`, a score from `high`
    on the third, and a score between them the second. The words are ordered, the mildest first."""

    low: float
    high: float
    words: tuple[str, str, str] = ("approve", "review", "decline")


@dataclass(frozen=True)
class Population:
    """Everybody whom batch scoring scores: the distinct `key` of a raw table up to the moment."""

    table: str
    key: str


@dataclass(frozen=True)
class Publication:
    """The event that a scored request becomes: of which stream, and made how of the request's row and its score."""

    stream: str
    event: Callable[[Mapping[str, Any], float], dict[str, Any]]


@dataclass(frozen=True)
class Risk:
    """One decision: its name is also that of its feature service, its model and its paths.

    The score of a classification is the probability that the label is 1, that of a regression an estimate of the label.
    """

    name: str
    title: str
    description: str
    request: type[RiskRequest]
    #: The names in `RiskRequest.row` that say who it is about: entity keys. The audit log keeps them.
    entity_keys: tuple[str, ...]
    outcomes: Outcomes
    inputs: tuple[Input, ...]
    appetite: Appetite
    policies: tuple[Policy, ...] = ()
    #: The one field of `request` that stands in the URL (GET); None where the request is a JSON body (POST).
    path_field: str | None = None
    #: A feature that every known entity has: where it is missing, the entity is unknown (404).
    known_by: str | None = None
    population: Population | None = None
    #: How a model is tested; None: on the later 30 % of the cases.
    protocol: Protocol | None = None
    #: The best on average precision becomes champion, of a regression the one with the least RMSE.
    algorithms: tuple[Algorithm, ...] = ("logistic_regression",)
    task: Task = "classification"
    #: Of a regression: no score lies outside; the model's estimate is moved to the nearer of the two.
    bounds: tuple[float, float] | None = None
    publishes: Publication | None = None
    #: What its feature service makes of live tables. Training computes it anew, at each case's moment.
    live: LiveFeatures | None = None

    def __post_init__(self) -> None:
        able, words = ALGORITHMS[self.task], self.appetite.words
        if unable := [name for name in self.algorithms if name not in able]:
            raise ValueError(f"{self.name}: {unable[0]} fits no {self.task}. Name some of: {', '.join(able)}.")
        if self.bounds and self.task != "regression":
            raise ValueError(f"{self.name}: a probability has its bounds. Declare bounds of a regression only.")
        if unknown := [policy.outcome for policy in self.policies if policy.outcome not in words]:
            raise ValueError(f"{self.name}: a policy says {unknown[0]!r}. Let it say one of: {', '.join(words)}.")

    def path_value(self, request: RiskRequest) -> Any:
        """The one field of the request that stands in the URL."""
        return getattr(request, self.path_field or "")

    @property
    def slug(self) -> str:
        return self.name.replace("_", "-")
