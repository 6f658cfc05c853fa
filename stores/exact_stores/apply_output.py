"""`feast apply` prints what it created, updated and deleted. Feast 0.67 prints that for its own SQLite store alone."""

import sys
from typing import Any

import click
from feast.diff.property_diff import TransitionType
from feast.diff.registry_diff import FeastObjectDiff, RegistryDiff, diff_registry_objects
from feast.infra.registry.base_registry import BaseRegistry
from feast.infra.registry.registry import FeastObjectType

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
        difference: Any = changes(before, _objects(registry, project_name))
        click.echo(difference.to_string())

    with_changes.feasts_own = feasts_own  # type: ignore[attr-defined]
    operations.apply_total_with_repo_instance = with_changes


def changes(before: Objects, after: Objects) -> RegistryDiff:
    """The difference between the objects of a registry before and after."""
    diff: Any = RegistryDiff()  # type: ignore[no-untyped-call]
    for kind, new in after.items():
        old = before.get(kind, {})
        for name in sorted(new.keys() - old.keys()):
            diff.add_feast_object_diff(FeastObjectDiff(name, kind, None, new[name], [], TransitionType.CREATE))
        for name in sorted(old.keys() - new.keys()):
            diff.add_feast_object_diff(FeastObjectDiff(name, kind, old[name], None, [], TransitionType.DELETE))
        for name in sorted(new.keys() & old.keys()):
            diff.add_feast_object_diff(diff_registry_objects(old[name], new[name], kind))
    return diff  # type: ignore[no-any-return]


def _objects(registry: BaseRegistry, project: str) -> Objects:
    by_kind = FeastObjectType.get_objects_from_registry(registry, project)
    return {kind: {item.name: item for item in objects} for kind, objects in by_kind.items()}
