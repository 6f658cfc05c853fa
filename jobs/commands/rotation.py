"""`python -m jobs hash-key rotate` and `status`."""

from datetime import UTC, datetime

import click

from cli import console
from cli.console import Column
from cli.edge import Group
from errors import BadSetting, Mismatch


@click.group("hash-key", cls=Group)
def hash_key() -> None:
    """Change the hash key of a root, and see what is left.

    docs/how-to/rotate-keys.md says in which order.
    """


@hash_key.command()
def rotate() -> None:
    """Let the root belong to the new key.

    RISK_HASH_KEY is the new one, and RISK_HASH_KEY_OLD the one that the root has. The service does the same at its
    first start with both. Doing it again changes nothing.
    """
    import settings
    from hash_keys import HashKey
    from serving import acts

    root, key = settings.root(), settings.hash_key()
    if not isinstance(key, HashKey):
        raise BadSetting("RISK_HASH_KEY_OLD is not set. Set it to the root's key, and RISK_HASH_KEY to the new one.")
    if acts.claim_hash_key(root, key, acts.operator(datetime.now(UTC))):
        console.line(f"{root} belongs to the new key. No process starts with the old one alone any more.")
    else:
        console.line(f"{root} belongs to this key already.")


@hash_key.command()
@click.option("--list", "lists", is_flag=True, help="List them, each as its hash, instead of counting them.")
def status(lists: bool) -> None:
    """Count the identifiers that are still under the old key.

    They are moved when they are seen again. While there are some, the exit code is 1: without RISK_HASH_KEY_OLD, their
    people would be new to us.
    """
    import settings
    from jobs import rotation
    from serving.retrieval import FeastStore

    root = settings.root()
    left = rotation.left_at(root)
    if left is None:
        console.line(f"{root} has had one hash key only.")
        return
    places = rotation.remaining(root, FeastStore(settings.FEATURE_REPO, settings.feature_store()), left)
    if not places:
        console.line("Nothing is under the old key. You may unset RISK_HASH_KEY_OLD.")
        return
    columns = [Column(""), Column("place", wraps=False), Column("identifiers under the old key", "right", wraps=False)]
    if lists:
        rows = [(left_in.kind, left_in.place, text) for left_in in places for text in left_in.hashes]
    else:
        rows = [(left_in.kind, left_in.place, f"{len(left_in.hashes):,}") for left_in in places]
    console.table(columns, rows, headings=True)
    raise Mismatch(f"The root left its old key on {left:%Y-%m-%d %H:%M} UTC. Keep it: these were not seen since.")
