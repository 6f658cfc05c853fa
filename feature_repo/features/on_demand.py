"""What a feature is that an on-demand view computes of a request, for people and for a second computation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from features.windows import LastDistinctTable


@dataclass(frozen=True)
class OnDemand:
    """A feature of an on-demand view. A domain lists its own in `ON_DEMAND`.

    view      the on-demand view
    says      what it says, as a sentence
    fields    the columns of the request's row that it takes, beside `as_of`
    table     the feature table whose row it takes, if any
    value     the value, from the fields, `as_of` and the features of the table, by name, as the view computes it
    """

    name: str
    view: str
    says: str
    fields: tuple[str, ...]
    value: Callable[[Mapping[str, Any]], Any]
    table: LastDistinctTable | None = None
