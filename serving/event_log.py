"""The event log: what the service accepts for a stream, as JSON lines in a file a day, safe on disk before it says
so."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from errors import LogUnavailable
from features.windows.events import ACCEPTED
from serving import lines


def append(directory: Path, events: Iterable[Mapping[str, Any]], accepted_at: datetime) -> None:
    """All of them, or none. Raises LogUnavailable."""
    text = b"".join(to_json({**event, ACCEPTED: accepted_at}) + b"\n" for event in events)
    try:
        lines.append(f"{directory}/{accepted_at.date()}.jsonl", text, to_disk=True)
    except OSError as error:
        raise LogUnavailable(
            f"The events could not be written to {directory} ({error.strerror}). Nothing was accepted; free the disk."
        ) from error
