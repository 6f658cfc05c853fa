"""What a root holds of each domain, from what the domains declare. The generator gets it as data: no generated file
depends on a definition of a feature, so a changed definition makes none of them stale."""

from collections.abc import Iterable
from datetime import datetime

from features import DOMAINS
from features.domains import raw_tables_of, risks_of, simulated, streams, tables_of
from features.windows.live import state_of
from jobs.world import aside
from jobs.world.check import Share
from root import Root


def shares(root: Root, domains: Iterable[str]) -> tuple[Share, ...]:
    """The shares of these domains."""
    return tuple(_share(root, domain) for domain in domains)


def _share(root: Root, domain: str) -> Share:
    own = [stream for stream in streams().values() if stream.domain == domain]
    computed = [root.feature_table(table.name) for table in tables_of(domain)]
    computed += [root.dataset(risk.name) for risk in risks_of(domain)]
    computed += [root.states(state_of(table)) for stream in own for table in stream.tables]
    return Share(
        domain,
        tables=raw_tables_of(domain),
        streams=tuple(stream.raw.name for stream in own),
        computed=tuple(computed),
        state=root.stream_state(domain),
    )


def move_aside(root: Root, now: datetime, is_of_another_key: bool) -> str:
    """Move everything of the present world to a dated folder, and delete nothing. Returns a line for a person. Raises
    Busy if a stream job is at work.

    The raw events and the logs of domains without a simulator stay, because they are no part of it, unless they are of
    another hash key.
    """
    all_shares = shares(root, DOMAINS)
    own = [] if is_of_another_key else [share for share in all_shares if share.domain not in simulated()]
    kept = {name for share in own for name in (*share.tables, *share.streams)}
    with aside.without_stream_jobs(root, all_shares):
        more = [root.hash_key] if is_of_another_key and root.hash_key.exists() else []
        folder = aside.move(root, [*aside.parts(root, kept), *more], now)
    return f"Moved what was in {root} to {folder}" if folder else f"There was nothing to move in {root}"
