"""How Feast stores and serves the domain `onboarding`."""

from datetime import timedelta

from feast import FeatureService, FeatureView, Field, RequestSource
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Float64, Int64, String, UnixTimestamp

from entities import OWNER, dl, driver, ssn
from features.onboarding import DRIVER_DL_ENTITIES, DRIVER_SSN_ENTITIES, DRIVER_YESTERDAYS_STATS
from features.windows.aggregation import FOR_EVER
from views.blocks import aggregated, raw_table
from views.blocks import field as described

TAGS = {"domain": "onboarding"}


def field(name: str, dtype: object, description: str, unit: str) -> Field:
    """A field of this domain."""
    return described(name, dtype, description, unit=unit, **TAGS)


driver_profile = FeatureView(
    name="driver_profile",
    entities=[driver],
    ttl=FOR_EVER,
    schema=[field("state", String, "US state at sign-up, two letters.", "state code")],
    source=raw_table("drivers", "onboarding", "Every driver, at sign-up."),
    description="The facts of a driver's sign-up. A driver without them is unknown.",
    owner=OWNER,
    tags=TAGS,
)
driver_hourly_stats = FeatureView(
    name="driver_hourly_stats",
    entities=[driver],
    ttl=timedelta(days=2),
    schema=[
        field("conv_rate", Float64, "Share of ride offers that became rides, in the hour.", "share"),
        field("acc_rate", Float64, "Share of ride requests that the driver accepted, in the hour.", "share"),
        field("avg_daily_trips", Int64, "Trips a day, as of the hour.", "trips"),
    ],
    source=raw_table("driver_hourly_stats", "onboarding", "Statistics of each hour that a driver worked."),
    description="A driver's most recent hour. No service reads it: its numbers become those of yesterday.",
    owner=OWNER,
    tags=TAGS | {"use": "internal"},
)
driver_yesterdays_stats = aggregated(DRIVER_YESTERDAYS_STATS, driver, "onboarding")
driver_ssn_entities = aggregated(DRIVER_SSN_ENTITIES, ssn, "onboarding")
driver_dl_entities = aggregated(DRIVER_DL_ENTITIES, dl, "onboarding")

applicant = RequestSource(
    name="applicant",
    schema=[
        field("state", String, "US state of residence, two letters.", "state code"),
        field("dob", UnixTimestamp, "Date of birth, as its midnight UTC.", "date"),
        field("applicant_driver_id", Int64, "The applicant's number if already a driver, else 0.", "driver"),
        field("as_of", UnixTimestamp, "The timestamp of the request.", "UTC"),
    ],
    description="The data of an application.",
    owner=OWNER,
    tags=TAGS,
)


@on_demand_feature_view(
    sources=[applicant],
    schema=[
        field("is_gt_18_years_old", Int64, "1 from the 18th birthday on.", "0/1"),
        field(
            "is_valid_state",
            Int64,
            "1 if the business is open in the state. A policy uses it, and no model does.",
            "0/1",
        ),
    ],
    mode="python",
    description="What follows from the application alone.",
    owner=OWNER,
    tags=TAGS,
)
def transformed_onboarding(inputs: dict[str, list]) -> dict[str, list]:
    """What the request itself says of the applicant."""
    from features.onboarding import transformed_onboarding as transform

    return transform(inputs)


@on_demand_feature_view(
    sources=[driver_ssn_entities, applicant],
    schema=[field("is_previously_seen_ssn", Int64, "1 if another driver used the SSN before.", "0/1")],
    mode="python",
    description="Did another driver use the social security number before the request?",
    owner=OWNER,
    tags=TAGS,
)
def ondemand_ssn_lookup(inputs: dict[str, list]) -> dict[str, list]:
    """Whether the SSN was seen before."""
    from features.onboarding import ondemand_ssn_lookup as lookup

    return lookup(inputs)


@on_demand_feature_view(
    sources=[driver_dl_entities, applicant],
    schema=[field("is_previously_seen_dl", Int64, "1 if another driver used the licence before.", "0/1")],
    mode="python",
    description="Did another driver use the driving licence before the request?",
    owner=OWNER,
    tags=TAGS,
)
def ondemand_dl_lookup(inputs: dict[str, list]) -> dict[str, list]:
    """Whether the driving licence was seen before."""
    from features.onboarding import ondemand_dl_lookup as lookup

    return lookup(inputs)


onboarding = FeatureService(
    name="onboarding",
    features=[transformed_onboarding, ondemand_ssn_lookup, ondemand_dl_lookup],
    description="Features of an applicant.",
    owner=OWNER,
    tags=TAGS,
)
daily = FeatureService(
    name="daily",
    features=[driver_profile, driver_yesterdays_stats],
    description="Features of a driver today.",
    owner=OWNER,
    tags=TAGS,
)
