"""What a fault of the feature store means, and what to do about it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from feast.errors import FeastError
from feast.repo_config import FeastConfigError
from pydantic import ValidationError
from yaml import MarkedYAMLError, YAMLError

from errors import BadSetting, FeaturesNotReady
from exact_stores.exact_online import OnlineStoreError
from exact_stores.registry_faults import RegistryError
from files import fault, is_file_fault

_NEW_REGISTRY = "Move registry.db and online.db away, and run: make pipeline"
_COMPUTE = "Compute the features again: python -m jobs execute --all"
_INSTALL = "Run: pip install -e '.[redis,postgres]' -c requirements-engines.txt"


@contextmanager
def explained() -> Iterator[None]:
    """Inside, a fault of the feature store or of its files is raised as FeaturesNotReady."""
    try:
        yield
    except (OnlineStoreError, sqlite3.DatabaseError) as error:  # our stores say what to do
        raise FeaturesNotReady(f"The online store cannot be used: {error}") from error
    except RegistryError as error:
        raise FeaturesNotReady(error.message) from error
    except Exception as error:
        if type(error).__name__ == "DecodeError":  # protobuf's, which Feast lets through
            raise FeaturesNotReady(f"The feature registry is damaged ({error}). {_NEW_REGISTRY}") from error
        if is_file_fault(error):
            raise FeaturesNotReady(f"The feature store cannot be used: {fault(error, damaged=_COMPUTE)}") from error
        raise


@contextmanager
def configured(yaml: Path) -> Iterator[None]:
    """Inside, what `yaml`, a `feature_store.yaml`, says and Feast does not take is raised as BadSetting. A value in it
    may be a secret, so the message has none."""
    try:
        yield
    except (FeastError, FeastConfigError, YAMLError, OnlineStoreError) as error:
        raise BadSetting(f"{yaml.name}: {_words(error)}") from error


def _words(error: Exception) -> str:
    cause: BaseException | None = error
    while cause := cause and (cause.__cause__ or cause.__context__):
        if isinstance(cause, ModuleNotFoundError):
            return f"It needs {cause.name}, which is not installed. {_INSTALL}"
    cause = error.args[0] if isinstance(error, FeastConfigError) else error
    if isinstance(cause, ValidationError):
        faults = (f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in cause.errors())
        return f"{'; '.join(faults)}. Correct it."
    if isinstance(cause, YAMLError):
        mark = cause.problem_mark if isinstance(cause, MarkedYAMLError) else None
        return f"It is no YAML{f' from line {mark.line + 1} on' if mark else ''}. Correct it."
    return f"{str(cause).strip().partition(chr(10))[0].rstrip('.')}."
