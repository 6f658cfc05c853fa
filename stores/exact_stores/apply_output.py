"""`feast apply` prints what it created, updated and deleted. Feast 0.67 prints that for its own SQLite store alone."""

import sys
from collections.abc import Iterator
from typing import Any

import click
from feast.feature_view import DUMMY_ENTITY_NAME
from feast.infra.registry.base_registry import BaseRegistry
from feast.infra.registry.registry import FeastObjectType

from exact_stores.spec_changes import changed_fields

#: Kind of object → name → object.
Objects = dict[FeastObjectType, dict[str, Any]]


def mend() -> None:
    """Replace the function behind `feast apply` where the command line is loaded. Calling it again changes nothing."""
    operations: Any = sys.modules.get("feast.repo_operations")
    if operations is None or hasattr(operations.apply_total_with_repo_instance, "feasts_own"):
        return
    feasts_own = operations.apply_total_with_repo_instance

    def with_changes(store: Any, project_name: str, registry: BaseRegistry, *args: Any, **options: Any) -> None:
        if store._should_use_plan():
            feasts_own(store, project_name, registry, *args, **options)
            return
        before = _objects(registry, project_name)
        feasts_own(store, project_name, registry, *args, **options)
        lines = list(changes(before, _objects(registry, project_name)))
        click.echo("\n".join(lines or ["No changes to registry"]))

    with_changes.feasts_own = feasts_own  # type: ignore[attr-defined]
    operations.apply_total_with_repo_instance = with_changes


def changes(before: Objects, after: Objects) -> Iterator[str]:
    """Lines that say what was created, deleted and updated. The fields of an updated object stand below it."""
    for kind, new in after.items():
        old = before.get(kind, {})
        for name in sorted(new.keys() - old.keys()):
            yield f"Created {kind.value} {click.style(name, fg='green', bold=True)}"
        for name in sorted(old.keys() - new.keys()):
            yield f"Deleted {kind.value} {click.style(name, fg='red', bold=True)}"
        for name in sorted(new.keys() & old.keys()):
            if fields := list(changed_fields(_spec(old[name]), _spec(new[name]))):
                yield f"Updated {kind.value} {click.style(name, fg='yellow', bold=True)}"
                yield from (f"  {field}" for field in fields)


def _spec(item: Any) -> Any:
    proto = item.to_proto()
    return getattr(proto, "spec", proto)


def _objects(registry: BaseRegistry, project: str) -> Objects:
    by_kind = FeastObjectType.get_objects_from_registry(registry, project)
    return {
        kind: {item.name: item for item in objects if item.name != DUMMY_ENTITY_NAME}
        for kind, objects in by_kind.items()
        if kind != FeastObjectType.DATA_SOURCE  # a view names what changes in its source
    }
