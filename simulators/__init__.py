"""Made-up raw events, a module a domain: `events(seed, now, size, hash_key)` answers its tables."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:  # half a second, and `python -m jobs --help` does without
    import pandas as pd

Tables: TypeAlias = "dict[str, pd.DataFrame]"
"""Raw table → its rows."""


@dataclass(frozen=True)
class Size:
    """How much is made. Users, merchants and order days are, by default, those of the Fraud Detection Handbook's
    simulated data."""

    drivers: int = 10_000
    users: int = 5_000
    merchants: int = 10_000
    order_days: int = 183
    coupon_days: int = 28
    customers: int = 2_000
    products: int = 300
    shop_days: int = 60


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


def add_sizes(parser: argparse.ArgumentParser, default: Size) -> None:
    for field in fields(Size):
        flag, least = f"--{field.name.replace('_', '-')}", FEWEST[field.name]
        parser.add_argument(flag, type=_at_least(least), default=getattr(default, field.name))


def size_of(arguments: argparse.Namespace) -> Size:
    return Size(**{field.name: getattr(arguments, field.name) for field in fields(Size)})


def _at_least(least: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} leaves a model nothing to learn. Give at least {least}.")
        return int(text)

    return count
