"""The language of rules. A condition is text. It is read into records, checked against the names that there are, and
compiled once into a function.

    order_amount > 500 and (is_night == 1 or user_id in list blocked_users)

A name is a feature, or a field of the request as the caller names it. A value is missing if it is None, NaN or an empty
text. A comparison with a missing value is false, whatever the operator: only `is missing` asks for one.
"""

from features.rules.compiled import Test, compiled
from features.rules.reader import parsed
from features.rules.records import Condition, Kind, Name, Names, RuleFault, is_missing, lists_in, names_in

__all__ = [
    "Condition",
    "Kind",
    "Name",
    "Names",
    "RuleFault",
    "Test",
    "compiled",
    "is_missing",
    "lists_in",
    "names_in",
    "parsed",
]
