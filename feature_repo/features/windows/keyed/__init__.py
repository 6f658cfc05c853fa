"""What any engine needs to keep the states of a stream's live tables: two pure steps, each over what it keeps of one
key. The embedded stream job calls them, and so do the adapters of other engines. So all of them have the same states,
byte for byte.

    raw topic, keyed by event id
        → `remember`: keeps the event; duplicates end here; gives the change, the event before and after
        → `KeyedTables.rows`: a row for each key that the change is about
    a keyed topic for each `KeyedTables` of `by_keys`
        → `step`, for each of its tables: keeps the key; gives the state for the online store, and its version

A later version of an event, such as an outcome, need not name the keys: `remember` adds the columns that are known, so
its row reaches every key. Where a version corrects a key, the old key gets a row too, which takes the event away.

The version of a state is the offset of the newest row in it: it grows for a key, and is the same after a replay. A row
that is offered again, at its old offset, changes nothing. So offsets must grow for an event id in the raw topic, and
for a key in a keyed topic; and a topic that begins again from offset 0 needs new states.
"""

from features.windows.keyed.kept import Kept, KeyRow, forget, from_bytes, key_row, step, to_bytes
from features.windows.keyed.remembered import (
    KeyedTables,
    by_keys,
    event_from_bytes,
    event_to_bytes,
    forget_event,
    reached,
    remember,
)

__all__ = [
    "Kept",
    "KeyRow",
    "KeyedTables",
    "by_keys",
    "event_from_bytes",
    "event_to_bytes",
    "forget",
    "forget_event",
    "from_bytes",
    "key_row",
    "reached",
    "remember",
    "step",
    "to_bytes",
]
