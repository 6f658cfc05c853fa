"""What the steps of the pipeline really import, and what a second pipeline on the same root is told."""

import json
import pickle
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import SIZE
from processes import environment, jobs

import settings
from files import locked
from jobs.build.imports import Sources
from jobs.build.plan import steps
from jobs.build.steps import Step
from root import KEPT, WORLD, Root

pytestmark = pytest.mark.slow

#: Does one step in a process of its own, and prints the files of the modules that the process then has.
DO = """
import json, pickle, sys
before = set(sys.modules)
summary = pickle.load(sys.stdin.buffer)(lambda part: None)
loaded = [getattr(module, "__file__", None) for name, module in sys.modules.items() if name not in before]
print(json.dumps(sorted(filter(None, loaded))))
"""


@pytest.fixture(scope="module")
def root(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A root to work on."""
    root = Root(tmp_path_factory.mktemp("build") / "root")
    shutil.copytree(world, root.path, symlinks=True)
    return root


def loaded_by(step: Step, root: Root) -> set[str]:
    """Do the step, and give the files of ours that it imported, by their paths below the project."""
    done = subprocess.run(
        [sys.executable, "-c", DO],
        input=pickle.dumps(step.work),
        cwd=settings.PROJECT,
        env=environment(RISK_DATA=root),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    files = map(Path, json.loads(done.stdout.splitlines()[-1]))
    environment_folder = Path(sys.prefix).resolve()
    ours = (f for f in files if f.is_relative_to(settings.PROJECT) and not f.is_relative_to(environment_folder))
    return {file.relative_to(settings.PROJECT).as_posix() for file in ours}


@pytest.mark.parametrize(
    "name",
    [
        "feast apply", "stream loyalty", "feast materialize-incremental", "train coupon", "score daily",
        "batch features", "raw events",
    ],
)  # fmt: skip
def test_a_step_loads_no_module_that_its_fingerprint_leaves_out(root: Root, name: str):
    now = datetime.now(UTC)
    (step,) = [step for step in steps(root, 7, SIZE, now) if step.name == name]
    derived = Sources(settings.PROJECT).files(step.work.func.__module__, *step.code)
    loaded = loaded_by(step, root)
    assert f"{step.work.func.__module__.replace('.', '/')}.py" in loaded
    assert loaded - set(derived) == set()


def test_a_second_pipeline_exits_with_3_says_why_and_changes_nothing(tmp_path: Path):
    root = Root(tmp_path / "root")
    with locked(root.pipeline_lock):
        ended = jobs(root.path, "pipeline", code=3)
    assert ended.stderr == (
        f"busy: Another pipeline is at work on {root}. Wait for it, or set RISK_DATA to another root.\n"
    )
    assert ended.stdout == ""
    assert [path.name for path in root.path.iterdir()] == ["pipeline.lock"]


def test_every_entry_of_a_root_belongs_to_its_world_or_is_kept(world: Path):
    entries = {path.name for path in world.iterdir()}
    of_world = {path.name for path in Root(world).world()}
    assert {"raw", "features", "states", "streams", "registry.db", "online.db", "scores.db", "materialized"} <= of_world
    assert entries - of_world - set(KEPT) == set()
    assert (world / "raw" / "world").exists()
    assert not {name.rstrip("*") for name in WORLD} & set(KEPT)
