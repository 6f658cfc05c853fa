"""What is wrong with the database of a registry, in one line. Feast lets the errors of SQLAlchemy through: their texts
have several lines and no remedy, and `feast` prints a traceback."""

from typing import Any

import click
import feast.infra.registry.sql
from sqlalchemy import Engine, event, exc
from sqlalchemy.engine import ExceptionContext

_DATABASE = "Start its database, or correct path: below registry: of feature_store.yaml."


class RegistryError(click.ClickException):
    """The database of the registry cannot be used. The message names the cause and the remedy, and has no password. So
    `feast` prints it without a traceback."""

    def __init__(self, error: BaseException, remedy: str = _DATABASE) -> None:
        first_line = str(error).strip().partition("\n")[0].rstrip(". ") or type(error).__name__
        super().__init__(f"The feature registry cannot be used: {first_line}. {remedy}")


def mend() -> None:
    """Let the engines of Feast's registry raise RegistryError. Calling it again changes nothing."""
    module: Any = feast.infra.registry.sql
    if hasattr(module.create_engine, "feasts_own"):
        return
    feasts_own = module.create_engine

    def explained(url: str, **options: Any) -> Engine:
        try:
            engine: Engine = feasts_own(url, **options)
        except exc.ArgumentError as error:
            raise RegistryError(error) from error
        except ModuleNotFoundError as error:
            raise RegistryError(error, f"Install {error.name}, the client of its database.") from error
        event.listen(engine, "handle_error", _explain)
        return engine

    explained.feasts_own = feasts_own  # type: ignore[attr-defined]
    module.create_engine = explained


def _explain(context: ExceptionContext) -> None:
    """SQLAlchemy calls it with each error of the database. Feast itself understands the others, such as a key that is
    there already."""
    if isinstance(context.sqlalchemy_exception, exc.OperationalError | exc.InterfaceError | exc.InternalError):
        raise RegistryError(context.original_exception) from context.original_exception
