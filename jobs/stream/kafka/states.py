"""Keeps the states of keys, and writes them online: once for each key that a transaction has rows of, before it
commits. Then a busy key costs one state a transaction, however many rows it has.

A transaction that fails leaves states online that its successor writes again, at the same versions or at later ones.
"""

import time
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import pyarrow as pa
from pydantic_core import from_json
from quixstreams import State
from quixstreams.sinks import BaseSink

from errors import FeaturesNotReady
from features.windows.keyed import KeyedTables
from features.windows.live import MARKER, reserved_key, seen_of, state_of
from features.windows.raw import CREATED, RawTable
from features.windows.state import LiveTable
from jobs.raw import keyed_log
from jobs.raw.offline_log import ARROW_TYPES
from jobs.stream.kafka.folded import KeyedRow, folded
from jobs.stream.offline import online_rows
from jobs.stream.online.states import dtypes_of, marker_row
from jobs.stream.state import StateRow
from root import Root
from serving.store import Store

#: Partition and key.
_Place = tuple[int, bytes]


class StatesSink(BaseSink):
    """The rows of one keyed topic since the last commit. `noted` is told how many entries were late, and the newest
    timestamp of a state."""

    def __init__(
        self, root: Root, raw: RawTable, tables: KeyedTables, store: Store, noted: Callable[[int, int], None]
    ) -> None:
        super().__init__()
        self._root, self._raw, self._tables, self._store, self._noted = root, raw, tables, store, noted
        self._rows: dict[_Place, list[KeyedRow]] = {}
        self._states: dict[_Place, State] = {}

    def add(self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int) -> None:
        """Take one row. Quix Streams calls it."""
        text, state = value
        place = (partition, key)
        self._states.setdefault(place, state)
        self._rows.setdefault(place, []).append((offset, timestamp * 1000, text))

    def flush(self) -> None:
        """Write the rows to the keyed log, fold them, and write the states online. Raises OSError and FeaturesNotReady;
        then the transaction fails too."""
        rows, states = self._rows, self._states
        self.on_paused()
        self._log(rows)
        late = newest = 0
        tables = dict[str, pa.Table]()
        for live in self._tables.live:
            changed, created = [], []
            for place, of_key in rows.items():
                if changes := folded(live, states[place], of_key):
                    kept, latest, text = changes
                    changed.append((place[1], text, kept.state.newest, kept.version))
                    created.append(latest)
                    late += len(kept.late)
                    newest = max(newest, kept.state.newest)
            if changed:
                tables[state_of(live.table)] = online(live, changed, created)
        self._store.write_tables(tables)
        self._noted(late, newest)

    def _log(self, rows: dict[_Place, list[KeyedRow]]) -> None:
        by_partition: dict[int, list[keyed_log.KeyedRow]] = {}
        for (partition, _), of_key in rows.items():
            by_partition.setdefault(partition, []).extend(
                keyed_log.KeyedRow(offset, offset, appended, tuple(from_json(text)))
                for offset, appended, text in of_key
            )
        for partition, changes in by_partition.items():
            keyed_log.write(self._root, self._raw, self._tables, partition, sorted(changes, key=itemgetter(0)))

    def on_paused(self) -> None:
        """Forget the rows: Quix Streams gives them again."""
        self._rows, self._states = {}, {}


def mark(store: Store, tables: Sequence[LiveTable], group: str, is_whole: bool, has_begun: bool = False) -> bool:
    """Note in the online store whether a key without a state has no events. Until then, requests get an error. `group`
    says whose states they are: what is whole for a group stays so. Returns whether it is. Raises FeaturesNotReady, also
    where the group `has_begun` and the store has no note of it: it lost the states that were written before."""
    was_whole = True
    for live in tables:
        names, key = (state_of(live.table), seen_of(live.table)), reserved_key(MARKER, dtypes_of(live))
        (marker,) = store.kept(state_of(live.table), names, [key])
        before = from_json(marker[1][0] or b"{}") if marker else {}
        if before == {"file": group, "whole": True}:
            continue
        if has_begun and before.get("file") != group:
            raise FeaturesNotReady(
                f"The online store does not have all states of {state_of(live.table)}: it was made or replaced after "
                f"{group} had written them. Stop all workers, reset that group to the earliest offsets of the keyed "
                "topics, and start them: docs/how-to/switch-to-kafka.md#start-workers has the command."
            )
        dated, content = time.time_ns() // 1000, {"file": group, "whole": is_whole}
        dated = max(dated, marker[0] + 1) if marker else dated
        store.write_table(state_of(live.table), marker_row(live, dated, content, int(is_whole)))
        was_whole = False
    return is_whole or was_whole


def online(live: LiveTable, states: Sequence[StateRow], created: Sequence[int]) -> pa.Table:
    """Rows of the live view, with µs since 1970 as `created`."""
    rows = online_rows(live, states)
    column = pa.array(created, pa.int64()).cast(ARROW_TYPES["timestamp"])
    return rows.set_column(rows.schema.get_field_index(CREATED), CREATED, column)
