"""The registry file: below `$RISK_DATA`, and never half written."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig

from exact_stores.paths import below_data, require_place
from exact_stores.whole_file import PRIVATE_FILE, make_folder, replacing


class RiskDataRegistryStore(FileRegistryStore):
    """Feast's file registry with three differences.

    A relative `path` counts from `$RISK_DATA` (see `paths.below_data`). A write replaces the file in one step; Feast's
    own store truncates the file first, so that a crash leaves half a registry, and a server may read half a registry.
    Who changes it may hold its lock.
    """

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        """Raises ValueError for an option that there is not, and for a path where no file can lie."""
        if unknown := sorted(getattr(registry_config, "model_extra", None) or ()):
            raise ValueError(
                f"The registry of feature_store.yaml has the options {', '.join(unknown)}, which there are not. "
                f"Remove them, or write one of: {', '.join(RegistryConfig.model_fields)}."
            )
        super().__init__(registry_config, repo_path)
        self._repo_path = repo_path
        self._filepath = below_data(registry_config.path, repo_path)
        require_place(registry_config.path)

    def _write_registry(self, registry_proto: Registry) -> None:
        with replacing(self._filepath) as new_file:
            FileRegistryStore(RegistryConfig(path=str(new_file)), self._repo_path)._write_registry(registry_proto)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of the file, in all threads and processes, and say so where that takes waiting. The system
        releases it when the process ends, also when it is killed."""
        lock = self._filepath.with_suffix(".lock")
        make_folder(lock.parent)
        opened = os.open(lock, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        try:
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                click.echo(f"Another process applies or materializes on {self._filepath}. This one waits.", err=True)
                fcntl.flock(opened, fcntl.LOCK_EX)
            yield
        finally:
            os.close(opened)
