"""What the contestants of `bench/stream.py` other than ours compute: for each key of the three live tables, tiles of
five minutes, as far back as the longest window reaches. And the online store that they write to."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

HOP_SECONDS = 300
#: Table → how far its windows reach, in seconds.
REACH_SECONDS = {"coupon_prefixes": 600, "location_attempts": 300, "device_attempts": 3600}
#: How many features a table has, of: attempts, failures, codes.
FEATURES = {"coupon_prefixes": 1, "location_attempts": 2, "device_attempts": 3}
#: The timestamp for which all contestants give their values, in seconds since 1970: midnight after the day of the
#: events.
AS_OF = 1_769_817_600

#: Start of a tile, in seconds since 1970 → attempts, INVALID attempts, and for a device its codes.
Tiles = dict[int, list[Any]]
#: What an event is to a table: the start of its tile, whether it is INVALID, and for a device its code.
Entry = tuple[int, bool, str]
#: Table → key → tiles.
States = dict[str, dict[str, Tiles]]
#: What is on the clock. It returns None where the states are in the online store.
Work = Callable[[], States | None]


def entries(event: dict[str, Any]) -> Iterator[tuple[str, str, Entry]]:
    """For each table that an event belongs to: the table, the key and the entry."""
    second = int(datetime.fromisoformat(event["create_time"]).timestamp())
    start, is_invalid, code = second - second % HOP_SECONDS, event["response"] == "INVALID", event["coupon_code"]
    yield "coupon_prefixes", code[:-4] + event["location_code"], (start, is_invalid, "")
    yield "location_attempts", event["location_code"], (start, is_invalid, "")
    yield "device_attempts", event["device_id"], (start, is_invalid, code)


def add(tiles: Tiles, reach_seconds: int, start: int, is_invalid: bool, code: str) -> None:
    """Add an entry to the tiles of its key, and drop the tiles that no window reaches."""
    tile = tiles.get(start)
    if tile is None:
        tile = tiles[start] = [0, 0, set()] if code else [0, 0]
        oldest = max(tiles) - reach_seconds
        for old in [s for s in tiles if s < oldest]:
            del tiles[old]
    tile[0] += 1
    tile[1] += is_invalid
    if code:
        tile[2].add(code)


def values(table: str, tiles: Tiles) -> list[int]:
    """The features at `AS_OF`, in the order of the table's declaration."""
    inside = [tile for start, tile in tiles.items() if start >= AS_OF - REACH_SECONDS[table]]
    codes = {code for tile in inside for codes in tile[2:] for code in codes}
    return [sum(tile[0] for tile in inside), sum(tile[1] for tile in inside), len(codes)][: FEATURES[table]]


def codec() -> tuple[Callable[[bytes], Tiles], Callable[[Tiles], bytes]]:
    """From the bytes that go online to tiles, and back. The peers alone have orjson."""
    import orjson

    def tiles_of(state: bytes) -> Tiles:
        return {int(start): [*tile[:2], *map(set, tile[2:])] for start, tile in orjson.loads(state).items()}

    def state_of(tiles: Tiles) -> bytes:
        return orjson.dumps(tiles, default=sorted, option=orjson.OPT_NON_STR_KEYS)

    return tiles_of, state_of


class Rows:
    """The online store of a peer. It has the newest state of each key, and writes a batch in a transaction."""

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


def read_states(folder: Path) -> States:
    """The states that a peer has written to its online store."""
    states: States = {table: {} for table in REACH_SECONDS}
    with closing(sqlite3.connect(folder / "online.db")) as db:
        for name, state in db.execute("SELECT key, state FROM online"):
            table, key = name.split("|")
            states[table][key] = {int(start): tile for start, tile in json.loads(state).items()}
    return states
