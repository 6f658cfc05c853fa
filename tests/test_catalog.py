"""The domain `catalog`: eight numbers about a shop, each at its own path, from literal transactions."""

import json
from datetime import UTC, datetime, timedelta
from importlib import reload
from threading import Event
from types import SimpleNamespace
from urllib.parse import quote, unquote

import pandas as pd
import pytest

import settings
from app import create_app
from features.catalog import TABLES
from features.domains import stream_of
from jobs.batch.table import compute
from jobs.stream import loop
from jobs.stream.job import prepare
from jobs.stream.sources import open_source
from web.catalog import NUMBERS

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY, MINUTE, INSTANT = timedelta(days=1), timedelta(minutes=1), timedelta(microseconds=1)
COLUMNS = ("transaction_id", "customer_id", "product_id", "category", "price", "quantity", "transaction_date",
           "review_rating")  # fmt: skip
BOOKS = "Café/Bücher"
HISTORY = [
    ("h0", "0001", "007", "garden tools", 10.0, 9, "2025-12-01T10:00:00+00:00", 1.0),
    ("h1", "0001", "007", "garden tools", 10.0, 2, "2026-02-01T10:00:00+00:00", 5.0),
    ("h2", "0001", "007", "garden tools", 10.0, 1, "2026-02-20T10:00:00+00:00", 4.0),
    ("h3", "0002", "007", "garden tools", 12.5, 2, "2026-03-01T10:00:00+00:00", None),
    ("h4", "0002", "008", BOOKS, 8.0, 1, "2026-03-02T10:00:00+00:00", 3.0),
]
#: In the order of arrival: out of order, one in another zone, one corrected, some without a rating.
LIVE = [
    ("e1", "0001", "007", "garden tools", 9.99, 3, "2026-03-05T10:00:00Z", 1),
    ("e2", "0003", "007", "garden tools", 11, 1, "2026-03-04T10:00:00Z", 2),
    ("e2", "0003", "007", "garden tools", 99, 9, "2026-03-04T10:00:00Z", 5),
    ("e5", "0002", "007", "garden tools", 10, 1, "2026-03-10T11:00:00Z", 5),
    ("e3", "0001", "008", BOOKS, 20.0, 2, "2026-03-08T01:00:00+03:00", None),
    ("e4", "0004", "009", "toys", 5.0, 1, "2026-03-09T10:00:00Z", None),
    ("e6", "0004", "010", "toys", 6.0, 1, "2026-03-10T11:30:00Z", None),
]
GOOD = dict(zip(COLUMNS, LIVE[0], strict=True)) | {"transaction_id": "good", "category": "new", "product_id": "new"}


def events(rows):
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


def write_history(rows):
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame["transaction_date"] = pd.to_datetime(frame["transaction_date"], utc=True, format="ISO8601").dt.as_unit("us")
    settings.root().raw_table("transactions").parent.mkdir(parents=True, exist_ok=True)
    frame.assign(coupon="not ours").to_parquet(settings.root().raw_table("transactions").with_suffix(".parquet"))


def process(source, store):
    loop.run(
        settings.root(),
        stream_of("catalog"),
        source,
        store,
        settings.hash_key(),
        True,
        Event(),
        print,
        clock=lambda: NOW,
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The service on a store with the views of the catalog, after a stream, a batch and a materialization. `clock.now`
    is the time of the service."""
    from feast import FeatureStore

    from serving.retrieval import FeastStore

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(tmp_path_factory.mktemp("shop")))
        from views import catalog  # its sources are below the root that was set at its import

        write_history(HISTORY)
        prepare(settings.root(), stream_of("catalog"))
        for table in TABLES:
            compute(settings.root(), table, NOW, NOW)
        store, view = FeatureStore(str(settings.FEATURE_REPO)), reload(catalog)
        store.apply([thing for thing in vars(view).values() if type(thing).__module__.startswith("feast.")])
        source, clock = FeastStore(settings.FEATURE_REPO), SimpleNamespace(now=NOW)
        client = create_app(source, clock=lambda: clock.now).test_client()
        assert client.post("/api/v1/events/transactions", json=events(LIVE)).status_code == 202
        process(open_source(settings.root(), "log", "transactions"), source)
        write_history([*HISTORY, LIVE[0]])  # the shop's nightly export repeats what the stream had before
        for table in TABLES:
            compute(
                settings.root(), table, NOW + MINUTE, NOW + MINUTE
            )  # before noon, the events of the stream were not known
        store.materialize(datetime(2025, 1, 1, tzinfo=UTC), NOW)
        routes = client.application.url_map
        yield SimpleNamespace(get=client.get, post=client.post, clock=clock, source=source, routes=routes)


STREAM, OFFLINE = "/api/v1/stream", "/api/v1/offline"
RATINGS = f"{STREAM}/products/007/average-last-5-reviews"
EXPECTED = {
    RATINGS: (4.0, "stars", "2026-03-10T11:00:00+00:00"),
    f"{STREAM}/products/009/average-last-5-reviews": (None, "stars", "2026-03-09T10:00:00+00:00"),
    f"{STREAM}/categories/garden%20tools/revenue-last-3-orders": (930.97, "USD", "2026-03-10T11:00:00+00:00"),
    f"{STREAM}/categories/{quote(BOOKS, safe='')}/revenue-last-3-orders": (48.0, "USD", "2026-03-07T22:00:00+00:00"),
    f"{STREAM}/customers/0001/last-order-amount": (40.0, "USD", "2026-03-07T22:00:00+00:00"),
    f"{STREAM}/customers/0003/last-order-amount": (891.0, "USD", "2026-03-04T10:00:00+00:00"),
    f"{STREAM}/customers/0001/products/007/last-rating": (1.0, "stars", "2026-03-05T10:00:00+00:00"),
    f"{STREAM}/customers/0002/products/007/last-rating": (5.0, "stars", "2026-03-10T11:00:00+00:00"),
    f"{STREAM}/customers/0001/products/008/last-rating": (None, "stars", "2026-03-07T22:00:00+00:00"),
    f"{OFFLINE}/products/007/average-rating-30d": (pytest.approx(10 / 3), "stars", "2026-03-06T00:00:00+00:00"),
    f"{OFFLINE}/products/009/average-rating-30d": (None, "stars", "2026-03-10T00:00:00+00:00"),
    f"{OFFLINE}/products/007/units-sold-30d": (15.0, "units", "2026-03-06T00:00:00+00:00"),
    f"{OFFLINE}/products/007/revenue-30d": (955.97, "USD", "2026-03-06T00:00:00+00:00"),
    f"{OFFLINE}/categories/garden%20tools/revenue-30d": (955.97, "USD", "2026-03-06T00:00:00+00:00"),
    # One o'clock on the 8th in Moscow is the 7th in UTC, so the value holds from the midnight after that.
    f"{OFFLINE}/categories/{quote(BOOKS)}/revenue-30d": (48.0, "USD", "2026-03-08T00:00:00+00:00"),
}


@pytest.mark.parametrize("path", EXPECTED)
def test_each_number_follows_from_the_literal_transactions(shop, path):
    value, unit, dated = EXPECTED[path]
    answer = shop.get(path)
    assert (answer.status_code, answer.json) == (
        200, {"value": value, "unit": unit, "event_timestamp": dated, "as_of": NOW.isoformat()},
    )  # fmt: skip


def test_every_number_is_in_the_literal_table(shop):
    """No path answers for another one, although a key may have a slash."""
    answering = shop.routes.bind("")
    assert {answering.match(unquote(path))[0] for path in EXPECTED} == {f"catalog.{number.name}" for number in NUMBERS}
    assert len(NUMBERS) == 8


@pytest.mark.parametrize(
    "path",
    [f"{STREAM}/products/7/average-last-5-reviews", f"{STREAM}/categories/Garden%20Tools/revenue-last-3-orders",
     f"{STREAM}/customers/1/last-order-amount", f"{STREAM}/customers/0004/products/007/last-rating",
     f"{OFFLINE}/products/7/units-sold-30d", f"{OFFLINE}/products/010/revenue-30d",
     f"{OFFLINE}/categories/tools/revenue-30d", f"{STREAM}/categories/new/revenue-last-3-orders"],
)  # fmt: skip
def test_a_key_without_any_event_is_unknown(shop, path):
    """Leading zeros and capitals count. Product 010 was first sold today, after the batch."""
    answer = shop.get(path)
    assert (answer.status_code, answer.json["error"]["name"]) == (404, "unknown_entity")


@pytest.mark.parametrize(
    ("path", "dated", "lives"),
    [(RATINGS, datetime(2026, 3, 10, 11, tzinfo=UTC), 365 * DAY),
     (f"{STREAM}/categories/toys/revenue-last-3-orders", datetime(2026, 3, 10, 11, 30, tzinfo=UTC), 365 * DAY),
     (f"{OFFLINE}/products/007/revenue-30d", datetime(2026, 3, 6, tzinfo=UTC), 31 * DAY)],
)  # fmt: skip
def test_a_number_is_null_from_the_microsecond_after_its_ttl(shop, monkeypatch, path, dated, lives):
    monkeypatch.setattr(shop.clock, "now", dated + lives)
    kept = shop.get(path).json
    monkeypatch.setattr(shop.clock, "now", dated + lives + INSTANT)
    gone = shop.get(path).json
    assert kept["value"] is not None
    assert gone == kept | {"value": None, "as_of": shop.clock.now.isoformat()}
    assert gone["event_timestamp"] == dated.isoformat()


def test_a_key_that_is_not_utf_8_is_refused_with_the_remedy(shop):
    answer = shop.get(f"{STREAM}/categories/B%FCcher/revenue-last-3-orders")
    assert (answer.status_code, answer.json["error"]["field"]) == (400, "category")
    assert "Percent-encode" in answer.json["error"]["message"]


def test_other_services_read_the_same_numbers_as_feature_vectors(shop):
    entity = {"product_id": "007", "category": None, "customer_id": "0001"}
    (vector,) = shop.post("/api/v1/features/catalog", json={"entities": [entity]}).json["results"]
    features = vector["features"]
    numbers = ("average_last_5_reviews", "last_order_amount", "last_rating")
    assert [features[name] for name in numbers] == [4.0, 40.0, 1.0]
    assert not [name for part in vector.values() for name in part if name.endswith("_seen")]


BAD = {
    "price": ["abc", None, -0.01, "9.99", 1e6],
    "quantity": ["two", 1.5, -1, None, 10_001],
    "review_rating": [0.5, 5.5, "good"],
    "product_id": [7, ""],
    "transaction_date": ["2026-03-05T10:00:00", "soon"],
}
BAD_ROWS = [
    (field, GOOD | {field: value, "transaction_id": f"bad {i}"}) for field in BAD for i, value in enumerate(BAD[field])
]


@pytest.mark.parametrize(
    ("field", "event"), BAD_ROWS, ids=lambda part: part if isinstance(part, str) else str(part.values())
)
def test_an_invalid_event_is_refused_with_its_field(shop, field, event):
    answer = shop.post("/api/v1/events/transactions", json=event)
    assert (answer.status_code, answer.json["error"]["field"]) == (400, field)


def test_an_invalid_line_of_a_file_becomes_a_dead_letter_and_no_number(shop, tmp_path):
    """The valid line among them counts as soon as it is processed."""
    path = f"{STREAM}/categories/late%20sales/revenue-last-3-orders"
    lines = [json.dumps(event | {"category": "late sales"}) for _, event in BAD_ROWS]
    lines += ["no JSON", json.dumps(GOOD | {"category": "late sales"})]
    (tmp_path / "events.jsonl").write_text("\n".join(lines))
    process(open_source(settings.root(), f"jsonl:{tmp_path}/events.jsonl", "transactions"), shop.source)
    (letters,) = settings.root().dead_letters("transactions").glob("*.jsonl")
    reasons = [json.loads(line)["reason"] for line in letters.read_text().splitlines()]
    assert [reason.split()[0] for reason in reasons] == [*(field for field, _ in BAD_ROWS), "invalid"]
    assert shop.get(path).json["value"] == 29.97
