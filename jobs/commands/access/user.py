"""`python -m jobs user add`, `list`, `disable`, `enable`, `passwd` and `scopes`."""

from datetime import UTC, datetime

import click

from cli import console
from cli.console import Column
from jobs.commands.access import EMAIL, password, password_option, scope_option
from jobs.commands.acts import act


@click.group()
def user() -> None:
    """Manage the people who sign in.

    A running service follows at once. Disabling a user, a new password and new scopes end the user's sign-ins.
    """


@user.command()
@click.argument("email", help=EMAIL)
@scope_option
@password_option
def add(email: str, scopes: tuple[str, ...], password_stdin: bool) -> None:
    """Add a user.

    The password is asked for, twice.
    """
    import settings
    from access import users

    path = settings.unchecked_root().access_db
    address = users.check_new(path, email)
    chosen = password(password_stdin)
    with act("user", address, "add") as log:
        users.add(path, address, chosen, scopes, datetime.now(UTC), lambda: log(scopes=sorted(scopes)))
    console.line(f"{address} can sign in")


@user.command("list")
def list_users() -> None:
    """List the users and their scopes."""
    import settings
    from access import accounts
    from access.scopes import written

    known = accounts.read(settings.unchecked_root().access_db).users.values()
    rows = [
        (user.email, written(user.scopes), "disabled" if user.is_disabled else "", f"{user.created:%Y-%m-%d}")
        for user in known
    ]
    console.table([Column("user"), Column("scopes"), Column("state"), Column("since")], rows, headings=True)


@user.command()
@click.argument("email", help=EMAIL)
def disable(email: str) -> None:
    """Let a user in no more.

    Sessions and tokens end too.
    """
    import settings
    from access import users

    path = settings.unchecked_root().access_db
    with act("user", users.named(path, email).email, "disable") as log:
        users.set_disabled(path, email, True, log)
    console.line(f"{users.normal(email)} is disabled")


@user.command()
@click.argument("email", help=EMAIL)
def enable(email: str) -> None:
    """Let a disabled user in again."""
    import settings
    from access import users

    path = settings.unchecked_root().access_db
    with act("user", users.named(path, email).email, "enable") as log:
        users.set_disabled(path, email, False, log)
    console.line(f"{users.normal(email)} can sign in")


@user.command()
@click.argument("email", help=EMAIL)
@password_option
def passwd(email: str, password_stdin: bool) -> None:
    """Change a user's password.

    Sessions and tokens of before end.
    """
    import settings
    from access import users

    path = settings.unchecked_root().access_db
    address = users.named(path, email).email
    chosen = password(password_stdin)
    with act("user", address, "passwd") as log:
        users.set_password(path, address, chosen, log)
    console.line(f"{users.normal(email)} has a new password")


@user.command("scopes")
@click.argument("email", help=EMAIL)
@scope_option
def set_scopes(email: str, scopes: tuple[str, ...]) -> None:
    """Give a user other scopes, instead of those of before."""
    import settings
    from access import users
    from access.scopes import written

    path = settings.unchecked_root().access_db
    with act("user", users.named(path, email).email, "scopes") as log:
        users.set_scopes(path, email, scopes, lambda: log(scopes=sorted(scopes)))
    console.line(f"{users.normal(email)}: {written(scopes)}")
