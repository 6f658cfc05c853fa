"""The domain `coupon`: is somebody guessing coupon numbers at a machine?"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import ConfigDict, Field

from features.risk import Appetite, Input, Outcomes, Reason, Risk, RiskRequest
from features.windows import Aggregation, AggregationTable, Column, Derived, Feature, LiveFeatures, RawTable

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
INVALID = {"response": "INVALID"}
CODE = "[0-9]{4}-[0-9]{4}-[0-9]{4}-[0-9]{4}"
#: Somebody who guesses counts up this many digits at the end of a code. No file has them.
GUESSED = 4
PREFIX_LENGTH = len("1234-5678-9012-")

COUPON_ATTEMPTS = RawTable(
    "coupon_attempts",
    time="create_time",
    id="msg_id",
    is_live=True,
    columns=(
        Column("msg_id", "string"),
        Column("msg_type", "string", is_optional=True),
        Column("device_id", "string"),
        Column("location_code", "string"),
        Column("coupon_code", "string", pattern=CODE, is_secret=True, sealed=GUESSED),
        Column("response", "string", pattern="VALID|INVALID"),
        Column("is_attack", "int", is_optional=True),
    ),
    derived=(Derived("coupon_prefix", "head", ("coupon_code",), length=PREFIX_LENGTH),),
)
COUPON_PREFIXES = AggregationTable(
    "coupon_prefixes", COUPON_ATTEMPTS, "coupon_prefix", also=("location_code",),
    aggregations=(
        Aggregation("prefix_attempts_10m", "count", None, 10 * MINUTE, hop=5 * MINUTE, unit="attempts",
                    description="Attempts on coupons that differ in the last four digits only, at one location."),
    ),
    description="How often neighbouring coupon numbers are tried at a location.",
)  # fmt: skip
LOCATION_ATTEMPTS = AggregationTable(
    "location_attempts", COUPON_ATTEMPTS, "location_code",
    (Aggregation("attempts_5m", "count", None, 5 * MINUTE, unit="attempts", description="Attempts at the location."),
     Aggregation("failures_5m", "count", None, 5 * MINUTE, INVALID, unit="attempts",
                 description="Attempts at the location that were INVALID.")),
    description="The attempts at a location.",
)  # fmt: skip
DEVICE_ATTEMPTS = AggregationTable(
    "device_attempts", COUPON_ATTEMPTS, "device_id",
    (Aggregation("device_attempts_1h", "count", None, HOUR, unit="attempts", description="Attempts of the device."),
     Aggregation("device_failures_1h", "count", None, HOUR, INVALID, unit="attempts",
                 description="Attempts of the device that were INVALID."),
     Aggregation("device_codes_1h", "count_distinct", "coupon_code", HOUR, unit="codes",
                 description="Different coupons that the device tried.")),
    description="The attempts of a device.",
)  # fmt: skip


def share_of_failures(values: Mapping[str, Any]) -> dict[str, Any]:
    """The share of a device's attempts that were INVALID, None if it has no attempts."""
    attempts = values["device_attempts_1h"]
    return {"device_failure_share_1h": values["device_failures_1h"] / attempts if attempts else None}


COUPON_LIVE = LiveFeatures(
    "coupon_now",
    (COUPON_PREFIXES, LOCATION_ATTEMPTS, DEVICE_ATTEMPTS),
    then=share_of_failures,
    more=(
        Feature(
            "device_failure_share_1h", "float", "1 h", "share", "Share of the device's attempts that were INVALID."
        ),
    ),
)
LIVE = (COUPON_LIVE,)


class Coupon(RiskRequest):
    """A coupon that somebody types into a machine."""

    model_config = ConfigDict(str_strip_whitespace=True)  # as in its events
    secrets = ("coupon_code",)

    msg_id: str = Field(min_length=1, max_length=100, description="The attempt's number.", examples=["c1"])
    device_id: str = Field(min_length=1, max_length=100, description="The machine.", examples=["d007"])
    location_code: str = Field(
        min_length=1, max_length=100, description="The location of the machine.", examples=["L07"]
    )
    coupon_code: str = Field(
        pattern=f"^{CODE}$", description="The code that somebody typed.", examples=["1234-5678-9012-3456"]
    )

    def row(self, as_of: datetime, hash_key: bytes) -> dict[str, Any]:
        """Without the code, which is worth money: the audit log keeps this row."""
        return self.model_dump(exclude={"coupon_code"}) | {"coupon_prefix": self.coupon_code[:PREFIX_LENGTH]}


def _input(name: str, dtype: Any, code: str, raises: str, lowers: str) -> Input:
    return Input(name, dtype, +1, Reason(f"{code}_many", raises), Reason(f"{code}_few", lowers))


COUPON = Risk(
    name="coupon",
    title="Risk that coupon numbers are being guessed",
    description="Is somebody guessing coupon numbers at this machine?",
    request=Coupon,
    entity_keys=("msg_id", "device_id", "location_code", "coupon_prefix"),
    outcomes=Outcomes(COUPON_ATTEMPTS, "is_attack", DAY),
    algorithms=("logistic_regression", "gradient_boosting"),
    appetite=Appetite(low=0.2, high=0.7, words=("allow", "review", "block")),
    needs=(
        "prefix_attempts_10m",
        "failures_5m",
        "device_codes_1h",
    ),  # not the share: a machine's first attempt has none
    live=COUPON_LIVE,
    inputs=(
        _input(
            "prefix_attempts_10m",
            "int",
            "neighbours",
            "Neighbouring numbers were just tried here.",
            "Few neighbouring numbers were tried here.",
        ),
        _input(
            "failures_5m",
            "int",
            "location_failures",
            "Many coupons were invalid at this location in the last minutes.",
            "Few coupons were invalid at this location in the last minutes.",
        ),
        _input(
            "device_codes_1h",
            "int",
            "device_codes",
            "Many coupons were tried at this machine within an hour.",
            "Few coupons were tried at this machine within an hour.",
        ),
        _input(
            "device_failure_share_1h",
            "float",
            "device_failures",
            "A large share of the coupons at this machine is invalid.",
            "A small share of the coupons at this machine is invalid.",
        ),
    ),
)
RISKS = (COUPON,)
