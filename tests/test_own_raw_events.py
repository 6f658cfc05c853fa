"""The raw events of a domain without a simulator are the user's own: taken as they are, and named where they lack."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

import features.domains
import generate_data
import settings
from cli.exit_codes import ExitCode
from errors import NoData
from features import DOMAINS
from features.domains import raw_tables_of, simulated
from jobs.build.plan import own_domains, steps
from jobs.build.run import run
from jobs.raw import places
from jobs.world.marker import World
from root import Root
from simulators import Size

pytestmark = pytest.mark.slow

DAY = datetime(2026, 1, 31, tzinfo=UTC)
SIZE = Size(shop_days=2, products=12)


@pytest.fixture
def only_simulated(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let only the given domains have a simulator."""
    find_spec: Callable[[str], Any] = features.domains.find_spec

    def only(*domains: str) -> None:
        names = {f"simulators.{domain}" for domain in domains}
        monkeypatch.setattr(features.domains, "find_spec", lambda name: find_spec(name) if name in names else None)

    return only


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    return settings.root()


def bring(root: Root, *tables: str) -> dict[Path, bytes]:
    """Put a file where each table has its raw events."""
    root.raw.mkdir(parents=True)
    for table in tables:
        pd.DataFrame({"mine": [1]}).to_parquet(root.raw / f"{table}.parquet")
    return {file: file.read_bytes() for file in root.raw.iterdir()}


def test_every_domain_of_ours_has_a_simulator_and_raw_tables():
    assert simulated() == DOMAINS
    assert all(raw_tables_of(domain) for domain in DOMAINS)


def test_what_the_user_brought_is_taken_beside_what_is_generated(root: Root, only_simulated: Callable[..., None]):
    only_simulated("catalog")
    own = [domain for domain in DOMAINS if domain != "catalog"]
    mine = bring(root, *(table for domain in own for table in raw_tables_of(domain)))
    assert own_domains(root) == own
    first = steps(root, World(7, SIZE, b""), DAY)[0]
    assert first.name == "raw events"
    first.work(lambda part: None)
    assert {file: file.read_bytes() for file in mine} == mine
    assert not places.missing_tables(root, raw_tables_of("catalog"))


def test_without_any_simulator_no_step_generates_anything(root: Root, only_simulated: Callable[..., None]):
    only_simulated()
    bring(root, *(table for domain in DOMAINS for table in raw_tables_of(domain)))
    assert own_domains(root) == list(DOMAINS)
    assert steps(root, World(7, SIZE, b""), DAY)[0].name == "batch features"


@pytest.mark.parametrize("simulators", [(), ("catalog",)])
def test_a_pipeline_names_the_raw_events_that_lack_and_what_brings_them(
    root: Root, only_simulated: Callable[..., None], simulators: tuple[str, ...]
):
    only_simulated(*simulators)
    bring(root, *raw_tables_of("onboarding"))
    table, *_ = raw_tables_of("chargeback")
    advice = rf"'chargeback' has no simulator.*lacks.*{table}.*Import them: python -m jobs import {table} FILE"
    with pytest.raises(NoData, match=advice):
        run(root, World(7, SIZE, b""), DAY)
    assert {file.stem for file in root.raw.iterdir()} == set(raw_tables_of("onboarding"))


def test_an_offline_log_alone_is_raw_events_too(root: Root):
    (table,) = raw_tables_of("coupon")
    assert places.missing_tables(root, [table]) == [table]
    log = root.offline_log(table) / "year=2026/month=01/day=01/1-1.parquet"
    log.parent.mkdir(parents=True)
    log.touch()
    assert places.missing_tables(root, [table]) == []


def test_the_advice_names_the_generator_only_where_it_can_help(root: Root, only_simulated: Callable[..., None]):
    only_simulated("catalog")
    with pytest.raises(NoData) as own:
        places.history_files(root, "orders")
    assert own.value.message.endswith("Import yours: python -m jobs import orders FILE")
    only_simulated("chargeback")
    with pytest.raises(NoData, match=r"python -m jobs import orders FILE\. For generated ones, run: python generate_d"):
        places.history_files(root, "orders")


def test_generate_data_without_any_simulator_says_what_to_do(root: Root, only_simulated: Callable[..., None]):
    only_simulated()
    result = CliRunner().invoke(generate_data.main, [])
    assert result.exit_code == ExitCode.FAILED
    assert "No domain has a simulator. Write one, or import your own: python -m jobs import TABLE" in result.stderr
    assert not root.path.exists()
