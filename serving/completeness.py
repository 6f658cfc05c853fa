"""Whether the online store has the states of all keys of a live view, or only of some.

A key without a state has had no events, or its state is not there: the store was removed, or made again, or an old copy
of it was put back. To tell, the stream job writes a row of its own, a marker, once all states are there. The marker
lies where the states lie, so what removes them removes it, too."""

from collections.abc import Iterable
from typing import Any

from errors import FeaturesNotReady
from features.windows.live import is_whole
from serving.store import StoredRow


class Completeness:
    """Of one live view. `key` is that of the marker. It is read together with the states, and before them: a state that
    is not there then has never been there."""

    def __init__(self, view: str, key: tuple[Any, ...]) -> None:
        self.key, self._view = key, view

    def check(self, marker: StoredRow | None, states: Iterable[StoredRow | None]) -> None:
        """Raises FeaturesNotReady where states may be missing. `states` are those of a request's keys. Without a
        marker, an earlier version of the stream job wrote them; where it wrote none, nobody knows."""
        if None in states if marker is None else not is_whole(marker[1]):
            raise FeaturesNotReady(
                f"The online store does not have all states of {self._view}: it was made or replaced after they were "
                "written. The stream job writes them again: let it run, or start it with python -m jobs stream all"
            )
