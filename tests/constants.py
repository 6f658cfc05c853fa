"""Sets a constant of a module for a test, and notices when that has no effect any more."""

import ast
import inspect
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def override(patch: pytest.MonkeyPatch, module: ModuleType, **constants: object) -> None:
    """Set constants of a module until the end of the test. Fails where the module's functions do not read one of them
    when they run: it is gone, or moved, or was read once for a default; and where another module has its own copy."""
    read = set(_read_when_run(ast.parse(inspect.getsource(module))))
    for name, value in constants.items():
        assert hasattr(module, name), f"{module.__name__} has no {name}"
        assert name in read, f"No function of {module.__name__} reads {name} when it runs"
        copies = list(_importers(name, module))
        assert not copies, f"{', '.join(copies)} imported {name} from {module.__name__}, and would keep the old one"
        patch.setattr(module, name, value)


def _read_when_run(tree: ast.AST) -> Iterator[str]:
    """The names that functions read in their bodies. What stands in a default is read once, on import."""
    for function in ast.walk(tree):
        if isinstance(function, _FUNCTIONS):
            body = function.body if isinstance(function.body, list) else [function.body]
            yield from (
                node.id
                for statement in body
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
            )


def _importers(name: str, module: ModuleType) -> Iterator[str]:
    """The modules that imported a name from this one."""
    for other in list(sys.modules.values()):
        if getattr(other, "__file__", None) and name in vars(other) and other is not module:
            tree = ast.parse(inspect.getsource(other))
            sources = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and name in _names(n)]
            if module.__name__ in sources:
                yield other.__name__


def _names(statement: ast.ImportFrom) -> list[str]:
    return [alias.name for alias in statement.names]
