"""The old names of `exact_stores`: `stores.online` is the module `exact_stores.online`, and so is every other module.

A `feature_store.yaml` that was written with the old names still loads. The first import of a process warns. The
warning is a FutureWarning because Python shows those to everybody, and hides a DeprecationWarning outside `__main__`.
"""

import importlib
import pkgutil
import sys
import warnings

import exact_stores

# Nothing else is imported from this folder: `stores.exact_stores` would be a second copy of every class.
__path__ = []
sys.modules["stores.exact_stores"] = None  # type: ignore[assignment]

#: Modules that have no old name, as they came later. Some of them need an extra.
_NEW = ("exact_online", "feast_rows", "redis_", "registry_lock", "spark_")

for _module in pkgutil.iter_modules(exact_stores.__path__):
    if _module.name.startswith(_NEW):
        continue
    globals()[_module.name] = importlib.import_module(f"exact_stores.{_module.name}")
    sys.modules[f"stores.{_module.name}"] = globals()[_module.name]

warnings.warn(
    "The package `stores` is now called `exact_stores`. In feature_store.yaml and in imports, write "
    "exact_stores.online.WideSqliteOnlineStore for stores.online.WideSqliteOnlineStore, and so for every other name.",
    FutureWarning,
    stacklevel=2,
)
