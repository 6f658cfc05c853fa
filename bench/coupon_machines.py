"""The coupon machines that the benchmarks of the stream share: their number, their codes, and their feature views."""

from typing import Any

LOCATIONS, DEVICES = 10, 100


def prefix(n: int) -> str:
    """The n-th prefix of a coupon's code."""
    return f"{n // 10_000:04d}-{n % 10_000:04d}-{n * 7919 % 10_000:04d}-"


def apply() -> None:
    """Apply the objects of the coupon domain alone. `$RISK_DATA` is a new folder."""
    from feast import FeatureStore

    import settings
    from features.domains import stream_of
    from jobs.stream.job import prepare
    from views import coupon

    prepare(settings.root(), stream_of("coupon"))
    names = ("coupon_prefix", "location", "device", "coupon_prefixes", "location_attempts", "device_attempts")
    objects: list[Any] = [getattr(coupon, name) for name in (*names, "coupon_now", "coupon")]
    FeatureStore(str(settings.FEATURE_REPO)).apply(objects)
