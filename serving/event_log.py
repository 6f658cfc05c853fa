"""The event log: the events that the service accepts for a stream, as JSON lines in a file for each UTC day. They are
safe on disk before the service answers."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from errors import LogUnavailable
from features.windows.events import ACCEPTED
from files import fault
from serving import lines


def append(folder: Path, events: Iterable[Mapping[str, Any]], accepted_at: datetime) -> None:
    """Append all events or none. Raises LogUnavailable."""
    dated = ({**event, ACCEPTED: accepted_at} for event in events)
    try:
        lines.append(folder / f"{accepted_at.date()}{lines.SUFFIX}", dated, to_disk=True)
    except OSError as error:
        raise LogUnavailable(
            f"The events could not be written, and nothing was accepted. {fault(error, folder)}"
        ) from error
