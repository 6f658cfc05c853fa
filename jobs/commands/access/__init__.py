"""The commands about who may ask. A password is never an argument: arguments are in the list of processes."""

import sys
from collections.abc import Callable
from typing import Any

import click

from cli.values import OneOf
from errors import BadParameter

EMAIL = "The e-mail address of the user."

scope_option = click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=OneOf("scope", ("features:read", "decisions:write", "events:write", "audit:read", "admin")),
    help="What is allowed; may be repeated.",
)


def password_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option that says where the password comes from, as `password_stdin`."""
    option = click.option("--password-stdin", is_flag=True, help="Read the password from standard input, a line.")
    return option(command)


def has_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def password(from_stdin: bool) -> str:
    """A new password: a line of standard input, or typed twice on the terminal. Raises BadParameter without either."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not has_terminal():
        raise BadParameter("There is no terminal to ask for the password. Send it by a pipe: --password-stdin")
    typed: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return typed
