"""The registry file: below `$RISK_DATA`, and never half written."""

from pathlib import Path

from feast.infra.registry.file import FileRegistryStore
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.repo_config import RegistryConfig

from exact_stores.paths import below_data, require_place
from exact_stores.whole_file import replacing


class RiskDataRegistryStore(FileRegistryStore):
    """Feast's file registry with two differences.

    A relative `path` counts from `$RISK_DATA` (see `paths.below_data`). A write replaces the file in one step; Feast's
    own store truncates the file first, so that a crash leaves half a registry, and a server may read half a registry.
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
