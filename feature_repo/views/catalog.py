"""How Feast stores and serves the domain `catalog`."""

from feast import Entity, FeatureService, ValueType
from feast.on_demand_feature_view import on_demand_feature_view

from entities import OWNER, shop_customer
from features.catalog import (
    CATALOG_LIVE,
    CATEGORY_ORDERS,
    CATEGORY_SALES,
    CUSTOMER_ORDERS,
    CUSTOMER_REVIEWS,
    PRODUCT_REVIEWS,
    PRODUCT_SALES,
)
from features.windows.live import seen_of
from views.blocks import aggregated, computed, live, request_timestamp

TAGS = {"domain": "catalog"}


def entity(name: str, key: str, description: str) -> Entity:
    """An entity of this domain, whose key is a string."""
    return Entity(
        name=name, join_keys=[key], value_type=ValueType.STRING, description=description, owner=OWNER, tags=TAGS
    )


product = entity("product", "product_id", "Something that the shop sells.")
category = entity("category", "category", "A group of products, by its name.")

product_reviews = live(PRODUCT_REVIEWS, [product], "catalog")
category_orders = live(CATEGORY_ORDERS, [category], "catalog")
customer_orders = live(CUSTOMER_ORDERS, [shop_customer], "catalog")
customer_reviews = live(CUSTOMER_REVIEWS, [shop_customer, product], "catalog")
product_sales = aggregated(PRODUCT_SALES, product, "catalog")
category_sales = aggregated(CATEGORY_SALES, category, "catalog")


@on_demand_feature_view(
    sources=[product_reviews, category_orders, customer_orders, customer_reviews, request_timestamp("catalog")],
    schema=computed(CATALOG_LIVE, "catalog"),
    mode="python",
    description="The last sales and ratings, as of the request.",
    owner=OWNER,
    tags=TAGS,
)
def catalog_now(inputs: dict[str, list]) -> dict[str, list]:
    """The numbers of the live tables at `as_of`."""
    from features.catalog import CATALOG_LIVE

    return CATALOG_LIVE.columns(inputs)


catalog = FeatureService(
    name="catalog",
    features=[
        catalog_now,
        product_reviews[[seen_of(PRODUCT_REVIEWS)]],
        category_orders[[seen_of(CATEGORY_ORDERS)]],
        customer_orders[[seen_of(CUSTOMER_ORDERS)]],
        customer_reviews[[seen_of(CUSTOMER_REVIEWS)]],
    ],
    description="Live numbers about a shop. A key may be null; nothing is read for it.",
    owner=OWNER,
    tags=TAGS,
)
catalog_30d = FeatureService(
    name="catalog_30d",
    features=[product_sales, category_sales],
    description="Numbers about a shop over 30 days, up to midnight. A key may be null; nothing is read for it.",
    owner=OWNER,
    tags=TAGS,
)
