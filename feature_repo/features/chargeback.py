"""The domain `chargeback`: will this order be charged back?"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field

from features.fields import zoned
from features.risk import Appetite, Input, Outcomes, Protocol, Reason, Risk, RiskRequest
from features.utc import as_utc, utc
from features.windows import Aggregation, AggregationTable, Column, Feature, LiveFeatures, RawTable
from features.windows.folds import LARGEST

DAY = timedelta(days=1)
#: The outcome of an order counts as known only after this time.
LABEL_DELAY = 7 * DAY
#: What a user usually spends is of 30 days that end so long ago: a stolen card does not change it.
BASELINE_DELAY = 14 * DAY
NIGHT_ENDS, SATURDAY, RECENT_DAYS = 6, 5, (1, 3, 7)

ORDERS = RawTable(
    "orders", time="order_timestamp", id="order_id", is_live=True,
    columns=(
        Column("order_id", "string"),
        Column("user_id", "string"),
        Column("merchant_id", "string", is_optional=True),
        Column("amount", "float", is_optional=True, minimum=0),
        Column("chargeback_timestamp", "timestamp", is_optional=True),
    ),
)  # fmt: skip


def _counts(noun: str, about: str, *days: int) -> tuple[Aggregation, ...]:
    return tuple(
        Aggregation(f"{noun}_count_{d}d", "count", None, d * DAY, unit=noun, description=f"{about}, {d}-day window.")
        for d in days
    )


def _amounts(function: Any, about: str, *days: int) -> tuple[Aggregation, ...]:
    return tuple(
        Aggregation(f"orders_amount_{function}_{d}d", function, "amount", d * DAY, unit="USD",
                    description=f"{about}, {d}-day window.")
        for d in days
    )  # fmt: skip


def _rates(*days: int) -> tuple[Aggregation, ...]:
    return tuple(
        Aggregation(f"chargeback_rate_{d}d", "rate", "chargeback_timestamp", d * DAY, delay=LABEL_DELAY, unit="share",
                    description=f"Share of the merchant's orders, {d}-day window up to a week ago, charged back.")
        for d in days
    )  # fmt: skip


def _newest(*counts: int) -> tuple[Aggregation, ...]:
    return tuple(
        Aggregation(f"chargeback_rate_last_{n}", "last_n_rate", "chargeback_timestamp", 30 * DAY, delay=LABEL_DELAY,
                    n=n, unit="share",
                    description=f"Share of the {n} newest of the merchant's orders, up to a week ago, charged back.")
        for n in counts
    )  # fmt: skip


USER_ORDERS = AggregationTable(
    "user_orders", ORDERS, "user_id",
    (*_counts("orders", "Orders of the user", 1, 3, 7, 30),
     *_amounts("mean", "Mean amount of the user's orders", 1, 7, 30),
     *_amounts("stddev", "Spread of the amounts of the user's orders", 30),
     *_amounts("max", "Largest amount of the user's orders", *RECENT_DAYS, 30),
     Aggregation("orders_amount_baseline", "mean", "amount", 30 * DAY, delay=BASELINE_DELAY, unit="USD",
                 description="Mean amount of the user's orders, 30 days up to two weeks ago.")),
    description="How often and for how much a user buys.",
)  # fmt: skip
USER_CHARGEBACKS = AggregationTable(
    "user_chargebacks", ORDERS, "user_id", _counts("chargebacks", "Chargebacks of the user's orders", 3, 7, 30),
    time="chargeback_timestamp", description="How often a user charged back, by the time of the chargeback.",
)  # fmt: skip
MERCHANT_RISK = AggregationTable(
    "merchant_risk", ORDERS, "merchant_id",
    (*_counts("orders", "Orders at the merchant", 1, 7, 30), *_rates(1, 7, 30), *_newest(1, 2, 3, 5)),
    description="How many orders a merchant gets, and which share of them is charged back.",
)  # fmt: skip
MERCHANT_CHARGEBACKS = AggregationTable(
    "merchant_chargebacks", ORDERS, "merchant_id",
    _counts("chargebacks", "Chargebacks of orders at the merchant", 3, 7, 21, 30),
    time="chargeback_timestamp", description="How often a merchant was charged back, by the time of the chargeback.",
)  # fmt: skip
TABLES = (USER_ORDERS, USER_CHARGEBACKS, MERCHANT_RISK, MERCHANT_CHARGEBACKS)


def order_in_context(
    amount: float | None, mean: float | None, stddev: float | None, largest: float | None, at: datetime | None
) -> dict[str, float | int | None]:
    """The amount of an order compared with the user's orders of 30 days, and whether it is a weekend or night order,
    UTC. A comparison is None if one side is missing, and a ratio is None if it would divide by 0. Without `at`, nothing
    is known of the day and the hour."""
    spread = 1 + (stddev or 0)  # at least one dollar: after equal orders the deviation would be infinite
    at = at and as_utc(at)
    return {
        "order_amount": amount,
        "amount_to_mean_30d": amount / mean if amount is not None and mean else None,
        "amount_deviation_30d": (amount - mean) / spread if amount is not None and mean is not None else None,
        "amount_to_max_30d": amount / largest if amount is not None and largest else None,
        "is_weekend": None if at is None else int(at.weekday() >= SATURDAY),
        "is_night": None if at is None else int(at.hour < NIGHT_ENDS),
    }


#: What an order is compared with; and a feature → the value that it divides by the baseline.
COMPARED = [f"orders_amount_{name}" for name in ("mean_30d", "stddev_30d", "max_30d", "baseline")]
SPENT = {"amount_to_baseline": "amount"} | {f"max_{d}d_to_baseline": f"orders_amount_max_{d}d" for d in RECENT_DAYS}


def against_history(values: Mapping[str, Any]) -> dict[str, float | int | None]:
    """`order_in_context` of a request's data and live features; what the user spends now, divided by the baseline: this
    order, and the largest of some days before it; and how many chargebacks of the merchant are old, since most attacks
    end after some weeks. A ratio without its baseline, or with one of 0, is None."""
    mean, stddev, largest, baseline = [values[name] for name in COMPARED]
    features = order_in_context(values["amount"], mean, stddev, largest, values["order_timestamp"])
    for name, spent in SPENT.items():
        amount = values[spent]
        features[name] = amount / baseline if amount is not None and baseline else None
    old = values["merchant_chargebacks__chargebacks_count_30d"] - values["chargebacks_count_21d"]
    return features | {"merchant_chargebacks_count_30d_to_21d": old}


ORDER_LIVE = LiveFeatures(
    "order_now",
    TABLES,
    request=("amount", "order_timestamp"),
    then=against_history,
    more=(
        Feature("order_amount", "float", None, "USD", "The amount of the order."),
        Feature("amount_to_mean_30d", "float", "30 d", "ratio", "The amount divided by the user's mean of 30 days."),
        Feature("amount_deviation_30d", "float", "30 d", "spreads",
                "The amount minus that mean, in standard deviations plus one dollar."),
        Feature("amount_to_max_30d", "float", "30 d", "ratio", "The amount divided by the user's largest of 30 days."),
        Feature("is_weekend", "int", None, "0/1", "1 on Saturday and Sunday, UTC."),
        Feature("is_night", "int", None, "0/1", "1 from midnight to 6 a.m., UTC."),
        Feature("amount_to_baseline", "float", "30 d, 14 d ago", "ratio", "The amount divided by the user's baseline."),
        *(Feature(f"max_{d}d_to_baseline", "float", f"{d} d", "ratio",
                  f"The user's largest amount, {d}-day window before this order, divided by the baseline.")
          for d in RECENT_DAYS),
        Feature("merchant_chargebacks_count_30d_to_21d", "int", "9 d, 21 d ago", "chargebacks",
                "Chargebacks of orders at the merchant, from 30 to 21 days ago."),
    ),
)  # fmt: skip
LIVE = (ORDER_LIVE,)


class Order(RiskRequest):
    """An order that somebody places."""

    model_config = ConfigDict(str_strip_whitespace=True)  # as in its events

    order_id: str = Field(min_length=1, max_length=100, description="The order's number.", examples=["o1"])
    user_id: str = Field(min_length=1, max_length=100, description="The user who buys.", examples=["u00007"])
    merchant_id: str | None = Field(None, max_length=100, description="The merchant, if known.", examples=["m00007"])
    amount: float | None = Field(
        None, ge=0, le=LARGEST, allow_inf_nan=False, description="The amount in USD, if known.", examples=[49.9]
    )
    order_timestamp: Annotated[str, AfterValidator(zoned("order_timestamp"))] | None = Field(
        None, description="When the order is placed, with a zone; default: now.", examples=["2026-01-31T12:00:00Z"]
    )

    def row(self, as_of: datetime, hash_key: bytes) -> dict[str, Any]:
        """An unknown merchant is ""; an order without a timestamp is of now."""
        return {
            "order_id": self.order_id,
            "user_id": self.user_id,
            "merchant_id": self.merchant_id or "",
            "amount": self.amount,
            "order_timestamp": utc(self.order_timestamp) if self.order_timestamp else as_of,
        }


def _input(name: str, direction: Any, code: str, raises: str, lowers: str, known_by: tuple[str, ...] = ()) -> Input:
    dtype: Any = "int" if "_count_" in name or name.startswith("is_") else "float"
    return Input(name, dtype, direction, Reason(f"{code}_risky", raises), Reason(f"{code}_fine", lowers), known_by)


def _inputs(names: list[str], code: str, raises: str, lowers: str, known_by: tuple[str, ...] = ()) -> tuple[Input, ...]:
    return tuple(_input(name, 0, code, raises, lowers, known_by) for name in names)


#: They are inputs only as parts of ratios and differences.
IN_OTHERS = {"orders_amount_baseline", "chargebacks_count_21d", *SPENT.values()}


def _names(table: AggregationTable, *functions: str) -> list[str]:
    """The service's names of the features of a table that use one of the functions."""
    chosen = (a.name for a in table.aggregations if a.function in functions)
    return [ORDER_LIVE.named(table, name) for name in chosen if name not in IN_OTHERS]


CHARGEBACK = Risk(
    name="chargeback", title="Chargeback risk of an order", description="Will this order be charged back?",
    request=Order,
    entity_keys=("order_id", "user_id", "merchant_id"),
    outcomes=Outcomes(ORDERS, "is_charged_back", LABEL_DELAY, happened="chargeback_timestamp"),
    protocol=Protocol(who="user_id"),
    algorithms=("logistic_regression", "gradient_boosting"),
    live=ORDER_LIVE,
    appetite=Appetite(low=0.05, high=0.50),
    needs=("amount", "merchant_id"),
    inputs=(
        _input("order_amount", +1, "amount", "The amount is typical of fraud.", "The amount is ordinary."),
        _input("amount_to_mean_30d", 0, "amount_to_mean", "The user usually spends less.",
               "The user usually spends as much."),
        _input("amount_deviation_30d", 0, "amount_deviation", "The amount is far from what the user usually spends.",
               "The amount is near what the user usually spends."),
        _input("amount_to_max_30d", 0, "amount_to_max", "The user seldom spent this much in the last 30 days.",
               "The user spent as much in the last 30 days."),
        _input("amount_to_baseline", 0, "amount_to_baseline", "The user used to spend less, until two weeks ago.",
               "The user used to spend as much, until two weeks ago."),
        *_inputs(
            [f"max_{d}d_to_baseline" for d in RECENT_DAYS], "recent_amounts",
            "The user's largest recent amount is far from what the user used to spend.",
            "The user's recent amounts are what the user used to spend.",
        ),
        _input("is_weekend", 0, "weekend", "Fraud is frequent on this weekday.", "Fraud is rare on this weekday."),
        _input("is_night", 0, "night", "Fraud is frequent at this hour.", "Fraud is rare at this hour."),
        *_inputs(
            _names(USER_ORDERS, "count"), "user_orders",
            "The user buys unusually often.", "The user buys as often as usual.",
        ),
        *_inputs(
            _names(USER_ORDERS, "mean", "stddev", "max"), "user_amounts",
            "The user's recent spending is typical of fraud.", "The user's recent spending is ordinary.",
        ),
        *_inputs(
            _names(USER_CHARGEBACKS, "count"), "user_chargebacks",
            "Recent orders of the user were charged back.", "No recent order of the user was charged back.",
        ),
        *_inputs(
            _names(MERCHANT_RISK, "count"), "merchant_orders",
            "The merchant's sales are unusual.", "The merchant's sales are as usual.",
            ("merchant_id",),  # an order without a merchant has the counts of nobody: 0
        ),
        *_inputs(
            [*_names(MERCHANT_RISK, "rate", "last_n_rate"), *_names(MERCHANT_CHARGEBACKS, "count"),
             "merchant_chargebacks_count_30d_to_21d"], "merchant_chargebacks",
            "Recent orders at the merchant were charged back.", "Few orders at the merchant were charged back.",
            ("merchant_id",),
        ),
    ),
)  # fmt: skip
RISKS = (CHARGEBACK,)
