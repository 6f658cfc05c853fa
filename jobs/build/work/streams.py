"""What a stream job does, for the history and for the events that the service has accepted so far."""

from threading import Event

import settings
from errors import Busy
from features.domains import stream_of
from jobs.build.work import OnPart
from root import Root


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
