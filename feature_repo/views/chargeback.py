"""How Feast stores and serves the domain `chargeback`."""

from feast import Entity, FeatureService, Field, RequestSource, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, UnixTimestamp

from entities import OWNER
from features.chargeback import MERCHANT_CHARGEBACKS, MERCHANT_RISK, ORDER_LIVE, USER_CHARGEBACKS, USER_ORDERS
from features.windows.live import seen_of
from views.blocks import aggregated, computed, live, request_timestamp
from views.blocks import field as described

TAGS = {"domain": "chargeback"}


def field(name: str, dtype: object, description: str, unit: str) -> Field:
    """A field of this domain."""
    return described(name, dtype, description, unit=unit, **TAGS)


def party(name: str, description: str) -> Entity:
    """An entity of this domain, with the key `<name>_id`."""
    return Entity(
        name=name,
        join_keys=[f"{name}_id"],
        value_type=ValueType.STRING,
        description=description,
        owner=OWNER,
        tags=TAGS,
    )


user = party("user", "A customer who places orders.")
merchant = party("merchant", "A shop that takes orders.")

user_orders = aggregated(USER_ORDERS, user, "chargeback")
user_chargebacks = aggregated(USER_CHARGEBACKS, user, "chargeback")
merchant_risk = aggregated(MERCHANT_RISK, merchant, "chargeback")
merchant_chargebacks = aggregated(MERCHANT_CHARGEBACKS, merchant, "chargeback")

order = RequestSource(
    name="order",
    schema=[
        field("amount", Float64, "The amount of the order.", "USD"),
        field("order_timestamp", UnixTimestamp, "When the order is placed.", "UTC"),
    ],
    description="An order.",
    owner=OWNER,
    tags=TAGS,
)


user_orders_now = live(USER_ORDERS, [user], "chargeback")
user_chargebacks_now = live(USER_CHARGEBACKS, [user], "chargeback")
merchant_risk_now = live(MERCHANT_RISK, [merchant], "chargeback")
merchant_chargebacks_now = live(MERCHANT_CHARGEBACKS, [merchant], "chargeback")


@on_demand_feature_view(
    sources=[
        user_orders_now, user_chargebacks_now, merchant_risk_now, merchant_chargebacks_now, order,
        request_timestamp("chargeback"),
    ],
    schema=computed(ORDER_LIVE, "chargeback"),
    mode="python",
    description="The user and the merchant as of the order, and the order compared with the user's earlier orders.",
    owner=OWNER,
    tags=TAGS,
)  # fmt: skip
def order_now(inputs: dict[str, list]) -> dict[str, list]:
    """The numbers of the live tables at the order's `as_of`."""
    from features.chargeback import ORDER_LIVE

    return ORDER_LIVE.columns(inputs)


chargeback = FeatureService(
    name="chargeback",
    features=[
        order_now,
        user_orders_now[[seen_of(USER_ORDERS)]],
        user_chargebacks_now[[seen_of(USER_CHARGEBACKS)]],
        merchant_risk_now[[seen_of(MERCHANT_RISK)]],
        merchant_chargebacks_now[[seen_of(MERCHANT_CHARGEBACKS)]],
    ],
    description="Features of an order, as of its request.",
    owner=OWNER,
    tags=TAGS,
)
chargeback_daily = FeatureService(
    name="chargeback_daily",
    features=[user_orders, user_chargebacks, merchant_risk, merchant_chargebacks],
    description="The same of users and merchants as of the last midnight, for use without a stream.",
    owner=OWNER,
    tags=TAGS,
)
