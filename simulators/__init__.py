"""Simulated raw events. A domain may have a module; its `events(seed, now, size, hash_key)` returns the raw tables. The
raw events of a domain without one are the user's own."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # the import takes half a second, and `python -m jobs --help` does not need it
    import pandas as pd

Tables: TypeAlias = "dict[str, pd.DataFrame]"
"""Raw table → its rows."""


@dataclass(frozen=True)
class Size:
    """How large the simulated data are. By default, users, merchants and order days are those of the simulated data in
    the Fraud Detection Handbook."""

    drivers: int = 10_000
    users: int = 5_000
    merchants: int = 10_000
    order_days: int = 183
    coupon_days: int = 28
    customers: int = 2_000
    products: int = 300
    shop_days: int = 60


#: The smallest value of each size.
FEWEST = {
    "drivers": 100,
    "users": 10,
    "merchants": 10,
    "order_days": 1,
    "coupon_days": 1,
    "customers": 100,
    "products": 12,
    "shop_days": 1,
}
#: What each size counts.
ABOUT = {
    "drivers": "People who sign up to drive.",
    "users": "Users who order.",
    "merchants": "Merchants that users order from.",
    "order_days": "Days of orders.",
    "coupon_days": "Days of attempts to redeem coupons.",
    "customers": "Customers of the shops.",
    "products": "Products of the shop.",
    "shop_days": "Days of the shop's transactions.",
}
