"""Simulated raw events. Each domain has a module; its `events(seed, now, size, hash_key)` returns the raw tables."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, fields
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


def add_sizes(parser: argparse.ArgumentParser, default: Size) -> None:
    """Add an option for each size, such as `--order-days`."""
    for field in fields(Size):
        flag, least = f"--{field.name.replace('_', '-')}", FEWEST[field.name]
        parser.add_argument(flag, type=_at_least(least), default=getattr(default, field.name))


def size_of(arguments: argparse.Namespace) -> Size:
    """The size in parsed arguments."""
    return Size(**{field.name: getattr(arguments, field.name) for field in fields(Size)})


def _at_least(least: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text} is too small for a model to learn from. Give at least {least}.")
        return int(text)

    return count
