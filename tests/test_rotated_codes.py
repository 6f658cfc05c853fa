"""A coupon code that is tried on both sides of a rotation counts twice for an hour, as the page on rotation says, and
no other feature is wrong."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from fake import NOW

from features.coupon import COUPON_ATTEMPTS, COUPON_PREFIXES, DEVICE_ATTEMPTS, LOCATION_ATTEMPTS, PREFIX_LENGTH
from hash_keys import HashKey
from jobs.batch.at_moments import records_at_moments
from root import Root

MINUTE = timedelta(minutes=1)
OLD, NEW = b"the old key", HashKey(b"the new key", b"the old key")
CODES = ("1234-5678-9012-3456", "1234-5678-9012-3457")


def attempt(code: str, minutes: float, key: bytes) -> Mapping[str, Any]:
    event = {"msg_id": f"{code}{minutes}", "device_id": "d1", "location_code": "L1", "coupon_code": code}
    return COUPON_ATTEMPTS.seal(event | {"response": "INVALID", "create_time": NOW + minutes * MINUTE}, key)


def features(root: Root, minutes: float) -> dict[str, Any]:
    """Those of the device, its location and the prefix, so many minutes after the rotation."""
    entity = {"device_id": "d1", "location_code": "L1", "coupon_prefix": CODES[0][:PREFIX_LENGTH]}
    frame = pd.DataFrame([entity | {"event_timestamp": pd.Timestamp(NOW + minutes * MINUTE).as_unit("us")}])
    values: dict[str, Any] = {}
    for table in (COUPON_PREFIXES, LOCATION_ATTEMPTS, DEVICE_ATTEMPTS):
        (record,) = records_at_moments(root, table, frame[[*table.keys, "event_timestamp"]])
        values |= record
    return values


def test_a_code_counts_twice_until_an_hour_after_the_rotation_and_attempts_once(tmp_path: Path) -> None:
    root = Root(tmp_path)
    before = [attempt(CODES[0], -3, OLD), attempt(CODES[1], -2, OLD)]
    after = [attempt(CODES[0], 1, NEW), attempt(CODES[1], 61, NEW)]
    root.raw.mkdir()
    pq.write_table(pa.Table.from_pylist([*before, *after]), root.raw_table("coupon_attempts").with_suffix(".parquet"))
    codes = {at: features(root, at)["device_codes_1h"] for at in (0, 2, 56, 60)}
    assert codes == {0: 2, 2: 3, 56: 3, 60: 1}  # two codes were tried: 3 is one too many
    at_2 = features(root, 2)
    assert (at_2["device_attempts_1h"], at_2["device_failures_1h"], at_2["failures_5m"]) == (3, 3, 3)
    assert at_2["prefix_attempts_10m"] == 3
