"""What a root holds is for its owner and group only, and a column of hashes takes nothing else."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from fake import shelve
from feast import FileSource
from pydantic import ValidationError
from small import DRIVER, NOON, repository, table, view

import generate_data
from app import create_app
from errors import BadInput
from exact_stores.parquet_append import append_to_folder
from features.domains import secret_patterns
from features.identifiers import HASH, keyed_hash
from features.onboarding import DRIVERS
from jobs import sql
from jobs.raw.relations import open_rows
from web.vectors import _row_model

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 31, tzinfo=UTC)
SSN = "512-34-8765"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """A process that lets everybody read its files."""
    before = os.umask(0)
    yield
    os.umask(before)


def readable_by_others(root: Path) -> list[str]:
    return [str(path) for path in root.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o007]


def test_what_a_command_writes_is_for_owner_and_group_only(tmp_path: Path):
    root = tmp_path / "root"
    arguments = ["--domain=catalog", "--shop-days=1", "--products=12"]
    assert CliRunner(env={"RISK_DATA": str(root)}).invoke(generate_data.main, arguments).exit_code == 0
    assert list(root.rglob("*.parquet"))
    assert readable_by_others(tmp_path) == []


def test_what_the_service_writes_is_for_owner_and_group_only(fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    client = create_app(fake, clock=lambda: NOW).test_client()
    shelve("daily")
    assert client.get("/daily-risk-decision/1001/").status_code == 200
    assert list((tmp_path / "root/decisions").iterdir())
    assert readable_by_others(tmp_path) == []


def test_a_version_of_a_model_is_for_owner_and_group_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A notebook writes it, and is no process of ours."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    shelve("daily")
    assert len(list((tmp_path / "root").rglob("*.*"))) > 4
    assert readable_by_others(tmp_path) == []


def test_what_the_stores_write_is_for_owner_and_group_only(tmp_path: Path):
    store = repository(
        tmp_path / "root",
        online="exact_stores.online.WideSqliteOnlineStore",
        offline="exact_stores.offline.AsofDuckDBOfflineStore",
        registry={"registry_store_type": "exact_stores.registry.RiskDataRegistryStore"},
    )
    (tmp_path / "root").chmod(0o700)
    folder = tmp_path / "root/rows"
    append_to_folder(folder, table(created=[NOON]), None)
    source = FileSource(path=str(folder), timestamp_field="event_timestamp", created_timestamp_column="created")
    trips = view(tmp_path, name="trips", source=source)
    store.apply([DRIVER, trips])
    row = pd.DataFrame([{"driver_id": 1, "trips": 10, "event_timestamp": NOON, "created": NOON}])
    store.write_to_online_store("trips", row)
    store.write_to_offline_store("trips", row)
    assert len(list(folder.glob("*.parquet"))) == 2
    assert {path.name for path in (tmp_path / "root").glob("*")} >= {"online.db", "online.db-wal", "small.registry"}
    assert readable_by_others(tmp_path) == []


def drivers(tmp_path: Path, suffix: str, **changes: str) -> Path:
    file = tmp_path / f"drivers{suffix}"
    row = {"driver_id": 1, "ssn": keyed_hash("ssn", "512348765", b"key"), "dl": keyed_hash("dl", "D1", b"key")}
    frame = pd.DataFrame([{**row, "event_timestamp": NOW, "created": NOW, **changes}])
    frame.to_csv(file, index=False) if suffix == ".csv" else frame.to_parquet(file)
    return file


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(("column", "secret"), [("ssn", SSN), ("ssn", "512348765"), ("dl", "D1234567")])
def test_a_secret_in_a_column_of_hashes_is_refused_and_never_shown(
    tmp_path: Path, suffix: str, column: str, secret: str
):
    with sql.connect() as connection, pytest.raises(BadInput, match=f"{column}: 1 row is not like") as refused:
        open_rows(connection, DRIVERS, [drivers(tmp_path, suffix, **{column: secret})], NOW, None)
    assert secret not in refused.value.message


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_of_hashes_takes_what_the_service_and_the_generator_store(tmp_path: Path, suffix: str):
    with sql.connect() as connection:
        assert open_rows(connection, DRIVERS, [drivers(tmp_path, suffix)], NOW, None).rows == 1


def test_a_secret_as_a_key_of_a_request_is_refused_and_never_shown():
    assert secret_patterns() == {"ssn": HASH, "dl": HASH}
    entity = _row_model((("ssn", "STRING"),))
    entity.model_validate({"ssn": keyed_hash("ssn", "512348765", b"key")})
    with pytest.raises(ValidationError) as refused:
        entity.model_validate({"ssn": SSN})
    assert SSN not in refused.value.errors(include_input=False, include_url=False)[0]["msg"]
