"""The options that say how much is generated."""

from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any

import click

from cli.values import Whole
from simulators import ABOUT, FEWEST, Size


def size_options(default: Size) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option for each field of Size to a command, which gets them together as `size`."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def with_size(**params: Any) -> Any:
            size = Size(**{field.name: params.pop(field.name) for field in fields(Size)})
            return command(size=size, **params)

        decorated: Callable[..., Any] = with_size
        for field in reversed(fields(Size)):
            count = Whole(FEWEST[field.name], why="is too small for a model to learn from")
            option = click.option(
                f"--{field.name.replace('_', '-')}",
                type=count,
                default=getattr(default, field.name),
                help=ABOUT[field.name],
            )
            decorated = option(decorated)
        return decorated

    return decorate
