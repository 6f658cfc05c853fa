"""The profile of AWS on a server that answers as DynamoDB and S3 do."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from engines.need import need
from feast import FeatureStore, FeatureView, Field, FileSource
from feast.types import Int64
from small import DRIVER, NOON, SECOND, frame, repository, trips, view

import settings

pytestmark = [pytest.mark.slow, pytest.mark.engine]
BUCKET = "risk-bucket"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the server answers. It forgets everything at the end."""
    need(modules=("moto", "boto3", "s3fs"))
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    for name, value in {
        "AWS_ENDPOINT_URL": url, "FEAST_S3_ENDPOINT_URL": url, "AWS_REGION": "eu-central-1", "RISK_BUCKET": BUCKET,
        "AWS_DEFAULT_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
        "RISK_STORE": "feature_repo/feature_store.aws.yaml",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    location = {"LocationConstraint": "eu-central-1"}
    boto3.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=location)
    yield url
    requests.post(f"{url}/moto-api/reset", timeout=60)
    server.stop()


def test_the_registry_lies_in_s3_and_the_features_in_dynamodb(endpoint: str, tmp_path: Path):
    store = FeatureStore(str(settings.FEATURE_REPO), fs_yaml_file=settings.feature_store())
    store.apply([DRIVER, view(tmp_path)])
    frame((1, NOON, NOON, 10), (2, NOON, NOON, 20)).to_parquet(tmp_path / "rows.parquet")
    store.materialize(NOON - SECOND, NOON + SECOND)
    assert trips(store, 1, 2, 3) == [10, 20, None]
    other = FeatureStore(str(settings.FEATURE_REPO), fs_yaml_file=settings.feature_store())
    assert [applied.name for applied in other.list_feature_views()] == ["stats"]
    assert trips(other, 2) == [20]


def test_point_in_time_features_come_from_parquet_in_s3(endpoint: str, tmp_path: Path):
    import s3fs

    with s3fs.S3FileSystem(endpoint_url=endpoint).open(f"{BUCKET}/rows.parquet", "wb") as file:
        frame((1, NOON, NOON, 10), (1, NOON + SECOND, NOON, 11)).to_parquet(file)
    source = FileSource(
        path=f"s3://{BUCKET}/rows.parquet", timestamp_field="event_timestamp", created_timestamp_column="created",
        s3_endpoint_override=endpoint,
    )  # fmt: skip
    store = repository(tmp_path, offline="file")
    stats = FeatureView(
        name="stats", entities=[DRIVER], source=source, schema=[Field(name="trips", dtype=Int64)], ttl=timedelta(1)
    )
    store.apply([DRIVER, stats])
    entities = frame((1, NOON, NOON, 0), (1, NOON + 2 * SECOND, NOON, 0))[["driver_id", "event_timestamp"]]
    answer = store.get_historical_features(entities, ["stats:trips"]).to_df().sort_values("event_timestamp")
    assert answer["trips"].tolist() == [10, 11]
