"""`python -m jobs key add`, `list` and `revoke`."""

from datetime import UTC, datetime, timedelta

import click

from cli import console
from cli.console import Column
from cli.values import DURATION
from jobs.commands.access import scope_option
from jobs.commands.acts import act

NAME = "The name of the key, as the audit log shows it."


@click.group()
def key() -> None:
    """Manage the API keys of machines.

    A running service follows at once.
    """


@key.command()
@click.argument("name", help=NAME)
@scope_option
@click.option("--lasts", type=DURATION, default="90d", help="How long it holds, such as 90d.")
def add(name: str, scopes: tuple[str, ...], lasts: timedelta) -> None:
    """Make a key, and print it.

    It is stored nowhere, so this is the only time.
    """
    import settings
    from access import keys

    now = datetime.now(UTC)
    path, until = settings.unchecked_root().access_db, (now + lasts).isoformat()
    with act("key", name, "add") as log:
        secret = keys.add(path, name, scopes, lasts, now, lambda: log(scopes=sorted(scopes), until=until))
    click.echo(f"Keep it: it is not shown again. It holds until {now + lasts:%Y-%m-%d %H:%M} UTC.", err=True)
    console.line(secret)


@key.command("list")
def list_keys() -> None:
    """List the keys: their first characters, scopes and end."""
    import settings
    from access import accounts
    from access.scopes import written

    now = datetime.now(UTC)
    known = accounts.read(settings.unchecked_root().access_db).keys.values()
    rows = [
        (
            key.name,
            f"{key.prefix}…",
            written(key.scopes),
            "revoked" if key.is_revoked else "expired" if key.expires <= now else "",
            f"{key.created:%Y-%m-%d}",
            f"{key.expires:%Y-%m-%d}",
        )
        for key in known
    ]
    headings = ("key", "begins with", "scopes", "state", "since", "until")
    console.table([Column(heading) for heading in headings], rows, headings=True)


@key.command()
@click.argument("name", help=NAME)
def revoke(name: str) -> None:
    """End a key.

    Its name stays taken: the audit log has it.
    """
    import settings
    from access import keys

    with act("key", name, "revoke") as log:
        keys.revoke(settings.unchecked_root().access_db, name, log)
    console.line(f"{name} is revoked")
