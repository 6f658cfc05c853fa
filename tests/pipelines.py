"""The pipeline that makes the small world of the tests."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from processes import jobs

from jobs.world.marker import Marker
from root import Root
from simulators import Size

#: Small, and enough for a model to learn from.
SIZE = Size(drivers=3000, users=600, merchants=1200, order_days=45)
PIPELINE = ("pipeline", *(f"--{name.replace('_', '-')}={value}" for name, value in vars(SIZE).items()))


def day_of(root: Path) -> datetime:
    """The midnight before a world was made."""
    (made_at,) = {part.made_at for part in Marker.read(Root(root)).parts.values()}
    return datetime.fromisoformat(str(made_at))


def run_again(root: Path) -> str:
    """Run the pipeline on a world again, on the day of its first run: on the next one it would make all anew. Returns
    what it prints."""
    now = min(datetime.now(UTC), day_of(root) + timedelta(days=1, seconds=-1))
    ended = jobs(root, *PIPELINE, f"--now={now.isoformat()}")
    assert "leaked" not in ended.stderr, "a library tells the user what it did not free"
    return ended.stdout
