"""The generator replaces only what it made. What a user, the service or a stream put into a root stays."""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from made_world import DAY, DOMAINS, NEXT_DAY, ONLY, OTHER, WORLD, contents, generate, invoke, put

import generate_data
import jobs.world.generate
from cli.exit_codes import ExitCode
from errors import Busy, NotGenerated
from files import locked
from jobs.world.marker import Marker, World
from root import Root

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Root:
    root = Root(tmp_path_factory.mktemp("made") / "root")
    generate(root, WORLD, DAY, domains=DOMAINS)
    return root


@pytest.fixture
def root(made: Root, tmp_path: Path) -> Root:
    """A root with generated events."""
    shutil.copytree(made.path, tmp_path / "root")
    return Root(tmp_path / "root")


@pytest.mark.parametrize(("world", "day"), [(WORLD, DAY), (WORLD, NEXT_DAY), (OTHER, DAY)])
def test_what_was_generated_is_replaced_on_any_day_and_by_any_world(root: Root, world: World, day: datetime):
    before = contents(root)
    generate(root, world, day, domains=DOMAINS)
    after = contents(root)
    assert before.keys() == after.keys()
    assert Marker.read(root).is_of(world, day.isoformat(), DOMAINS)
    is_same = (world, day) == (WORLD, DAY)
    assert (before["raw/coupon_attempts.parquet"] == after["raw/coupon_attempts.parquet"]) == is_same


FOREIGN = {
    "a file of ours that was changed": lambda root: put(root.raw / "coupon_attempts.parquet"),
    "a CSV file at a table's place": lambda root: put(root.raw / "coupon_attempts.csv"),
    "a folder at a table's place": lambda root: put(root.raw / "coupon_attempts" / "mine.parquet"),
    "a file in a folder of ours": lambda root: put(root.raw / "drivers" / "mine.parquet"),
    "a file deep in a folder of ours": lambda root: put(root.raw / "drivers" / "2026" / "mine.csv"),
    "a name like a sign-up's in another table": lambda root: put(root.raw / "driver_days" / "signed-up-1.parquet"),
    "a link that leads nowhere": lambda root: (root.raw / "coupon_attempts.csv").symlink_to("nowhere"),
}


@pytest.mark.parametrize("day", [DAY, NEXT_DAY])
@pytest.mark.parametrize("spoil", FOREIGN.values(), ids=FOREIGN)
def test_what_was_not_generated_is_refused_and_stays(root: Root, spoil: Callable[[Root], object], day: datetime):
    spoil(root)
    before = contents(root)
    with pytest.raises(NotGenerated, match=r"Nothing was changed\. Set RISK_DATA to another .* --replace-demo"):
        generate(root, WORLD, day, domains=DOMAINS)
    assert contents(root) == before


@pytest.mark.parametrize("name", ["orders.parquet", "orders.csv", "orders/part.parquet", "drivers/mine.parquet"])
def test_raw_events_in_a_root_that_we_did_not_make_are_refused(tmp_path: Path, name: str):
    root = Root(tmp_path)
    put(root.raw / name)
    with pytest.raises(NotGenerated, match=f"{name}, which was not generated"):
        generate(root, WORLD, DAY)
    assert contents(root) == {f"raw/{name}": b"mine"}


def test_raw_events_of_another_table_are_nobodys_obstacle(tmp_path: Path):
    root = Root(tmp_path)
    put(root.raw / "refunds.parquet")
    generate(root, WORLD, DAY, domains=DOMAINS)
    assert contents(root)["raw/refunds.parquet"] == b"mine"


ACCEPTED = [
    "log/coupon_attempts/2026-01-31.jsonl", "events/coupon_attempts/year=2026/month=01/day=31/5-7.parquet",
    "dead_letters/coupon_attempts/5-7.jsonl", "raw/drivers/signed-up-1.parquet",
]  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize("has_marker", [True, False])
def test_what_others_sent_is_never_mixed_with_another_world(root: Root, name: str, has_marker: bool):
    put(root.path / name)
    if not has_marker:
        root.generated.unlink()
    before = contents(root)
    with pytest.raises(NotGenerated, match=name if has_marker else "which"):
        generate(root, OTHER if has_marker else WORLD, DAY, domains=DOMAINS)
    assert contents(root) == before


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_others_sent_stays_when_the_same_world_gets_another_day(root: Root, name: str):
    put(root.path / name)
    generate(root, WORLD, NEXT_DAY, domains=DOMAINS)
    assert contents(root)[name] == b"mine"


def test_another_world_removes_what_was_computed_and_keeps_models_and_decisions(root: Root):
    computed = [
        "features/driver_yesterdays_stats/part.parquet", "datasets/coupon/part.parquet", "streams/coupon.db",
        "streams/coupon.db-wal", "states/device_attempts_state/0-0.parquet", "online.db", "registry.db", "scores.db",
        "materialized",
    ]  # fmt: skip
    kept = ["models/coupon/1/card.json", "decisions/2026-01-31.jsonl", "features/of_mine/part.parquet"]
    for name in computed + kept:
        put(root.path / name)
    generate(root, WORLD, NEXT_DAY, domains=DOMAINS)
    assert {*computed, *kept} <= contents(root).keys()
    generate(root, OTHER, DAY, domains=DOMAINS)
    assert {*kept} == contents(root).keys() & {*computed, *kept}


def test_another_world_waits_for_the_stream_job(root: Root):
    with locked(root.stream_state("coupon").with_suffix(".lock")), pytest.raises(Busy, match="at work on coupon"):
        generate(root, OTHER, DAY, domains=DOMAINS)
    assert Marker.read(root).is_of(WORLD, DAY.isoformat(), DOMAINS)


@pytest.mark.parametrize("world", [WORLD, OTHER])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_generator_that_was_killed_knows_its_files(
    root: Root, world: World, after: int, monkeypatch: pytest.MonkeyPatch
):
    """Killed before the new file has its name, right after that, or before the marker is written."""

    class Killed(BaseException):
        pass

    write = jobs.world.generate.write

    def dying(path: Path, frame: pd.DataFrame, expect: Callable[[str], object]) -> Path:
        def expected(digest: str) -> None:
            if after > 0:
                expect(digest)
            if after < 2:
                raise Killed

        write(path, frame, expected)
        raise Killed

    monkeypatch.setattr(jobs.world.generate, "write", dying)
    with pytest.raises(Killed):
        generate(root, world, NEXT_DAY, domains=DOMAINS)
    assert not Marker.read(root).is_of(world, NEXT_DAY.isoformat(), DOMAINS)
    monkeypatch.undo()
    for next_world in (WORLD, world):
        generate(root, next_world, NEXT_DAY, domains=DOMAINS)
        assert Marker.read(root).is_of(next_world, NEXT_DAY.isoformat(), DOMAINS)


def test_a_copy_of_a_root_is_ours_too(root: Root, tmp_path: Path):
    shutil.copytree(root.path, tmp_path / "copy", copy_function=shutil.copyfile)
    generate(Root(tmp_path / "copy"), WORLD, NEXT_DAY, domains=DOMAINS)


def test_a_lost_file_is_generated_again(root: Root):
    (root.raw / "coupon_attempts.parquet").unlink()
    assert not Marker.read(root).is_of(WORLD, DAY.isoformat(), DOMAINS)
    generate(root, WORLD, DAY, domains=DOMAINS)
    assert Marker.read(root).is_of(WORLD, DAY.isoformat(), DOMAINS)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"coupon": 1}', '{"coupon": {"world": 1}}'])
def test_a_damaged_marker_knows_nothing(root: Root, text: str):
    root.generated.write_text(text)
    before = contents(root)
    with pytest.raises(NotGenerated, match="which was not generated"):
        generate(root, WORLD, NEXT_DAY, domains=DOMAINS)
    assert contents(root) == before


@pytest.fixture
def old(root: Root) -> Root:
    """As an older version left it: its marker knew no digests, and was written last."""
    root.generated.unlink()
    root.hash_key.unlink()
    put(root.raw / "world", WORLD.old_fingerprint())
    return root


def test_a_root_of_an_older_version_goes_on_and_its_files_stay_aside(old: Root):
    put(old.raw / "drivers" / "signed-up-1.parquet")
    before = contents(old)
    generate(old, WORLD, NEXT_DAY, domains=DOMAINS)
    after = contents(old)
    moved = {name.split("/", 2)[2]: text for name, text in after.items() if name.startswith("replaced/")}
    before_generated = {name: text for name, text in before.items() if text != b"mine" and name != "raw/world"}
    assert moved == before_generated
    assert after["raw/drivers/signed-up-1.parquet"] == b"mine"
    generate(old, WORLD, DAY, domains=DOMAINS)
    assert len(list(old.replaced.iterdir())) == 1


def test_a_file_newer_than_the_marker_of_an_older_version_is_refused(old: Root):
    file = put(old.raw / "coupon_attempts.parquet")
    with pytest.raises(NotGenerated, match=r"coupon_attempts\.parquet, which was not generated"):
        generate(old, WORLD, NEXT_DAY, domains=DOMAINS)
    assert file.read_text() == "mine"


def test_another_world_than_that_of_an_older_version_loses_nothing(old: Root):
    put(old.path / ACCEPTED[0])
    with pytest.raises(NotGenerated, match=ACCEPTED[0]):
        generate(old, OTHER, DAY, domains=DOMAINS)


def test_the_command_refuses_a_users_file_and_moves_it_aside_when_told(tmp_path: Path):
    root = Root(tmp_path)
    put(root.raw / "coupon_attempts.csv")
    code, output = invoke(generate_data.main, root, *ONLY)
    assert (code, output.split(":")[0]) == (ExitCode.FAILED, "not_generated")
    assert contents(root).keys() <= {"raw/coupon_attempts.csv", "pipeline.lock"}
    code, output = invoke(generate_data.main, root, "--replace-demo", *ONLY)
    (folder,) = root.replaced.iterdir()
    assert (code, output.splitlines()[0]) == (0, f"Moved what was in {root} to {folder}")
    assert (folder / "raw/coupon_attempts.csv").read_text() == "mine"
    assert invoke(generate_data.main, root, *ONLY)[0] == 0


def test_replacing_moves_everything_of_the_world_and_deletes_nothing(root: Root):
    for name in ACCEPTED:
        put(root.path / name)
    put(root.path / "models/coupon/1/card.json")
    before = contents(root)
    code, _ = invoke(generate_data.main, root, "--replace-demo", "--seed=8", RISK_HASH_KEY="key")
    assert code == 0
    (folder,) = root.replaced.iterdir()
    kept = {name: text for name, text in contents(root).items() if not name.startswith(("replaced/", "raw/", "world"))}
    moved = contents(Root(folder))
    assert {**moved, "hash-key": kept["hash-key"], "models/coupon/1/card.json": b"mine"} == before
    assert kept.keys() == {"hash-key", "models/coupon/1/card.json", "pipeline.lock"}


def test_a_second_generator_is_refused_while_one_is_at_work(root: Root):
    with locked(root.pipeline_lock):
        assert invoke(generate_data.main, root, RISK_HASH_KEY="key")[0] == ExitCode.BUSY
