"""The commands about a risk: its models, its decisions, its policy."""

import click

from cli.edge import Group

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
