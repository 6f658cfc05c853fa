"""What a domain declares about a decision. Jobs, serving and web read these declarations and name no domain, so a new
domain changes none of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from math import inf
from typing import Any, Literal

from features.request import RiskRequest as RiskRequest
from features.rules import RuleFault, parsed
from features.windows import LiveFeatures, RawTable

Task = Literal["classification", "regression"]
_Trees = Literal["gradient_boosting", "random_forest", "boosting_and_forest"]
Algorithm = Literal["logistic_regression", "linear_regression"] | _Trees
#: The algorithms that can learn a task. Boosted trees can learn both.
ALGORITHMS: Mapping[Task, tuple[Algorithm, ...]] = {
    "classification": ("logistic_regression", "gradient_boosting", "random_forest", "boosting_and_forest"),
    "regression": ("linear_regression", "gradient_boosting"),
}


@dataclass(frozen=True)
class Reason:
    """Why a score is high or low. `code` is stable; `text` is for people."""

    code: str
    text: str


@dataclass(frozen=True)
class Input:
    """One input of a model: a feature of the risk's feature service.

    `direction` is what the business expects. With +1 a higher value never lowers the score, with −1 it never raises it,
    and with 0 it may do both. Training refuses a model that goes against it. `raises` is the reason to give if the
    input raised the score, and `lowers` if it lowered it.

    `known_by` names features and request fields. If one of them is missing, the input's value only stands in for one
    that nobody knows, such as the count of orders at a merchant that the order does not name.
    """

    name: str
    dtype: Literal["int", "float"]
    direction: Literal[-1, 0, 1]
    raises: Reason
    lowers: Reason
    known_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcomes:
    """Where the outcomes of past cases are: a raw table with the columns of `RiskRequest.row`. An outcome is known
    `matures_after` the event.

    `label` is a column of the table: 0 or 1, or a number for a regression. With `happened`, the label is 1 if that
    column has a timestamp, and 0 if it is empty.
    """

    table: RawTable
    label: str
    matures_after: timedelta
    happened: str | None = None


@dataclass(frozen=True)
class Protocol:
    """How a model is tested: it trains on `train_days`, skips `delay_days`, in which outcomes are not known yet, and is
    tested on the `test_days` after them.

    `who` is the column of the entity. The test leaves out an entity from the day on which it was known to be bad. `top`
    is how many entities a day people can look at.
    """

    who: str
    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7
    top: int = 100


@dataclass(frozen=True)
class Appetite:
    """The two scores that part the three bands. A score below `low` gives the first of the `words`, a score from `high`
    on the third, and a score between them the second.

    The words are in the order of the scores. `strict` says at which end an outcome is strict: of a probability of
    fraud at the high end, of a customer's loyalty at the low one.
    """

    low: float
    high: float
    words: tuple[str, str, str] = ("approve", "review", "decline")
    strict: Literal["high", "low"] = "high"

    def severity(self, word: str) -> int:
        """0 for the mildest word, 2 for the strictest."""
        band = self.words.index(word)
        return band if self.strict == "high" else len(self.words) - 1 - band

    def word(self, severity: int) -> str:
        """The word of a severity."""
        return self.words[severity if self.strict == "high" else len(self.words) - 1 - severity]


@dataclass(frozen=True)
class Rule:
    """A business rule beside the model: where `when` holds, the outcome is at least as strict as `outcome`. With
    `allow`, it is at most as strict as `outcome`, unless another rule is stricter. A rule does not change the score.

    `when` is a condition on features and request fields; see `features.rules`. `outcome` is one of the risk's words.
    """

    when: str
    outcome: str
    reason: Reason
    allow: bool = False

    def check(self, appetite: Appetite) -> None:
        """Raises RuleFault if the outcome is no word of the risk, or could change nothing."""
        if self.outcome not in appetite.words:
            raise RuleFault(f"the outcome is {self.outcome!r}. Use one of: {', '.join(appetite.words)}")
        if self.allow and appetite.severity(self.outcome) == 2:
            raise RuleFault(f"{self.outcome!r} is the strictest outcome, so allow changes nothing. Remove allow")
        if not self.allow and appetite.severity(self.outcome) == 0:
            raise RuleFault(
                f"{self.outcome!r} is the mildest outcome, so the rule changes nothing. Add allow: true, and the rule "
                "may make a decision milder than the model's"
            )


@dataclass(frozen=True)
class Costs:
    """What wrong decisions cost, in one unit: a bad case that is not stopped, and a good one that is. The training
    report says with them what each threshold costs. They change no decision."""

    false_approve: float = 10.0
    false_decline: float = 1.0


@dataclass(frozen=True)
class Population:
    """The entities of batch scoring: the distinct values of `key` in a raw table, up to the timestamp of the run."""

    table: str
    key: str


@dataclass(frozen=True)
class Publication:
    """The event that a scored request becomes. `event` makes it of the request's row and the score, for `stream`."""

    stream: str
    event: Callable[[Mapping[str, Any], float], dict[str, Any]]


@dataclass(frozen=True)
class Risk:
    """One decision. Its feature service, its model and its paths have the same name. The score of a classification is
    the probability that the label is 1, and that of a regression an estimate of the label."""

    name: str
    title: str
    description: str
    request: type[RiskRequest]
    #: The entity keys in `RiskRequest.row`. The audit log keeps them.
    entity_keys: tuple[str, ...]
    outcomes: Outcomes
    inputs: tuple[Input, ...]
    appetite: Appetite
    #: The rules beside the model. A policy file replaces them.
    policies: tuple[Rule, ...] = ()
    #: Features and request fields without which the outcome is at least the middle word.
    needs: tuple[str, ...] = ()
    #: The one field of `request`, if it is in the URL (GET). None if the request is a JSON body (POST).
    path_field: str | None = None
    #: A feature that every known entity has. If it is missing, the entity is unknown (404).
    known_by: str | None = None
    population: Population | None = None
    #: How a model is tested. None: on the latest 30 % of the cases.
    protocol: Protocol | None = None
    #: That of the highest average precision on earlier rows becomes the champion; of a regression, of the lowest RMSE.
    algorithms: tuple[Algorithm, ...] = ("logistic_regression",)
    task: Task = "classification"
    #: The lowest and the highest score of a regression. An estimate outside becomes the nearer of the two.
    bounds: tuple[float, float] | None = None
    publishes: Publication | None = None
    #: What wrong decisions cost, for the report. None: the costs of `Costs`, and the report says that they are assumed.
    costs: Costs | None = None
    #: A column by which the report compares how people are treated, such as the state. It is never an input.
    group: str | None = None
    #: The features that its feature service computes from live tables. Training computes them at each case's timestamp.
    live: LiveFeatures | None = None

    def __post_init__(self) -> None:
        allowed = ALGORITHMS[self.task]
        if wrong := [name for name in self.algorithms if name not in allowed]:
            raise ValueError(f"{self.name}: {wrong[0]} cannot learn a {self.task}. Use one of: {', '.join(allowed)}.")
        if self.bounds and self.task != "regression":
            raise ValueError(f"{self.name} declares bounds and is a {self.task}. Declare bounds for a regression only.")
        if self.group in {i.name for i in self.inputs}:
            raise ValueError(f"{self.name}: {self.group} is both the group and an input. No model may take the group.")
        for rule in self.policies:
            try:
                parsed(rule.when)
                rule.check(self.appetite)
            except RuleFault as fault:
                raise ValueError(f"{self.name}: {fault}.") from None

    @cached_property
    def by_input(self) -> Mapping[str, Input]:
        """The inputs by name."""
        return {i.name: i for i in self.inputs}

    @cached_property
    def reason_groups(self) -> Mapping[str, int]:
        """Input → the number of its group. Inputs that share a reason's code are in one group, so that a code stands
        once in an answer."""
        groups: dict[str, int] = {}
        by_code: dict[str, int] = {}
        for number, i in enumerate(self.inputs):
            codes = {i.raises.code, i.lowers.code}
            shared = {by_code[code] for code in codes & by_code.keys()}
            by_code = {code: number if group in shared else group for code, group in by_code.items()}
            by_code |= dict.fromkeys(codes, number)
            groups = {name: number if group in shared else group for name, group in groups.items()} | {i.name: number}
        return groups

    @property
    def url_field(self) -> str:
        """The field of the request that is part of the URL. Raises ValueError where there is none."""
        if self.path_field is None:
            raise ValueError(f"{self.name}: the request is a JSON body. Declare a path_field.")
        return self.path_field

    def path_value(self, request: RiskRequest) -> Any:
        """The value of `path_field` in a request."""
        return getattr(request, self.url_field)

    @property
    def score_range(self) -> tuple[float, float]:
        """The smallest and the largest score that there can be."""
        return (0.0, 1.0) if self.task == "classification" else self.bounds or (-inf, inf)

    @property
    def slug(self) -> str:
        """The name in URLs: `refund_abuse` → `refund-abuse`."""
        return self.name.replace("_", "-")
