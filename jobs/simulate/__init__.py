"""`python -m jobs simulate DOMAIN`: somebody uses the running service.

A domain that can be simulated has a module or a package `jobs/simulate/<domain>` with a click command named `command`.
It is found by its name, so nothing here lists the domains.
"""

from functools import cached_property
from importlib import import_module
from importlib.util import find_spec

import click

from choices import unknown
from features import DOMAINS

NONE = "No domain has a simulation. Write one: a click command named `command` in jobs/simulate/<domain>.py."


url_option = click.option("--url", default="http://127.0.0.1:5000", help="The address of the service.")


class _Simulations(click.Group):
    @cached_property
    def _by_domain(self) -> dict[str, click.Command]:
        commands = {}
        for domain in DOMAINS:
            if find_spec(f"jobs.simulate.{domain}"):
                commands[domain] = getattr(import_module(f"jobs.simulate.{domain}"), "command", None)
        return {domain: command for domain, command in commands.items() if isinstance(command, click.Command)}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The domains that can be simulated."""
        return list(self._by_domain)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        """The simulation of a domain. Raises NoSuchCommand, with the nearest name."""
        if cmd_name not in self._by_domain:
            message = unknown("simulation of", cmd_name, self._by_domain, NONE).message
            raise click.exceptions.NoSuchCommand(cmd_name, message, ctx=ctx)
        return self._by_domain[cmd_name]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Say so where there is nothing to choose from."""
        if not self._by_domain:
            formatter.write_paragraph()
            formatter.write_text(NONE)


@click.group(cls=_Simulations)
def simulate() -> None:
    """Use the running service as somebody would, in real time."""
