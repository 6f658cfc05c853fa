"""A step of the pipeline is stale as soon as a module changes that it imports, and for no other module."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path

import pytest

import settings
from features import DOMAINS
from features.domains import risks, streams
from jobs.build.imports import FEATURE_STORE, REPOSITORY, Sources, imports
from jobs.build.plan import steps
from jobs.build.steps import Step
from jobs.world.marker import World
from root import Root
from simulators import Size

#: Path patterns → the steps that a change there makes stale; `train` means the training of every risk.
STALE = {
    "web/*": "",
    "app.py": "",
    "serve.py": "",
    "cli/*": "",
    "jobs/__main__.py": "",
    "jobs/commands/*": "",
    "jobs/parity.py": "",
    "jobs/simulate/*": "",
    "jobs/build/run.py": "",
    "jobs/build/plan.py": "",
    "jobs/batch/spark/*.py": "",
    "tests/*": "",
    "generate_data.py": "",
    "jobs/world/generate.py": "raw",
    "jobs/world/shares.py": "",
    "simulators/*": "raw",
    "jobs/batch/table.py": "batch train",
    "jobs/batch/at_moments.py": "train score",
    "jobs/stream/*": "stream",
    "jobs/train/*": "train",
    "model/report/report.html": "train score",
    "jobs/score.py": "score",
    "serving/scores.py": "score",
    "model/card.py": "train score",
    "serving/retrieval.py": "stream train score",
    "serving/feast_import.py": "apply stream materialize train score",
    "feature_repo/views/*.py": "apply materialize train score",
    "feature_repo/entities.py": "apply materialize train score",
    "feature_repo/feature_store.yaml": "apply stream materialize train score",
    "stores/exact_stores/online.py": "apply stream materialize train score",
    "feature_repo/features/coupon.py": "batch apply stream materialize train score",
    "feature_repo/features/utc.py": "raw batch apply stream materialize train score",
    "settings.py": "apply stream materialize train score",
}


@pytest.fixture(scope="module")
def all_steps(tmp_path_factory: pytest.TempPathFactory) -> list[Step]:
    return steps(Root(tmp_path_factory.mktemp("root")), World(7, Size(), b""), datetime(2026, 1, 31, tzinfo=UTC))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of every file that may belong to a step, and of those beside them."""
    project = tmp_path_factory.mktemp("copy")
    for file in our_files():
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(settings.PROJECT / file, project / file)
    return project


def our_files() -> list[str]:
    rooms = ("", "cli", "feature_repo", "stores", "simulators", "model", "serving", "jobs", "web")
    files = [file for room in rooms for file in (settings.PROJECT / room).glob("**/*" if room else "*.py")]
    suffixes = {".py", ".yaml", ".html", ".js", ".css"}
    return [file.relative_to(settings.PROJECT).as_posix() for file in files if file.suffix in suffixes]


def codes(all_steps: list[Step]) -> dict[tuple[str, ...], set[str]]:
    """What a step's code is derived from → the kinds of the steps that share it."""
    shared: dict[tuple[str, ...], set[str]] = {}
    for step in all_steps:
        kind = step.name.removeprefix("feast ").split()[0].removesuffix("-incremental")
        shared.setdefault((step.work.func.__module__, *step.code), set()).add(kind)
    return shared


def test_a_changed_byte_makes_exactly_the_steps_stale_that_read_the_file(all_steps: list[Step], copy: Path):
    sources = Sources(copy)
    assert set().union(*(sources.files(*code) for code in codes(all_steps))) <= set(our_files())
    for code in codes(all_steps):
        before, files = sources.fingerprint(*code), sources.files(*code)
        for file in files.values():
            with one_byte_more(file):
                assert sources.fingerprint(*code) != before, file
        with ExitStack() as changes:
            for name in set(our_files()) - set(files):
                changes.enter_context(one_byte_more(copy / name))
            assert sources.fingerprint(*code) == before


@contextmanager
def one_byte_more(file: Path) -> Iterator[None]:
    original = file.read_bytes()
    file.write_bytes(original + b"\n")
    yield
    file.write_bytes(original)


@pytest.mark.parametrize(("pattern", "stale"), STALE.items())
def test_a_change_makes_stale_what_depends_on_it_and_nothing_else(all_steps: list[Step], pattern: str, stale: str):
    sources = Sources(settings.PROJECT)
    files = {code: sources.files(*code) for code in codes(all_steps)}
    touched = {
        kind
        for code, kinds in codes(all_steps).items()
        for kind in kinds
        if any(fnmatch(f, pattern) for f in files[code])
    }
    assert touched == set(stale.split())
    assert any(Path(settings.PROJECT).glob(pattern))


def test_every_step_depends_on_the_module_that_does_its_work(all_steps: list[Step]):
    """Two steps of one kind share their code; steps of two kinds share it only with a module that says so."""
    sources = Sources(settings.PROJECT)
    assert len(all_steps) == 4 + len(streams()) + len(risks()) + 1
    for step in all_steps:
        work = Path("jobs/build/work") / f"{step.work.func.__module__.rpartition('.')[2]}.py"
        assert work.as_posix() in sources.files(step.work.func.__module__, *step.code)


def test_a_step_is_stale_as_soon_as_its_code_or_its_inputs_change(all_steps: list[Step], copy: Path):
    sources, raw_events = Sources(copy), all_steps[0]
    before = raw_events.fingerprint(sources)
    other_day = steps(Root(copy / "data"), World(7, Size(), b""), datetime(2026, 2, 1, tzinfo=UTC))[0]
    assert other_day.fingerprint(sources) != before
    assert raw_events.fingerprint(sources) == before
    (copy / "simulators/coupon.py").write_text("")
    assert raw_events.fingerprint(sources) != before
    shutil.copy(settings.PROJECT / "simulators/coupon.py", copy / "simulators/coupon.py")


def test_imports_are_found_wherever_they_are_in_the_code():
    modules = imports("import a.b as c\nif x:\n    from d import e, f\ndef g():\n    class H:\n        import i.j\n")
    assert modules == {"a.b", "d", "d.e", "d.f", "i.j"}
    assert imports('import_module("a.b")\nimportlib.import_module(f"views.{name}")') == {
        "a.b", *(f"views.{domain}" for domain in DOMAINS)
    }  # fmt: skip


@pytest.mark.parametrize("name", ["name", 'f"{room}.coupon"', 'f"views_{domain}"', '"views." + domain'])
def test_a_dynamic_import_that_cannot_be_read_is_an_error(name: str):
    with pytest.raises(ValueError, match=r"cannot read which module import_module.*Write the name"):
        imports(f"import_module({name})")


def test_a_module_brings_its_packages_and_their_data_but_no_other_package(tmp_path: Path):
    for name in ("a/__init__.py", "a/b/__init__.py", "a/b/c.py", "a/page.html", "a/parts/x.sql", "a/d/__init__.py",
                 "a/d/y.html", "a/README.md", "a/__pycache__/z.pyc", "a/.hidden", "feature_repo/e.py"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("import e, pandas, feast.types" if name == "a/b/c.py" else "")
    assert [*Sources(tmp_path).files("a.b.c")] == [
        "a/__init__.py", "a/b/__init__.py", "a/b/c.py", "a/page.html", "a/parts/x.sql", "feature_repo/e.py"
    ]  # fmt: skip


def test_the_repository_is_every_module_below_it_and_what_its_yaml_names():
    sources = Sources(settings.PROJECT)
    files = set(sources.files(REPOSITORY))
    below = (file.relative_to(settings.PROJECT).as_posix() for file in settings.FEATURE_REPO.rglob("*.py"))
    assert set(below) <= files
    assert {FEATURE_STORE} | {f for f in our_files() if f.endswith("/online.py")} <= set(sources.files(FEATURE_STORE))
    assert not any(f.startswith("feature_repo/views") for f in sources.files(FEATURE_STORE))
