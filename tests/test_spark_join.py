"""The point-in-time join on Spark gives the rows of our join on DuckDB: nothing that was not known at the time."""

from datetime import timedelta

import numpy as np
import offline_world
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engines import spark as engines
from engines.need import need
from offline_world import DRIVER, OURS, at, entity_frame, repository, row, source, view, write

need("java", modules=("pyspark",))
pytestmark = [pytest.mark.slow, pytest.mark.engine]
ON_SPARK = "exact_stores.spark_offline.SparkAsofOfflineStore"
ENTITIES = 4000


@pytest.fixture(scope="module", autouse=True)
def spark(tmp_path_factory):
    """The Spark that the stores find in this process."""
    from jobs.batch.spark import session

    with engines.options(tmp_path_factory.mktemp("spark")) as options:
        yield session.opened(options)


@pytest.fixture(scope="module")
def corrected(tmp_path_factory):
    """Two files of rows in up to three versions each. Some say not when they were created."""
    random = np.random.default_rng(5)
    rows = [
        row(int(driver), int(random.integers(1_000_000)), int(minute), created=created)
        for driver, minute in random.integers([0, -500], [40, 500], (1500, 2))
        for created in [
            None if random.random() < 0.05 else at(int(minute + random.integers(400)))
            for version in range(random.integers(1, 4))
        ]
    ]
    folder = tmp_path_factory.mktemp("stats")
    write(folder / "a.parquet", rows[::2])
    write(folder / "b.parquet", rows[1::2])
    return folder


def stores(tmp_path, file_source, **settings):
    """The same view on DuckDB and on Spark."""
    for number, kind in enumerate([OURS, ON_SPARK]):
        store = repository(tmp_path / str(number), kind)
        store.apply([DRIVER, view(file_source, **settings)])
        yield store


def entities():
    """An entity frame in no order, with missing keys and timestamps."""
    pairs = np.random.default_rng(6).integers([0, -500], [45, 900], (ENTITIES, 2))
    return entity_frame(
        *(
            (None if number % 97 == 0 else int(driver), pd.NaT if number % 89 == 0 else at(int(minute)))
            for number, (driver, minute) in enumerate(pairs)
        )
    )


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(minutes=45)])
@pytest.mark.parametrize("is_filtered", [False, True])
def test_spark_joins_what_duckdb_joins(ttl, is_filtered, corrected, tmp_path):
    file_source = source(corrected, created_timestamp_column="created")
    duckdb, spark = (
        store.get_historical_features(entities(), ["stats:trips"], filter_by_created_timestamp=is_filtered).to_arrow()
        for store in stores(tmp_path, file_source, ttl=ttl)
    )
    assert spark.equals(duckdb)
    assert 0 < spark["trips"].null_count < ENTITIES


def test_no_correction_leaks_into_the_past_on_spark(tmp_path):
    rows = [offline_world.created_row(1, 10 + version, 0, created) for version, created in enumerate((1, 30, 60))]
    file_source = source(write(tmp_path / "stats.parquet", rows), created_timestamp_column="created")
    _, store = stores(tmp_path, file_source)
    frame = entity_frame(*[(1, at(minute)) for minute in (0, 1, 29, 30, 59, 60, 999, -1)])
    trips = store.get_historical_features(frame, ["stats:trips"]).to_arrow()["trips"].to_pylist()
    assert trips == [10, 10, 10, 11, 11, 12, 12, None]


def test_an_entity_frame_of_sql_stays_on_spark(corrected, tmp_path):
    frame = entities().dropna().astype({"driver_id": "int64"}).assign(n=lambda frame: range(len(frame)))
    file = tmp_path / "entities.parquet"
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), file, coerce_timestamps="us")
    duckdb, spark = stores(tmp_path, source(corrected, created_timestamp_column="created"))
    job = spark.get_historical_features(f"SELECT * FROM parquet.`{file}`", ["stats:trips"])
    expected = duckdb.get_historical_features(frame, ["stats:trips"]).to_arrow()
    assert job.to_arrow().sort_by("n")["trips"].equals(expected["trips"])
    rows = {(r["n"], r["trips"]) for r in job.to_spark_df().select("n", "trips").collect()}
    assert rows == set(zip(expected["n"].to_pylist(), expected["trips"].to_pylist(), strict=True))
