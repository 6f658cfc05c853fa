"""A root belongs to one hash key: another key would make everybody somebody else."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake import Fake
from made_world import DAY, ONLY, WORLD, contents, generate, invoke, put

import generate_data
import serve
import settings
from app import create_app
from cli.exit_codes import ExitCode
from errors import BadSetting
from jobs.commands import jobs as commands
from root import Root

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A root with generated events."""
    root = Root(tmp_path / "root")
    generate(root, WORLD, DAY, domains=("coupon", "catalog"))
    return root


@pytest.mark.parametrize("arguments", ["list-pipelines", "describe dataset.coupon", "execute --all", "train coupon",
    "score daily", "parity coupon", "stream all --once", "pipeline"])  # fmt: skip
def test_every_command_refuses_a_root_of_another_hash_key(root: Root, arguments: str):
    before = contents(root)
    run = CliRunner(env={"RISK_DATA": str(root), "RISK_HASH_KEY": "another"}).invoke
    result = run(commands, arguments.split())
    assert (result.exit_code, result.stderr.split(":")[0]) == (ExitCode.FAILED, "bad_setting")
    assert f"RISK_HASH_KEY is not the key of {root}" in result.stderr
    assert contents(root) == before


def test_the_service_refuses_a_root_of_another_hash_key(root: Root, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(root))
    monkeypatch.setenv("RISK_HASH_KEY", "another")
    for start in (lambda: create_app(Fake()), lambda: serve.run(create_app, 1, "")):
        with pytest.raises(BadSetting, match="RISK_HASH_KEY is not the key of"):
            start()
    monkeypatch.setenv("RISK_HASH_KEY", "key")
    create_app(Fake())


def test_a_root_belongs_to_the_key_of_the_first_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    monkeypatch.setenv("RISK_HASH_KEY", "first")
    put(Root(tmp_path).hash_key, "")  # a writer was killed
    create_app(Fake())
    monkeypatch.setenv("RISK_HASH_KEY", "second")
    with pytest.raises(BadSetting, match="RISK_HASH_KEY is not the key of"):
        create_app(Fake())


def test_a_check_value_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    Root(tmp_path).hash_key.mkdir()
    with pytest.raises(BadSetting, match=r"hash-key cannot be read\. .*this is a folder"):
        settings.root()


@pytest.mark.parametrize("damage", [b"\xff\x00 garbage", b"0" * 63, b"null"])
def test_a_damaged_check_value_is_no_other_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    Root(tmp_path).hash_key.write_bytes(damage)
    with pytest.raises(BadSetting, match="hash-key holds no check value of a hash key"):
        settings.root()


def test_another_hash_key_may_take_a_root_whose_world_is_moved_aside(root: Root):
    assert invoke(generate_data.main, root, *ONLY, RISK_HASH_KEY="another")[0] == ExitCode.FAILED
    assert invoke(generate_data.main, root, *ONLY, "--replace-demo", RISK_HASH_KEY="another")[0] == 0
    assert invoke(generate_data.main, root, *ONLY, RISK_HASH_KEY="another")[0] == 0
    assert invoke(generate_data.main, root, *ONLY, RISK_HASH_KEY="key")[0] == ExitCode.FAILED


def test_neither_the_marker_nor_the_check_value_tells_the_hash_key(root: Root):
    assert b"key" not in root.hash_key.read_bytes()
    assert json.loads(root.generated.read_text())["coupon"]["world"]["key"] == root.hash_key.read_text().strip()
