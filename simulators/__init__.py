"""Made-up raw events, a module a domain: `events(seed, now, size, hash_key)` answers its tables."""

from dataclasses import dataclass

import pandas as pd

Tables = dict[str, pd.DataFrame]
"""Raw table → its rows."""


@dataclass(frozen=True)
class Size:
    """How much is made. The last three are, by default, those of the Fraud Detection Handbook's simulated data."""

    drivers: int = 10_000
    users: int = 5_000
    merchants: int = 10_000
    order_days: int = 183
