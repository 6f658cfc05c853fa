"""How Feast stores and serves the domain `coupon`."""

from feast import Entity, FeatureService, ValueType
from feast.on_demand_feature_view import on_demand_feature_view

from entities import OWNER
from features.coupon import COUPON_LIVE, COUPON_PREFIXES, DEVICE_ATTEMPTS, LOCATION_ATTEMPTS
from features.windows.live import seen_of
from views.blocks import computed, live, request_timestamp

TAGS = {"domain": "coupon"}


def entity(name: str, key: str, description: str) -> Entity:
    """An entity of this domain, whose key is a string."""
    return Entity(
        name=name, join_keys=[key], value_type=ValueType.STRING, description=description, owner=OWNER, tags=TAGS
    )


coupon_prefix = entity("coupon_prefix", "coupon_prefix", "A coupon's number without its last four digits.")
location = entity("location", "location_code", "A place with machines that take coupons.")
device = entity("device", "device_id", "A machine that takes coupons.")

coupon_prefixes = live(COUPON_PREFIXES, [coupon_prefix, location], "coupon")
location_attempts = live(LOCATION_ATTEMPTS, [location], "coupon")
device_attempts = live(DEVICE_ATTEMPTS, [device], "coupon")


@on_demand_feature_view(
    sources=[coupon_prefixes, location_attempts, device_attempts, request_timestamp("coupon")],
    schema=computed(COUPON_LIVE, "coupon"),
    mode="python",
    description="The attempts at the machine, at its location and near the number, as of the request.",
    owner=OWNER,
    tags=TAGS,
)
def coupon_now(inputs: dict[str, list]) -> dict[str, list]:
    """The numbers of the live tables at the attempt's `as_of`."""
    from features.coupon import COUPON_LIVE

    return COUPON_LIVE.columns(inputs)


coupon = FeatureService(
    name="coupon",
    features=[
        coupon_now,
        coupon_prefixes[[seen_of(COUPON_PREFIXES)]],
        location_attempts[[seen_of(LOCATION_ATTEMPTS)]],
        device_attempts[[seen_of(DEVICE_ATTEMPTS)]],
    ],
    description="Features of a coupon that somebody types into a machine.",
    owner=OWNER,
    tags=TAGS,
)
