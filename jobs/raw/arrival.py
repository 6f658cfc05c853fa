"""Whether the events of an interval are there."""

from datetime import datetime

from errors import NoData
from features.windows.raw import RawTable
from jobs import sql
from jobs.raw import checks, places
from jobs.raw.forms.readers import DuckdbReader
from jobs.raw.forms.scans import readable
from root import Root


def events(root: Root, source: RawTable, start: datetime, end: datetime) -> int:
    """How many rows of a raw table, its stream's offline log included, are dated from `start` on and before `end`.
    Raises NoData if there are none, and BadInput."""
    files = places.raw_files(root, source.name)
    with sql.connect() as connection, readable(files):
        rows = checks.check(DuckdbReader(connection), source, files, [source.time], []).rows
        time = sql.identifier(source.time)
        query = f"SELECT count(*) FROM {rows} WHERE {time} >= ? AND {time} < ?"
        (count,) = sql.row(connection, query, start, end)
    if not count:
        raise NoData(
            f"{source.name} has no event from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC. Wait for its sender, "
            "or bring the events."
        )
    return int(count)
