"""Which modules of ours a module imports, read from the sources. The pipeline redoes a step when one of them changes.

Our own few lines of `ast`, for three reasons: most imports here are inside functions; the domains are imported by name,
`import_module(f"features.{domain}")`; and the pipeline runs where no development tool is installed. grimp, which
import-linter builds on, reads neither names like these nor modules outside a package, such as `settings`.
"""

import ast
import re
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import chain
from pathlib import Path

from features import DOMAINS
from files import fingerprint, sha256

#: Where Python looks for our modules, below the project.
IMPORT_FOLDERS = ("", "feature_repo", "stores")
#: What `feast apply` imports: every module below `feature_repo/`, and what its YAML names.
REPOSITORY = "feature_repo"
#: What a process imports that opens the feature store: the classes that this file names.
FEATURE_STORE = "feature_repo/feature_store.yaml"
#: The module of a class in that file: `exact_stores.online` of `type: exact_stores.online.WideSqliteOnlineStore`.
YAML_CLASS = re.compile(r"type: *([\w.]+)\.\w+")


@dataclass(frozen=True)
class Sources:
    """The sources of this project, or of a copy of it."""

    project: Path

    def fingerprint(self, *names: str) -> str:
        """Changes with any byte in the files that these modules depend on."""
        files = self.files(*names)
        return fingerprint({name: sha256(file) for name, file in files.items()})

    def files(self, *names: str) -> dict[str, Path]:
        """The files that these modules depend on, themselves included, by their paths below the project: modules, and
        the data in their packages, such as templates."""
        modules = set(self.modules(*names).values())
        packages = [file.parent for file in modules if file.name == "__init__.py"]
        files = modules.union(*map(_data_files, packages))
        return {file.relative_to(self.project).as_posix(): file for file in sorted(files)}

    def modules(self, *names: str) -> dict[str, Path]:
        """Name → file of these modules, of their packages and of what they import, wherever in their code.

        REPOSITORY and FEATURE_STORE are valid names too. Raises ValueError if a dynamic import cannot be read.
        """
        files: dict[str, Path] = {}
        unread = set(names)
        if REPOSITORY in names:
            below = self.project / REPOSITORY
            unread.update(name for name, file in self._index.items() if file.is_relative_to(below))
        while unread:
            name = unread.pop()
            if name not in files and (file := self._index.get(name)):
                files[name] = file
                text = file.read_text()
                unread |= imports(text) if file.suffix == ".py" else frozenset(YAML_CLASS.findall(text))
                unread.add(name.rpartition(".")[0])
        return files

    @cached_property
    def _index(self) -> dict[str, Path]:
        """Every module of ours by its name, and FEATURE_STORE."""
        index = {FEATURE_STORE: self.project / FEATURE_STORE}
        for base in (self.project / folder for folder in IMPORT_FOLDERS):
            packages = [init.parent for init in base.glob("*/__init__.py")]
            for file in chain(base.glob("*.py"), *(package.rglob("*.py") for package in packages)):
                name = ".".join(file.relative_to(base).with_suffix("").parts).removesuffix(".__init__")
                index.setdefault(name, file)
        return index


@cache
def imports(code: str) -> frozenset[str]:
    """The modules that the code may import. Not every name is a module: `from a import b` gives `a` and `a.b`.

    >>> sorted(imports("import a.b\\ndef f():\\n    from c import d"))
    ['a.b', 'c', 'c.d']
    """
    names: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names.update(_dynamic(node.args[0]))
    return frozenset(names)


def _dynamic(name: ast.expr) -> list[str]:
    """The modules that `import_module(name)` may import. Raises ValueError if only a run would tell."""
    match name:
        case ast.Constant(value=str(module)):
            return [module]
        case ast.JoinedStr(values=[ast.Constant(value=str(package)), ast.FormattedValue()]) if package.endswith("."):
            return [f"{package}{domain}" for domain in DOMAINS]
    raise ValueError(
        f"The pipeline cannot read which module import_module({ast.unparse(name)}) imports. "
        'Write the name there, or f"package.{domain}" for a module of every domain.'
    )


def _data_files(package: Path) -> set[Path]:
    """The files in a package's folder that are neither code nor documentation. Those of a package inside it are its
    own."""
    files: set[Path] = set()
    for path in package.iterdir():
        if path.name.startswith((".", "__pycache__")) or path.suffix in (".py", ".md", ".egg-info"):
            continue
        if path.is_file():
            files.add(path)
        elif not (path / "__init__.py").exists():
            files |= _data_files(path)
    return files
