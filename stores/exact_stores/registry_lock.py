"""One process at a time changes a registry file.

`feast apply` changes its copy of the registry object by object, and Feast reads the file again whenever another process
has written it. So an apply beside a materialization lost what it had changed until then, without a word. Feast's own
file registry has no lock.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any

from feast import FeatureStore

from exact_stores.registry import RiskDataRegistryStore

#: The methods of FeatureStore that write the registry more than once, or after they have read it long ago.
_CHANGING = ("apply", "_apply_diffs", "materialize", "materialize_incremental")


def mend() -> None:
    """Let these methods hold the lock of a registry of ours. Calling it again changes nothing."""
    for name in _CHANGING:
        method = getattr(FeatureStore, name)
        if not hasattr(method, "feasts_own"):
            setattr(FeatureStore, name, _alone(method))


def _alone(feasts_own: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(feasts_own)
    def alone(self: Any, *args: Any, **options: Any) -> Any:
        file = getattr(self.registry, "_registry_store", None)
        with file.locked() if isinstance(file, RiskDataRegistryStore) else nullcontext():
            return feasts_own(self, *args, **options)

    alone.feasts_own = feasts_own  # type: ignore[attr-defined]
    return alone
