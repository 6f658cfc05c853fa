"""How Feast stores and serves the domain `chargeback`."""

from feast import Entity, FeatureService, Field, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, UnixTimestamp

from entities import OWNER
from features.chargeback import MERCHANT_CHARGEBACKS, MERCHANT_RISK, USER_CHARGEBACKS, USER_ORDERS
from views.sources import aggregated
from views.sources import field as described

TAGS = {"domain": "chargeback"}


def field(name: str, dtype: object, description: str, unit: str) -> Field:
    return described(name, dtype, description, unit=unit, **TAGS)


def party(name: str, description: str) -> Entity:
    return Entity(
        name=name,
        join_keys=[f"{name}_id"],
        value_type=ValueType.STRING,
        description=description,
        owner=OWNER,
        tags=TAGS,
    )


user = party("user", "Somebody who buys.")
merchant = party("merchant", "Somebody who sells.")

user_orders = aggregated(USER_ORDERS, user, "chargeback")
user_chargebacks = aggregated(USER_CHARGEBACKS, user, "chargeback")
merchant_risk = aggregated(MERCHANT_RISK, merchant, "chargeback")
merchant_chargebacks = aggregated(MERCHANT_CHARGEBACKS, merchant, "chargeback")

order = RequestSource(
    name="order",
    schema=[
        field("amount", Float64, "What the order costs.", "USD"),
        field("order_timestamp", UnixTimestamp, "When it is placed.", "UTC"),
    ],
    description="An order that somebody places.",
    owner=OWNER,
    tags=TAGS,
)


@on_demand_feature_view(
    sources=[user_orders, order],
    schema=[
        field("order_amount", Float64, "What the order costs.", "USD"),
        field("amount_to_mean_30d", Float64, "The amount over the user's mean of 30 days.", "ratio"),
        field("amount_deviation_30d", Float64, "How many spreads over that mean, one dollar added to each.", "spreads"),
        field("amount_to_max_30d", Float64, "The amount over the user's largest of 30 days.", "ratio"),
        field("is_weekend", Int64, "1 on Saturday and Sunday, UTC.", "0/1"),
        field("is_night", Int64, "1 from midnight to 6 in the morning, UTC.", "0/1"),
    ],
    mode="python",
    description="The order against what the user usually buys.",
    owner=OWNER,
    tags=TAGS,
)
def transformed_order(inputs: dict[str, list]) -> dict[str, list]:
    from features.chargeback import transformed_order as transform

    return transform(inputs)


chargeback = FeatureService(
    name="chargeback",
    features=[transformed_order, user_orders, user_chargebacks, merchant_risk, merchant_chargebacks],
    description="Features of an order.",
    owner=OWNER,
    tags=TAGS,
)
