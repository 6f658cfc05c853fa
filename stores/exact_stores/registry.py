"""The registry file: below `$RISK_DATA`, and never half written."""

import os
import tempfile
from pathlib import Path

from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig

from exact_stores.paths import below_data


class RiskDataRegistryStore(FileRegistryStore):
    """Feast's file registry with two differences: a relative `path` counts from `$RISK_DATA`, and a write replaces
    the file whole. The stock store truncates first: a crash, or a server reading meanwhile, meets half a registry."""

    def __init__(self, registry_config: RegistryConfig, repo_path: Path) -> None:
        super().__init__(registry_config, repo_path)
        self._filepath = below_data(registry_config.path, repo_path)

    def _write_registry(self, registry_proto: Registry) -> None:
        target = self._filepath
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".registry-", dir=target.parent) as scratch:
            self._filepath = Path(scratch) / target.name
            try:
                super()._write_registry(registry_proto)
                os.replace(self._filepath, target)
            finally:
                self._filepath = target
