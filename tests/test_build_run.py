"""The steps of the pipeline import no module that their fingerprints leave out."""

import json
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pipelines import SIZE
from processes import environment, run

import settings
from jobs.build.imports import Sources
from jobs.build.plan import steps
from jobs.world.marker import World
from root import Root
from serving import acts

pytestmark = pytest.mark.slow

#: Prints the work of every step.
WORK = """
import json, pickle
from datetime import UTC, datetime
import settings
from pipelines import SIZE
from jobs.build.plan import steps
from jobs.world.marker import World
world = World(7, SIZE, settings.hash_key())
plan = steps(settings.root(), world, datetime.now(UTC))
print(json.dumps({step.name: pickle.dumps(step.work).hex() for step in plan}))
"""
#: Does one step in a process of its own, and prints the files of the modules that the process then has.
DO = """
import json, pickle, sys
before = set(sys.modules)
summary = pickle.loads(bytes.fromhex(sys.argv[1]))(lambda part: None)
loaded = [getattr(module, "__file__", None) for name, module in sys.modules.items() if name not in before]
print(json.dumps(sorted(filter(None, loaded))))
"""


@pytest.fixture(scope="module")
def root(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A root to work on."""
    root = Root(tmp_path_factory.mktemp("build") / "root")
    shutil.copytree(world, root.path, symlinks=True)
    return root


@pytest.fixture(scope="module")
def work_of(root: Root) -> dict[str, str]:
    """Step → its work, pickled. A process of its own makes the steps: in this one, the definitions hold what other
    tests worked out of them."""
    env = environment(RISK_DATA=root) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return dict(json.loads(run([sys.executable, "-c", WORK], env=env).stdout))


def loaded_by(work: str, root: Root) -> set[str]:
    """Do a step's work, and give the files of ours that it imported, by their paths below the project."""
    done = run([sys.executable, "-c", DO, work], env=environment(RISK_DATA=root))
    files = map(Path, json.loads(done.stdout.splitlines()[-1]))
    environment_folder = Path(sys.prefix).resolve()
    ours = (f for f in files if f.is_relative_to(settings.PROJECT) and not f.is_relative_to(environment_folder))
    return {file.relative_to(settings.PROJECT).as_posix() for file in ours}


#: Step → a module that writes down that it happened. No table depends on it.
RECORDS = {"raw events": acts.__name__}


@pytest.mark.parametrize(
    "name",
    [
        "feast apply", "stream loyalty", "feast materialize-incremental", "train coupon", "score daily",
        "batch features", "raw events",
    ],
)  # fmt: skip
def test_a_step_loads_no_module_that_its_fingerprint_leaves_out(root: Root, work_of: dict[str, str], name: str):
    now = datetime.now(UTC)
    (step,) = [step for step in steps(root, World(7, SIZE, settings.hash_key()), now) if step.name == name]
    sources, work = Sources(settings.PROJECT), step.work.func.__module__
    loaded = loaded_by(work_of[name], root)
    assert f"{work.replace('.', '/')}.py" in loaded
    records = sources.files(RECORDS[name]) if name in RECORDS else ()
    assert loaded - {*sources.files(work, *step.code), *records} == set()
