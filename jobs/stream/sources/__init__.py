"""Where a stream job reads events: the log of the service, files of JSON lines, or an adapter of somebody's own."""

from pathlib import Path

from brokers import FORM
from errors import BadParameter
from jobs.stream.sources.json_lines import JsonLines
from jobs.stream.sources.protocol import Line, Position, Source
from root import Root

__all__ = ["Line", "Position", "Source", "open_source"]


def open_source(root: Root, source: str, stream: str) -> Source:
    """The source that `--source` names: `log`, the events that the service accepts for `stream`, or `jsonl:PATH`.
    Raises BadParameter."""
    kind, _, path = source.partition(":")
    if source == "log":
        return JsonLines(root.event_log(stream), source)
    if kind != "jsonl" or not path:
        raise BadParameter(
            f"There is no source {source[:60]!r}. Choose log, or jsonl:PATH of a file or a folder, or {FORM}."
        )
    place = Path(path).expanduser().resolve()
    if not place.exists() and not place.parent.is_dir():
        raise BadParameter(
            f"{place} does not exist, and its folder does not either. Give a file of JSON lines, or a folder of them."
        )
    if place.suffix == ".gz":
        raise BadParameter(f"{place} is compressed. Unpack it with gunzip, and give the file of JSON lines.")
    return JsonLines(place, f"jsonl:{place}")
