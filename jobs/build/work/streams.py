"""What a stream job does, for the history and for the events that the service has accepted so far."""

from threading import Event

import settings
from errors import Busy
from features.domains import stream_of
from jobs.build.work import OnPart
from root import Root


def has_states(domain: str) -> bool:
    """Whether the online store, a server, has what a stream job wrote, or workers on Kafka write it. Raises
    FeaturesNotReady."""
    if settings.events() is not None:
        return True
    from features.windows.live import MARKER, reserved_key, state_of
    from features.windows.state import LiveTable
    from jobs.stream.online.states import dtypes_of
    from serving.retrieval import FeastStore

    store = FeastStore(settings.FEATURE_REPO, settings.feature_store())
    live = map(LiveTable, stream_of(domain).tables)
    views = [(state_of(table.table), reserved_key(MARKER, dtypes_of(table))) for table in live]
    return all(store.kept(view, [view], [key]) != [None] for view, key in views)


def catch_up(root: Root, domain: str, on_part: OnPart) -> str:
    """Process all events that there are. A stream job that is at work does so itself."""
    from jobs.stream import loop
    from jobs.stream.job import prepare
    from jobs.stream.sources import open_source
    from serving.retrieval import FeastStore

    stream, lines = stream_of(domain), list[str]()
    prepare(root, stream)
    source = open_source(root, "log", stream.raw.name)
    try:
        store = FeastStore(settings.FEATURE_REPO, settings.feature_store())
        loop.run(root, stream, source, store, settings.hash_key(), True, Event(), lines.append)
    except Busy:
        return "a stream job is at work"
    return lines[0].removeprefix(f"{domain}: ")
