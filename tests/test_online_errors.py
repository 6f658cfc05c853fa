"""An invalid write or read is refused with its cause and its remedy, and changes nothing."""

import os
import shutil
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from feast import FeatureStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.value_type import ValueType
from processes import exit_code, forked
from small import DRIVER, NOON, OURS, SECOND, feature_store, store_with_trips, table, trips, view

from exact_stores.exact_online import ExactOnlineStore, OnlineStoreError
from exact_stores.keys import entity_key

pytestmark = pytest.mark.slow
#: What can happen to a file.
SQLITE = pytest.mark.parametrize("kind", ["wide"], indirect=True)


@pytest.fixture(params=OURS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(tmp_path: Path, kind: str) -> FeatureStore:
    return store_with_trips(tmp_path, kind)


@pytest.fixture
def online(store: FeatureStore) -> ExactOnlineStore:
    return store._get_provider().online_store


def test_an_invalid_key_is_refused_with_the_expected_types():
    key = entity_key({"driver_id": ValueType.INT64})
    for values in [(None,), ("1",), (2**63,)]:
        with pytest.raises(TypeError, match=r"Give driver_id \(INT64\)"):
            key(*values)
    with pytest.raises(TypeError, match="'flag' is of type BOOL"):
        entity_key({"flag": ValueType.BOOL})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"event_timestamp": [NOON, None]}, "1 of 2 rows of the view 'stats' have no event_timestamp. Drop these rows"),
        ({"event_timestamp": ["2026-03-01", "now"]}, "'event_timestamp' is string. Give it as an Arrow timestamp"),
        ({"driver_id": [1, None]}, "1 of 2 rows of the view 'stats' have no driver_id. Drop these rows"),
    ],
)
def test_an_invalid_row_is_named_and_nothing_of_its_batch_is_kept(columns, message, store, online):
    rows = {"driver_id": [1, 2], "trips": [10, 20], "event_timestamp": [NOON, NOON]} | columns
    with pytest.raises((ValueError, TypeError), match=message):
        online.write_table(store.config, view(Path()), pa.table(rows))
    assert trips(store, 1, 2) == [None, None]


def test_a_missing_column_is_named(store, online):
    with pytest.raises(ValueError, match=r"\['trips'\] of 'stats' are missing. The table has \['driver_id'"):
        online.write_table(store.config, view(Path()), table().drop_columns("trips"))


def test_a_value_of_an_undeclared_type_is_refused(store, online):
    key = EntityKey(join_keys=["driver_id"], entity_values=[Value(int64_val=1)])
    with pytest.raises(TypeError, match="'trips' is declared INT64, and its value is a string_val"):
        online.online_write_batch(
            store.config, view(Path()), [(key, {"trips": Value(string_val="x")}, NOON, None)], None
        )


@SQLITE
def test_a_view_that_was_not_applied_says_what_to_run(store, online, tmp_path):
    with pytest.raises(OnlineStoreError, match=r"no table 'rows/small/other'\. Run: feast apply"):
        online.reader(store.config, view(Path(), name="other"), ["trips"])
    empty = feature_store(tmp_path / "empty", "wide")
    with pytest.raises(OnlineStoreError, match=r"There is no .*online\.db\. Run: feast apply"):
        empty._get_provider().online_store.reader(empty.config, view(Path()), ["trips"])
    assert not (tmp_path / "empty" / "online.db").exists()


@SQLITE
def test_a_full_disk_keeps_the_old_values_and_says_what_to_do(store, online):
    online.write_table(store.config, view(Path()), table())
    with online._file(store.config).reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    rows = table(driver_id=range(9999), trips=range(9999), event_timestamp=[NOON + SECOND] * 9999)
    with pytest.raises(OnlineStoreError, match=r"full\. Free space on its disk, then write the batch again"):
        online.write_table(store.config, view(Path()), rows)
    assert trips(store, 1) == [10]


@SQLITE
def test_a_file_that_is_no_sqlite_file_says_what_to_do(store, tmp_path):
    other = feature_store(tmp_path / "other", "wide")
    (tmp_path / "other" / "online.db").write_text("no database, " * 100)
    with pytest.raises(OnlineStoreError, match=r"not a database\. Move it away"):
        other.apply([DRIVER, view(Path())])


@SQLITE
def test_a_folder_in_the_place_of_the_file_is_no_question_of_permission(store):
    path = Path(store.config.online_store.path)
    path.unlink()
    path.mkdir()
    with pytest.raises(OnlineStoreError, match="This is a folder: move it away"):
        trips(store, 1)


@SQLITE
def test_a_read_only_file_says_what_to_do(store, online):
    """Root may write everywhere, so a child process writes as another user."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy2(store.config.online_store.path, Path(folder) / "online.db")
        os.chmod(folder, 0o555)
        os.chmod(Path(folder) / "online.db", 0o444)
        store.config.online_store.path = str(Path(folder) / "online.db")
        read_end, write_end = os.pipe()

        def write_as_another_user() -> None:
            is_root = os.geteuid() == 0
            if is_root:
                os.setresuid(65534, 65534, 0)
            with pytest.raises(OnlineStoreError) as error:
                online.write_table(store.config, view(Path()), table())
            if is_root:  # what ends this process, such as a measurement of coverage, may write
                os.setresuid(0, 0, 0)
            os.write(write_end, str(error.value).encode())

        with forked(write_as_another_user) as child:
            assert exit_code(child) == 0
        assert "Let this user write the file and the folder that it is in." in os.read(read_end, 9999).decode()
