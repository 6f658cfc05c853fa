"""Whether the online store has the states of all keys of a live view, or only of some.

A key without a state has had no events, or its state is not there: the store was removed, or made again, or an old copy
of it was put back. To tell, the stream job writes a row of its own, a marker, once all states are there. The marker
lies where the states lie, so what removes them removes it, too."""

from collections.abc import Callable, Sequence
from typing import Any

from errors import FeaturesNotReady
from features.windows.live import is_whole

#: Where every key has a state, the marker is read again after this long, µs.
CHECK_US = 250_000


class Completeness:
    """Of one live view. `read` returns the stored row of each key, as `Stored.read`; `key` is that of the marker."""

    def __init__(self, view: str, key: tuple[Any, ...], read: Callable[[Sequence[tuple[Any, ...]]], Any]) -> None:
        self._view, self._key, self._read = view, key, read
        self._checked = 0

    def is_due(self, now: int) -> bool:
        """Whether the marker was not read for a while, at `now`, µs since 1970."""
        return abs(now - self._checked) >= CHECK_US

    def check(self, has_all: bool, now: int) -> None:
        """Raises FeaturesNotReady where states may be missing. `has_all`: the keys of a request have states. Without a
        marker, an earlier version of the stream job wrote them; where it wrote none, nobody knows."""
        (marker,) = self._read([self._key])
        if not has_all if marker is None else not is_whole(marker[1]):
            raise FeaturesNotReady(
                f"The online store does not have all states of {self._view}: it was made or replaced after they were "
                "written. The stream job writes them again: let it run, or start it with python -m jobs stream all"
            )
        self._checked = now
