"""What is kept of one key of a live table: its state, the version, and the entries that a correction folds again."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from pydantic_core import from_json, to_json

from features.windows import events
from features.windows.events import Row
from features.windows.recent import State
from features.windows.state import LiveTable
from features.windows.tiles import OUTCOME, TIME, Entry

#: The version of a key without rows. The first offset of a topic is 0.
NO_VERSION = -1


class KeyRow(NamedTuple):
    """What a row of the keyed topic is to one table: the offset, the entries that it adds to the key, and those that it
    takes away."""

    version: int
    added: Sequence[Entry]
    removed: Sequence[Entry] = ()


class Entries(Protocol):
    """Number → an entry as bytes. A dict is one. An engine may have records of its own for them, so that a row of a
    busy key writes one small record and not all of them again."""

    def get(self, number: int, /) -> bytes | None:
        """The entry under a number."""
        ...

    def __setitem__(self, number: int, entry: bytes, /) -> None: ...

    def pop(self, number: int, default: None, /) -> bytes | None:
        """Remove the entry under a number, and return it, or the default."""
        ...


@dataclass(slots=True)
class Kept:
    """What is kept of one key of one table.

    state        the state of all rows up to the version
    version      the offset of the newest row that the key has processed
    entries      those that a window still reaches, by number from `first` to before `last`, in the order of their
                 arrival. A number may be missing. None: somebody else keeps the events
    late         of the last step: the entries that no window reached any more. It is not in the bytes
    """

    state: State
    version: int = NO_VERSION
    entries: Entries | None = field(default_factory=dict[int, bytes])
    first: int = 0
    last: int = 0
    late: Sequence[Entry] = ()


def key_row(live: LiveTable, version: int, before: Row | None, after: Row | None) -> KeyRow | None:
    """What a row of `KeyedTables.rows` is to a table; None where it changes nothing there. `version`: the offset of the
    row in its topic."""
    added, removed = (
        [entry for entries in by_key.values() for entry in entries] for by_key in events.by_key(live, [(before, after)])
    )
    return KeyRow(version, added, removed) if added or removed else None


def step(
    live: LiveTable, kept: Kept | None, rows: Iterable[KeyRow], recall: Callable[[], Iterable[Entry]] | None = None
) -> tuple[Kept, bytes, int]:
    """Process rows of one key, in the order of their offsets. Returns what to keep (`kept`, changed in place), the
    state as it goes online, and its version.

    Rows up to the version of `kept` were processed before: they change nothing. `recall` gives all entries of the key,
    those of `rows` among them, where `kept` has none itself.

    >>> from datetime import timedelta
    >>> from features.windows import Aggregation, AggregationTable, RawTable
    >>> visits = (Aggregation("visits_1h", "count", None, timedelta(hours=1)),)
    >>> live = LiveTable(AggregationTable("people", RawTable("visits"), "who", visits))
    >>> kept, state, version = step(live, None, [KeyRow(7, [(5, 0, 0)]), KeyRow(9, [(6, 0, 0)])])
    >>> version, state == step(live, kept, [KeyRow(7, [(5, 0, 0)])])[1]
    (9, True)
    """
    kept = kept or Kept(live.zero())
    before, kept.late = kept.version, ()
    added: list[Entry] = []
    removed: list[Entry] = []
    for version, more, fewer in rows:
        if version > before:
            added += more
            removed += fewer
            kept.version = version
    if removed:
        _correct(live, kept, added, removed, recall)
    elif added:
        kept.late = live.add(kept.state, added)
        _remember(live, kept, added)
    return kept, live.to_json(kept.state), kept.version


def _correct(
    live: LiveTable,
    kept: Kept,
    added: list[Entry],
    removed: list[Entry],
    recall: Callable[[], Iterable[Entry]] | None,
) -> None:
    """Add entries and take others away. A state cannot take away, so it is folded again; but not for an entry that the
    same rows add. The `newest` timestamp of a state never goes back: neither does what it answers, nor which of two
    states is the newer one."""
    newest = max([kept.state.newest, *(max(entry[TIME], entry[OUTCOME]) for entry in added)])
    older = [entry for entry in removed if not _discard(added, entry)]
    if older:
        right = _without(kept, older) + added if recall is None else list(recall())
        kept.state = live.zero()
        live.add(kept.state, right, newest)
    else:
        kept.late = live.add(kept.state, added, newest)
    _remember(live, kept, added)


def _without(kept: Kept, removed: Sequence[Entry]) -> list[Entry]:
    """The entries that are kept, after some were removed. One that no window reaches may not be there any more."""
    if kept.entries is None:
        raise ValueError("A correction came to a key without its entries. Give `recall`.")
    wrong, right = [to_json(entry) for entry in removed], list[Entry]()
    for number, stored in _numbered(kept, kept.entries):
        if stored in wrong:
            wrong.remove(stored)
            kept.entries.pop(number, None)
        else:
            right.append(tuple(from_json(stored)))
    return right


def _discard(entries: list[Entry], entry: Entry) -> bool:
    """Remove an entry. False where it is not there."""
    if entry in entries:
        entries.remove(entry)
        return True
    return False


def _remember(live: LiveTable, kept: Kept, added: Iterable[Entry]) -> None:
    """Keep entries, and drop those that no window reaches any more, from the front."""
    entries = kept.entries
    if entries is None:
        return
    reached = live.reached(kept.state.newest)
    for entry in added:
        if entry[TIME] >= reached:
            entries[kept.last] = to_json(entry)
            kept.last += 1
    while kept.first < kept.last:
        stored = entries.get(kept.first)
        if stored is not None and from_json(stored)[TIME] >= reached:
            return
        entries.pop(kept.first, None)
        kept.first += 1


def _numbered(kept: Kept, entries: Entries) -> list[tuple[int, bytes]]:
    stored = ((number, entries.get(number)) for number in range(kept.first, kept.last))
    return [(number, entry) for number, entry in stored if entry is not None]


def forget(live: LiveTable, kept: Kept, timestamp: int) -> Kept | None:
    """None, with all entries removed, where no window that ends at `timestamp` (µs since 1970) or later reaches the key
    any more. An engine need not call it: it bounds what keys take that nobody sees again. Give it a timestamp that is
    older than the latest event may be late: a key that is forgotten begins anew."""
    if kept.state.newest >= live.reached(timestamp):
        return kept
    if kept.entries is not None:
        for number in range(kept.first, kept.last):
            kept.entries.pop(number, None)
    return None


def to_bytes(live: LiveTable, kept: Kept) -> bytes:
    """The same bytes for the same rows. Entries in a dict are in them; entries elsewhere are not."""
    if isinstance(kept.entries, dict):
        stored = [entry for _, entry in _numbered(kept, kept.entries)]
        head = to_json((kept.version, 0, len(stored)))
        return b"\n".join([head, live.to_json(kept.state), *stored])
    return b"\n".join([to_json((kept.version, kept.first, kept.last)), live.to_json(kept.state)])


def from_bytes(live: LiveTable, text: bytes, entries: Entries | None = None) -> Kept:
    """What `to_bytes` had. `entries`: where they are, if not in the bytes. Raises FeaturesNotReady on bytes of another
    definition of the table."""
    head, state, *stored = text.split(b"\n")
    version, first, last = from_json(head)
    return Kept(live.from_json(state), version, dict(enumerate(stored)) if entries is None else entries, first, last)
