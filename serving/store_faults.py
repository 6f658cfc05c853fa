"""What a fault of the feature store means, and what to do about it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from errors import FeaturesNotReady
from exact_stores.exact_online import OnlineStoreError
from files import fault, is_file_fault

_NEW_REGISTRY = "Move registry.db and online.db away, and run: make pipeline"
_DATABASE = "Start its database, or correct registry: of feature_store.yaml"
_COMPUTE = "Compute the features again: python -m jobs execute --all"


@contextmanager
def explained() -> Iterator[None]:
    """Inside, a fault of the feature store or of its files is raised as FeaturesNotReady."""
    try:
        yield
    except (OnlineStoreError, sqlite3.DatabaseError) as error:  # our stores say what to do
        raise FeaturesNotReady(f"The online store cannot be used: {error}") from error
    except Exception as error:
        if type(error).__name__ == "DecodeError":  # protobuf's, which Feast lets through
            raise FeaturesNotReady(f"The feature registry is damaged ({error}). {_NEW_REGISTRY}") from error
        if type(error).__module__.startswith("sqlalchemy."):  # of a registry in a database, whose URL has a password
            text = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            raise FeaturesNotReady(f"The feature registry cannot be used: {text}. {_DATABASE}") from error
        if is_file_fault(error):
            raise FeaturesNotReady(f"The feature store cannot be used: {fault(error, damaged=_COMPUTE)}") from error
        raise
