"""What the contenders of `bench/stream.py` that are not ours fold: of each key of the three live tables tiles of five
minutes, as far back as the longest window reaches. And the sink of those that write."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

HOP = 300
#: Table → how far its windows reach, s.
REACH = {"coupon_prefixes": 600, "location_attempts": 300, "device_attempts": 3600}
#: Of attempts, failures and codes, a table's features.
FEATURES = {"coupon_prefixes": 1, "location_attempts": 2, "device_attempts": 3}
#: The moment at which all contenders are asked, s since 1970: midnight after the day of the events.
AS_OF = 1_769_817_600

#: Start of a tile, s since 1970 → attempts, INVALID ones, and of a device the codes.
Tiles = dict[int, list[Any]]
#: Start of a tile, whether it was INVALID, and of a device the code.
Told = tuple[int, bool, str]
#: By table and key.
States = dict[str, dict[str, Tiles]]
#: What is on the clock. None: the states are in the sink.
Work = Callable[[], States | None]


def told(event: dict[str, Any]) -> Iterator[tuple[str, str, Told]]:
    """Table, key and what the event is to it."""
    second = int(datetime.fromisoformat(event["create_time"]).timestamp())
    start, bad, code = second - second % HOP, event["response"] == "INVALID", event["coupon_code"]
    yield "coupon_prefixes", code[:-4] + event["location_code"], (start, bad, "")
    yield "location_attempts", event["location_code"], (start, bad, "")
    yield "device_attempts", event["device_id"], (start, bad, code)


def take(tiles: Tiles, reach: int, start: int, bad: bool, code: str) -> None:
    tile = tiles.get(start)
    if tile is None:
        tile = tiles[start] = [0, 0, set()] if code else [0, 0]
        oldest = max(tiles) - reach
        for old in [s for s in tiles if s < oldest]:
            del tiles[old]
    tile[0] += 1
    tile[1] += bad
    if code:
        tile[2].add(code)


def values(table: str, tiles: Tiles) -> list[int]:
    """The features at `AS_OF`, in the order of the table's declaration."""
    counted = [tile for start, tile in tiles.items() if start >= AS_OF - REACH[table]]
    codes = {code for tile in counted for each in tile[2:] for code in each}
    return [sum(tile[0] for tile in counted), sum(tile[1] for tile in counted), len(codes)][: FEATURES[table]]


class Rows:
    """The sink of a peer: the state of each key, written over the one before, a transaction a batch."""

    def __init__(self, folder: Path) -> None:
        self.db = sqlite3.connect(folder / "online.db", isolation_level=None, check_same_thread=False)
        self.db.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;"
            "CREATE TABLE IF NOT EXISTS online (key TEXT PRIMARY KEY, state BLOB) WITHOUT ROWID"
        )

    def write(self, rows: Iterable[tuple[str, bytes]]) -> None:
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("INSERT OR REPLACE INTO online VALUES (?, ?)", sorted(rows))
        self.db.execute("COMMIT")


def stored(folder: Path) -> States:
    """What a peer has written, by table and key."""
    states: States = {table: {} for table in REACH}
    with closing(sqlite3.connect(folder / "online.db")) as db:
        for name, state in db.execute("SELECT key, state FROM online"):
            table, key = name.split("|")
            states[table][key] = {int(start): tile for start, tile in json.loads(state).items()}
    return states
