"""How Feast stores and serves the domain `loyalty`."""

from feast import FeatureService, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64

from entities import OWNER, shop_customer
from features.loyalty import CUSTOMER_PURCHASES, LOYALTY_LIVE
from features.windows.live import seen_of
from views.blocks import computed, field, live, request_timestamp

TAGS = {"domain": "loyalty"}

customer_purchases = live(CUSTOMER_PURCHASES, [shop_customer], "loyalty")
purchase = RequestSource(
    name="purchase",
    schema=[field("purchase_value", Float64, "The value of the purchase.", unit="USD", **TAGS)],
    description="A purchase.",
    owner=OWNER,
    tags=TAGS,
)


@on_demand_feature_view(
    sources=[customer_purchases, purchase, request_timestamp("loyalty")],
    schema=computed(LOYALTY_LIVE, "loyalty"),
    mode="python",
    description="The customer's earlier purchases as of the request, and this purchase.",
    owner=OWNER,
    tags=TAGS,
)
def loyalty_now(inputs: dict[str, list]) -> dict[str, list]:
    """The numbers of the live table at the purchase's `as_of`."""
    from features.loyalty import LOYALTY_LIVE

    return LOYALTY_LIVE.columns(inputs)


loyalty = FeatureService(
    name="loyalty",
    features=[loyalty_now, customer_purchases[[seen_of(CUSTOMER_PURCHASES)]]],
    description="Features of a purchase.",
    owner=OWNER,
    tags=TAGS,
)
