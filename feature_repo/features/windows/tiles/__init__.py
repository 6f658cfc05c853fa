"""Entries of one key, and the tiles into which they move. Pure, and the same in whatever order entries arrive."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

#: A state answers any timestamp from this long before its newest event on, µs: between a question and its answer,
#: events of others arrive. For an earlier timestamp it answers the first that it can.
SLACK_US = 2_000_000
#: An event may be dated this much later than it arrives, µs: clocks differ.
AHEAD_US = 10_000_000
#: Before every event, µs.
NEVER = -(2**63)

#: What an event, or its outcome, is to a table: a tuple whose places are below.
Entry = tuple[Any, ...]
#: The event time, µs since 1970; the event's id, or 0 where ids make no difference; the timestamp of its outcome, µs,
#: or 0 for the event itself; from VALUES on, the values of the table's columns.
TIME, ID, OUTCOME, VALUES = range(4)


def entry_maker(time: str, id_column: str | None, columns: Sequence[str]) -> Callable[[Mapping[str, Any]], Entry]:
    """A function from a row to the entry of its event.

    >>> entry_maker("at", "id", ["x"])({"at": 5, "id": "e1", "x": 2.5, "y": 0})
    (5, 'e1', 0, 2.5)
    >>> entry_maker("at", None, [])({"at": 5, "id": "e1"})
    (5, 0, 0)
    """
    if not columns:
        return (lambda row: (row[time], row[id_column], 0)) if id_column else lambda row: (row[time], 0, 0)
    if len(columns) == 1:
        (column,) = columns
        if id_column:
            return lambda row: (row[time], row[id_column], 0, row[column])
        return lambda row: (row[time], 0, 0, row[column])
    values = itemgetter(*columns)
    if id_column:
        return lambda row: (row[time], row[id_column], 0, *values(row))
    return lambda row: (row[time], 0, 0, *values(row))


def key_maker(columns: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """A function from a row to the values of its key.

    >>> key_maker(["who"])({"who": "w1", "place": "p1"}), key_maker(["who", "place"])({"who": "w1", "place": "p1"})
    (('w1',), ('w1', 'p1'))
    """
    if len(columns) > 1:
        return itemgetter(*columns)
    (column,) = columns
    return lambda row: (row[column],)


def outcome_entry(entry: Entry, outcome: int) -> Entry:
    """The entry of an event's outcome, from that of the event and the outcome's timestamp, µs.

    >>> outcome_entry((5, "e1", 0, 2.5), 9)
    (5, 'e1', 9, 2.5)
    """
    return (*entry[:OUTCOME], outcome, *entry[VALUES:])
