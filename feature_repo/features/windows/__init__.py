"""From a definition to a number: what a window means, in pure Python, with no Feast, no files and no clock.

These are the words in which a domain declares its raw tables and features.
"""

from features.windows.aggregation import Aggregation, Flag
from features.windows.live import LiveFeatures
from features.windows.raw import Column, Derived, RawTable
from features.windows.tables import AggregationTable, Feature, LastDistinctTable

__all__ = [
    "Aggregation",
    "AggregationTable",
    "Column",
    "Derived",
    "Feature",
    "Flag",
    "LastDistinctTable",
    "LiveFeatures",
    "RawTable",
]
