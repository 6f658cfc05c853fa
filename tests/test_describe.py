"""`describe` and `list-pipelines`: what they print is what there is, and the printed query computes the table."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from made_world import generate

import settings
from features import DOMAINS
from features.domains import risks, tables
from features.utc import midnight
from jobs import sql
from jobs.batch.table import compute
from jobs.commands import jobs
from jobs.pipelines import pipelines
from jobs.raw import places
from jobs.raw.relations import open_events
from jobs.world.marker import World
from simulators import Size

pytestmark = pytest.mark.slow

TABLES = {table.name: table for table in tables()}
SIZE = Size(drivers=150, users=150, merchants=150, order_days=40, coupon_days=1, products=12, shop_days=20)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with little of everything."""
    root = tmp_path_factory.mktemp("describe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(root))
        place = settings.root()
        yesterday = datetime.now(UTC) - timedelta(days=1)
        generate(place, World(7, SIZE, settings.hash_key()), midnight(yesterday), DOMAINS)
    return root


@pytest.fixture(autouse=True)
def root(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DATA", str(data))


def job(*arguments: str, code: int = 0) -> str:
    """What `python -m jobs` prints, in this process."""
    result = CliRunner().invoke(jobs, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_every_feature_table_and_dataset_is_listed():
    names = [line.split()[0] for line in job("list-pipelines").splitlines()]
    assert names == list(pipelines(settings.root()))
    assert set(names) == {f"feature_store.{name}" for name in TABLES} | {f"dataset.{name}" for name in risks()}


@pytest.mark.parametrize("name", pipelines(settings.root()))
def test_json_describes_every_feature_and_the_sink(name: str):
    pipeline = pipelines(settings.root())[name]
    described = json.loads(job("describe", name, "--json"))
    assert [feature["name"] for feature in described["features"]] == [f.name for f in pipeline.features]
    assert described["sink"] == str(pipeline.sink)
    assert {"name", "domain", "description", "entity", "sources", "after"} <= described.keys()


def test_a_feature_is_described_with_its_type_window_and_unit():
    described = json.loads(job("describe", "feature_store.user_orders", "--json"))
    (mean,) = [feature for feature in described["features"] if feature["name"] == "orders_amount_mean_7d"]
    assert {key: mean[key] for key in ("dtype", "window", "unit")} == {"dtype": "float", "window": "7 d", "unit": "USD"}
    text = job("describe", "feature_store.user_orders")
    (line,) = [line for line in text.splitlines() if line.startswith("  orders_amount_mean_7d")]
    assert line.split()[1:5] == ["float", "7", "d", "USD"]


@pytest.mark.parametrize("name", TABLES)
def test_the_printed_query_computes_the_rows_of_the_table(name: str):
    table, now = TABLES[name], midnight(datetime.now(UTC))
    compute(settings.root(), table, now, now)
    files = sorted(settings.root().feature_table(name).rglob("*.parquet"))
    written = pd.concat(map(pd.read_parquet, files)).drop(columns="created")
    query = job("describe", f"feature_store.{name}", "--sql")
    assert query.startswith(f"-- {name}: {table.description}\n")
    with sql.connect() as connection:
        open_events(connection, table, places.raw_files(settings.root(), table.source.name), now)
        printed = connection.execute(query).df()
    columns = ["event_timestamp", table.key]
    written, printed = (frame.sort_values(columns, ignore_index=True)[list(written)] for frame in (written, printed))
    assert len(written) > 20
    pd.testing.assert_frame_equal(printed, written, check_dtype=False, check_exact=True)
