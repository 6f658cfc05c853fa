"""The answers of the service, as schemas for the API docs."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

FEATURES = "Feature name → JSON value. Null if nothing is stored and the definition has no default."
FEATURES_EXAMPLE = {"is_gt_18_years_old": 1, "is_previously_seen_ssn": 1}
SCORE = "The probability of a bad outcome, 0 to 1. For a risk that estimates a number, that number within its bounds."
AS_OF_EXAMPLE = "2026-01-31T12:00:00+00:00"
AS_OF = "The timestamp of the answer, UTC. Later events are not in it."


class Reason(BaseModel):
    """Why the score is high or low, which rule applied, or what is not known."""

    code: str = Field(description="Stable name of the reason.", examples=["ssn_seen_before"])
    text: str = Field(examples=["The social security number was seen on another driver."])
    contribution: float = Field(
        description="What the inputs that share the reason added to the log-odds of a probability, or to an estimated "
        "number before its bounds. A positive contribution raised the score. A rule has 0. "
        "It is exact for linear models and gradient-boosted trees. For another model it is approximate: the card of "
        "the model states the error, `sampled.error`.",
        examples=[4.27],
    )


class Model(BaseModel):
    """The model that gave the score."""

    name: str = Field(examples=["onboarding"])
    version: str = Field(examples=["20260131T120000-0a1b2c3d"])


class Policy(BaseModel):
    """The thresholds and rules that made an outcome of the score."""

    name: str = Field(examples=["onboarding"])
    version: str = Field(description="A digest of all that the policy says.", examples=["5d41402abc4b"])


class FeaturesAnswer(BaseModel):
    """The features of a request."""

    features: dict[str, Any] = Field(description=FEATURES, examples=[FEATURES_EXAMPLE])
    as_of: datetime = Field(description=AS_OF, examples=[AS_OF_EXAMPLE])


class ScoreAnswer(BaseModel):
    """The score of a request."""

    score: float = Field(description=SCORE, examples=[0.03])
    model: Model
    as_of: datetime = Field(description=AS_OF, examples=[AS_OF_EXAMPLE])


class Decision(BaseModel):
    """A decision with its reasons and with the features behind it."""

    decision_id: str = Field(
        description="The decision's id in the audit log.", examples=["3f1c8a52-9f0e-4a59-8b54-0d6c1a2b3c4d"]
    )
    decision: str = Field(
        description="One of the risk's three words. The description of its path lists them.", examples=["approve"]
    )
    score: float = Field(description=SCORE, examples=[0.03])
    reasons: list[Reason] = Field(
        description="Up to three, each code once: those of rules, `not_enough_known`, then the strongest of the model."
    )
    features: dict[str, Any] = Field(description=FEATURES, examples=[FEATURES_EXAMPLE])
    model: Model
    policy: Policy
    as_of: datetime = Field(description=AS_OF, examples=[AS_OF_EXAMPLE])


class Decisions(RootModel[Decision | list[Decision]]):
    """One decision for one request. For a list of requests, a list of decisions in the same order."""


class LoggedDecision(BaseModel):
    """A decision as the audit log holds it: the decision with all of its features, the entity and the rest of the
    request, with identifiers as keyed hashes, and how it was made."""

    model_config = ConfigDict(extra="allow")

    risk: str = Field(examples=["onboarding"])
    entity: dict[str, Any] = Field(description="The entity keys.", examples=[{"driver_id": 1001}])
    request: dict[str, Any] = Field(description="The rest of the request.", examples=[{}])
    decision_id: str
    decision: str
    score: float | None = Field(description=SCORE, examples=[0.03])
    reasons: list[Reason]
    features: dict[str, Any]
    model: Model
    policy: Policy
    as_of: datetime
    outcomes: list[dict[str, Any]] = Field(
        description="What was fed back about the decision, in the order of receipt: `outcome`, `known_at`, "
        "`received_at`, who sent it, and what it was sent with."
    )


class OutcomesAnswer(BaseModel):
    """The outcomes that the service has stored."""

    recorded: int = Field(description="How many outcomes were new. They are safe on disk.", examples=[1])
    unchanged: int = Field(description="How many were stored before.", examples=[0])


class FoundDecisions(BaseModel):
    """A page of decisions, newest first."""

    decisions: list[LoggedDecision]
    next: str | None = Field(description="The cursor of the next page; null after the last one.")


class SignUpAnswer(BaseModel):
    """The decision about an applicant."""

    decision: Decision
    home: str = Field(
        default="", description="The new driver's home page; empty if not approved.", examples=["/home/1234567890"]
    )


class Score(BaseModel):
    """The score of one batch."""

    as_of: datetime
    score: float


class BatchScores(BaseModel):
    """The results of the last batches about one entity."""

    decision: Decision | None = Field(description="The newest batch decision; null before the first batch.")
    scores: list[Score] = Field(description="Scores of the last batches, oldest first.")


class Vector(BaseModel):
    """The features of one entity."""

    features: dict[str, Any] = Field(description=FEATURES, examples=[FEATURES_EXAMPLE])
    event_timestamps: dict[str, datetime | None] = Field(
        description="The event time of each stored value; null for a computed value, and if nothing is stored."
    )
    statuses: dict[str, Literal["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"]] = Field(
        description="NOT_FOUND: nothing is stored; OUTSIDE_MAX_AGE: the value is older than its view's TTL."
    )


class Vectors(BaseModel):
    """The features of each entity."""

    results: list[Vector] = Field(description="One vector for each entity, in order.")
    as_of: datetime = Field(description=AS_OF, examples=[AS_OF_EXAMPLE])


class Accepted(BaseModel):
    """The events that the service accepted."""

    accepted: int = Field(description="How many events are now safe on disk.", examples=[1])


class Missing(BaseModel):
    """The numbers of a producer that got lost."""

    missing: list[list[int]] = Field(description="Ranges of numbers, both ends included.", examples=[[[3, 5]]])


class Value(BaseModel):
    """One number, with its unit and its date."""

    value: float | None = Field(description="Null if there is no value, or none that still holds.", examples=[4.2])
    unit: str = Field(examples=["stars"])
    event_timestamp: datetime = Field(
        description="The newest event of the keys of a live value; the midnight from which a batch value holds.",
        examples=["2026-01-31T00:00:00+00:00"],
    )
    as_of: datetime = Field(description=AS_OF, examples=[AS_OF_EXAMPLE])


class HistoricalRow(BaseModel):
    """The features of one entity at one time."""

    entity: dict[str, Any] = Field(description="The entity's keys.", examples=[{"driver_id": 1001}])
    event_timestamp: datetime = Field(description="The time as of which the features hold.")
    features: dict[str, Any] = Field(description=FEATURES, examples=[FEATURES_EXAMPLE])


class HistoricalAnswer(BaseModel):
    """The features of each entity at each time."""

    service: str = Field(description="The feature service.", examples=["daily"])
    rows: list[HistoricalRow]


class Tokens(BaseModel):
    """What a user signs in with from now on."""

    access_token: str = Field(description="A JSON Web Token. Send it as `Authorization: Bearer …`.")
    token_type: str = Field(examples=["Bearer"])
    expires_in: int = Field(description="Seconds until the access token ends.", examples=[600])
    refresh_token: str = Field(description="For the next tokens. It works once.")
    scope: str = Field(description="The scopes, separated by spaces.", examples=["features:read decisions:write"])


class SignedOut(BaseModel):
    """The refresh tokens of a sign-in have ended."""

    signed_out: bool


class ErrorDetail(BaseModel):
    """What was wrong, and what to do."""

    code: int = Field(examples=[1002])
    name: str = Field(examples=["missing_field"])
    message: str = Field(description="What was seen, then what to do.", examples=["ssn is missing. Send it."])
    field: str = Field(default="", description="The wrong field, if one is wrong.", examples=["ssn"])
    request_id: str = Field(
        description="The id of the request, as in the header `X-Request-ID` and in the log.", examples=["a1"]
    )


class Error(BaseModel):
    """Every error has this form."""

    error: ErrorDetail


ANSWERS: tuple[type[BaseModel], ...] = (
    Decision, Decisions, FeaturesAnswer, ScoreAnswer, SignUpAnswer, BatchScores, Vectors, HistoricalAnswer,
    Accepted, Missing, Value, Tokens, SignedOut, Error, LoggedDecision, FoundDecisions,
    OutcomesAnswer,
)  # fmt: skip
