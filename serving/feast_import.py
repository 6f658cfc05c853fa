"""Imports Feast in about half the time. Import this module before anything of Feast.

Feast decorates its classes with `typeguard.typechecked`. For each method, typeguard parses and compiles the source of
the whole module again: together 2.2 of the 5.3 seconds of processor time that `import feast` takes. Here the decorator
handles constructors alone. These take what a repository declares, so a wrong type in a view is still an error that
names the argument. The other methods take values from Feast itself. The `feast` command stays as it is: it checks all.
"""

import typeguard

_typechecked = typeguard.typechecked


def _constructor_typechecked(target):  # type: ignore[no-untyped-def]
    if not isinstance(target, type):
        return _typechecked(target)
    if "__init__" in vars(target):
        target.__init__ = _typechecked(target.__init__)  # type: ignore[misc]
    return target


typeguard.typechecked = _constructor_typechecked  # type: ignore[assignment]
try:
    import feast.batch_feature_view
    import feast.labeling.label_view
    import feast.stream_feature_view  # noqa: F401
finally:
    typeguard.typechecked = _typechecked
