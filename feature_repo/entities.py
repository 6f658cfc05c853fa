"""The Feast project, and the entities that more than one domain may use."""

from feast import Entity, Project, ValueType

OWNER = "risk-team@example.com"

project = Project(
    name="risk",
    description="Features, models and decisions about people, in milliseconds.",
    owner=OWNER,
    tags={"kind": "risk"},
)

driver = Entity(
    name="driver",
    join_keys=["driver_id"],
    value_type=ValueType.INT64,
    description="Somebody who drives for us, by the number given at sign-up.",
    owner=OWNER,
    tags={"domain": "onboarding", "personal": "no"},
)
ssn = Entity(
    name="ssn",
    join_keys=["ssn"],
    value_type=ValueType.STRING,
    description="A social security number, as a keyed hash (HMAC-SHA256). The number itself is never stored.",
    owner=OWNER,
    tags={"domain": "onboarding", "personal": "pseudonym"},
)
dl = Entity(
    name="dl",
    join_keys=["dl"],
    value_type=ValueType.STRING,
    description="A driving licence number, as a keyed hash (HMAC-SHA256). The number itself is never stored.",
    owner=OWNER,
    tags={"domain": "onboarding", "personal": "pseudonym"},
)
shop_customer = Entity(
    name="shop_customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="Somebody who buys in the shop.",
    owner=OWNER,
    tags={"domain": "loyalty", "personal": "no"},
)
