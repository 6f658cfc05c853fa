"""What a domain declares about a decision it takes. Jobs, serving and the HTTP face read these
declarations and know no domain by name, so a new domain changes none of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from features.raw import RawTable

Outcome = Literal["approve", "review", "decline"]
Algorithm = Literal["logistic_regression", "gradient_boosting"]


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

    `direction` is what the business expects of it: +1 a higher value never lowers the risk, −1 never
    raises it, 0 nothing is said. Training refuses a model that goes against it.
    """

    name: str
    dtype: Literal["int", "float"]
    direction: Literal[-1, 0, 1]
    raises: Reason
    lowers: Reason


@dataclass(frozen=True)
class Policy:
    """A rule of the business beside the model: where `feature == equals`, at least `outcome`.
    The model never sees `feature`, so a policy is no penalty in the score."""

    feature: str
    equals: int | float | str | None
    outcome: Outcome
    reason: Reason

    def applies(self, features: Mapping[str, Any]) -> bool:
        return features[self.feature] == self.equals


@dataclass(frozen=True)
class Outcomes:
    """Where the truth about past cases is: a raw table with the columns of `RiskRequest.row`, known `matures_after` the
    event. `label` is its 0/1 column; or, with `happened`, 1 where that column has a moment and 0 where it is empty."""

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
    """How much risk the business takes. A score is a probability: below `approve_below` it approves, from
    `decline_from` on it declines, and between the two a person looks."""

    approve_below: float
    decline_from: float


@dataclass(frozen=True)
class Population:
    """Everybody whom batch scoring scores: the distinct `key` of a raw table up to the moment."""

    table: str
    key: str


@dataclass(frozen=True)
class Risk:
    """One decision: its name is also that of its feature service, its model and its paths."""

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
    #: The best on average precision becomes champion.
    algorithms: tuple[Algorithm, ...] = ("logistic_regression",)

    def path_value(self, request: RiskRequest) -> Any:
        """The one field of the request that stands in the URL."""
        return getattr(request, self.path_field or "")

    @property
    def slug(self) -> str:
        return self.name.replace("_", "-")
