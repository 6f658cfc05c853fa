"""The domain `loyalty`: what is the loyalty score of a customer after a purchase?"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from errors import BadParameter
from features.fields import zoned
from features.risk import Appetite, Input, Outcomes, Publication, Reason, Risk, RiskRequest
from features.utc import MICROSECOND, utc
from features.windows import Aggregation, AggregationTable, Column, Derived, Feature, LiveFeatures, RawTable
from features.windows.events import NUMBER, PRODUCER
from features.windows.folds import LARGEST
from features.windows.tiles import AHEAD_US

LOWEST, HIGHEST = 1.0, 10.0

PURCHASES = RawTable(
    "purchases",
    time="purchase_timestamp",
    id="purchase_id",
    is_live=True,
    columns=(
        Column("purchase_id", "string"),
        Column("customer_id", "string"),
        Column("purchase_value", "float", minimum=0),
        Column("loyalty_score", "float", is_optional=True, minimum=LOWEST, maximum=HIGHEST),
        Column("predicted_score", "float", is_optional=True, minimum=LOWEST, maximum=HIGHEST),
    ),
    #: The score that the customer gave, or before that the predicted one.
    derived=(Derived("known_score", "first", ("loyalty_score", "predicted_score")),),
)
CUSTOMER_PURCHASES = AggregationTable(
    "customer_purchases", PURCHASES, "customer_id",
    (Aggregation("last_purchase_value", "last", "purchase_value", None, unit="USD",
                 description="Value of the newest purchase, by its timestamp."),
     Aggregation("mean_purchase_value", "mean", "purchase_value", None, unit="USD",
                 description="Mean value of all purchases."),
     Aggregation("mean_loyalty_score", "mean", "known_score", None, unit="1 to 10",
                 description="Mean score of all purchases, given or predicted.")),
    description="What a customer bought, and how loyal the customer was.",
)  # fmt: skip


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs of the model. For a new customer, this purchase stands for earlier ones, and the score is 0."""
    value, last, mean = (values[name] for name in ("purchase_value", "last_purchase_value", "mean_purchase_value"))
    return {
        "this_purchase_value": value,
        "latest_purchase_value": value if last is None else last,
        "average_purchase_value": value if mean is None else mean,
        "average_loyalty_score": values["mean_loyalty_score"] or 0.0,
    }


LOYALTY_LIVE = LiveFeatures(
    "loyalty_now",
    (CUSTOMER_PURCHASES,),
    request=("purchase_value",),
    then=with_defaults,
    more=(
        Feature("this_purchase_value", "float", None, "USD", "Value of this purchase."),
        Feature(
            "latest_purchase_value",
            "float",
            "all",
            "USD",
            "Value of the newest earlier purchase; if none, of this one.",
        ),
        Feature(
            "average_purchase_value",
            "float",
            "all",
            "USD",
            "Mean value of the earlier purchases; if none, of this one.",
        ),
        Feature("average_loyalty_score", "float", "all", "1 to 10", "Mean score of the earlier purchases; if none, 0."),
    ),
)
LIVE = (LOYALTY_LIVE,)


class Purchase(RiskRequest):
    """A purchase that was just made."""

    model_config = ConfigDict(str_strip_whitespace=True)  # as in its events

    purchase_id: str = Field(min_length=1, max_length=100, description="The purchase's number.", examples=["p1"])
    customer_id: str = Field(min_length=1, max_length=100, description="The customer who buys.", examples=["c00007"])
    purchase_value: float = Field(
        ge=0, le=LARGEST, allow_inf_nan=False, description="The value in USD.", examples=[49.9]
    )
    purchase_timestamp: Annotated[str, AfterValidator(zoned("purchase_timestamp"))] | None = Field(
        None, description="When it was made, with a zone; default: now.", examples=["2026-01-31T12:00:00Z"]
    )
    producer: str | None = Field(
        None, min_length=1, max_length=100, description="The sender of the purchase.", examples=["till-1"]
    )
    number: int | None = Field(
        None, ge=1, le=LARGEST, description="The sender's own number of the purchase, from 1.", examples=[1]
    )

    def row(self, as_of: datetime, hash_key: bytes) -> dict[str, Any]:
        """Raises BadParameter if the purchase is in the future by more than a clock may be wrong."""
        made = utc(self.purchase_timestamp) if self.purchase_timestamp else as_of
        if made - as_of > AHEAD_US * MICROSECOND:
            seconds = (made - as_of).total_seconds()
            raise BadParameter(
                f"purchase_timestamp is {seconds:.0f} s in the future. Set the sender's clock.", "purchase_timestamp"
            )
        return {
            "purchase_id": self.purchase_id,
            "customer_id": self.customer_id,
            "purchase_value": self.purchase_value,
            "purchase_timestamp": made,
            PRODUCER: self.producer,
            NUMBER: self.number,
        }


def scored(row: Mapping[str, Any], score: float) -> dict[str, Any]:
    """The stream event of a purchase that was scored."""
    return {**row, "predicted_score": score}


def _input(name: str, code: str, raises: str, lowers: str, *known_by: str) -> Input:
    """`known_by`: for a new customer, `with_defaults` puts a stand-in in its place."""
    return Input(name, "float", 0, Reason(f"{code}_high", raises), Reason(f"{code}_low", lowers), known_by)


LOYALTY = Risk(
    name="loyalty",
    title="Loyalty score of a customer after a purchase",
    description="What is this customer's loyalty score, 1 to 10, after this purchase?",
    request=Purchase,
    entity_keys=("purchase_id", "customer_id"),
    outcomes=Outcomes(PURCHASES, "loyalty_score", timedelta(0)),
    task="regression",
    bounds=(LOWEST, HIGHEST),
    algorithms=("linear_regression", "gradient_boosting"),
    appetite=Appetite(low=4, high=7, words=("passing", "regular", "loyal"), strict="low"),
    needs=("purchase_value", "mean_purchase_value"),  # a customer without a history is regular at most
    publishes=Publication(PURCHASES.name, scored),
    live=LOYALTY_LIVE,
    inputs=(
        _input("this_purchase_value", "purchase", "This purchase is large.", "This purchase is small."),
        _input(
            "latest_purchase_value",
            "last_purchase",
            "The last purchase was large.",
            "The last purchase was small.",
            "last_purchase_value",
        ),
        _input(
            "average_purchase_value",
            "spending",
            "The customer usually spends much.",
            "The customer usually spends little.",
            "mean_purchase_value",
        ),
        _input(
            "average_loyalty_score",
            "past",
            "The customer was loyal before.",
            "The customer was not loyal before.",
            "mean_loyalty_score",
        ),
    ),
)
RISKS = (LOYALTY,)
