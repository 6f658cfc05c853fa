"""Moves what is stored under a keyed hash of the key before to the hash of the present key, when the identifier is seen
again: nobody can make the new hash of the old one."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from features.domains import secret_tables
from features.identifiers import old_hashes
from features.utc import EPOCH, MICROSECOND
from root import Root
from serving import lines
from serving.store import Row, Store

#: So many hashes are remembered as moved, so that they are not looked up again.
MOST_REMEMBERED = 100_000


class Rekeying:
    """Moves the rows of the online store, and notes each hash that was moved in `rekeyed.jsonl`."""

    def __init__(self, root: Root, store: Store) -> None:
        self._log, self._store = root.rekeyed, store
        self._done: set[str] = set()

    def seen(self, rows: Iterable[Row], as_of: datetime) -> None:
        """Move what is stored under the old hashes of these rows. Raises OSError, FeaturesNotReady; then the same is
        done when they are seen again."""
        for row in rows:
            for name, old in old_hashes(row).items():
                if row[name] not in self._done:
                    self._move(name, old, str(row[name]), as_of)
                    if len(self._done) >= MOST_REMEMBERED:
                        self._done.clear()
                    self._done.add(str(row[name]))

    def _move(self, name: str, old: str, new: str, as_of: datetime) -> None:
        for view, values in secret_tables(name):
            present, before = self._store.kept(view, values, [(new,), (old,)])
            if present is None and before is not None:
                # Noted first: a hash that is noted and not moved is moved when it is seen again.
                lines.append(self._log, [{"name": name, "view": view, "old": old, "new": new}], to_disk=True)
                moved: Mapping[str, Any] = dict(zip(values, before[1], strict=True))
                timestamp = EPOCH + before[0] * MICROSECOND
                self._store.write(view, {name: new, **moved, "event_timestamp": timestamp, "created": as_of})
