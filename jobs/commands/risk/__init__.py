"""The commands about a risk: its models, its decisions, its policy."""

import os
from datetime import UTC, datetime
from pwd import getpwuid
from typing import TYPE_CHECKING

import click

from cli.edge import Group

if TYPE_CHECKING:
    from features.risk import Risk

#: The help of an argument that names a risk.
RISK = "The name of a risk. A wrong name is answered with all names."


class RiskGroup(Group):
    """Commands that stand behind the name of a risk: `jobs models RISK list`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """`--help` behind the name is that of the group."""
        if args[0] in ctx.help_option_names:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().resolve_command(ctx, args)


def system_user() -> str:
    """The name of who runs the command."""
    return getpwuid(os.getuid()).pw_name


def log_change(risk: "Risk", kind: str, act: str, version: str) -> None:
    """Log that the command changed what decides about a risk. Raises AuditUnavailable."""
    import settings
    from serving import cases

    cases.log_change(settings.root().cases, risk, kind, act, version, f"cli:{system_user()}", datetime.now(UTC))
