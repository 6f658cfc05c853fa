"""Writes rows to Redis: each replaces an older one only, whoever else writes at the same time."""

from collections.abc import Sequence
from hashlib import sha1
from typing import Any

from feast.repo_config import RepoConfig
from redis.exceptions import NoScriptError

from exact_stores import redis_rows
from exact_stores.exact_online import NotApplied, OnlineStoreError
from exact_stores.redis_client import Server
from exact_stores.redis_rows import Layout
from exact_stores.timestamps import SLACK

#: Rows in one call of the script, which keeps every other client waiting for less than a millisecond.
_ROWS_PER_CALL = 100
#: Rows in one round trip.
_ROWS_PER_TRIP = 10_000
#: Of the rows KEYS, whose bytes are ARGV[2] and so on, write to the field ARGV[1] each that is newer than the stored
#: one: the first 16 bytes are in the order of time. Two rows of the same timestamps are given back, as only the client
#: knows which values are greater. A row that is dated later than now, by a wrong clock, gives way to one that is not.
_GUARD = f"""
local ties = {{}}
local function is_later(row)
  local now = redis.call('TIME')
  return struct.unpack('>I8', row) - 2^63 > (now[1] + {SLACK.total_seconds():.0f}) * 1000000 + now[2]
end
local function order(new, old)
  for place = 1, 16 do
    local difference = string.byte(new, place) - string.byte(old, place)
    if difference ~= 0 then return difference end
  end
  return 0
end
for number, key in ipairs(KEYS) do
  local new, old = ARGV[number + 1], redis.call('HGET', key, ARGV[1])
  local later = 1
  if old then later = order(new, old) end
  if later > 0 or later < 0 and is_later(old) and not is_later(new) then
    redis.call('HSET', key, ARGV[1], new)
  elseif later == 0 and new ~= old then
    ties[#ties + 1] = number
    ties[#ties + 1] = old
  end
end
return ties
"""
#: Write ARGV[3] to the field ARGV[1], if ARGV[2] still lies there.
_SETTLE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""
#: A key, and the bytes of the row.
Packed = tuple[bytes, bytes]


def write(server: Server, config: RepoConfig, name: str, layout: Layout, packed: Sequence[Packed]) -> None:
    """Write rows of a view that have this layout, each for itself. The last one is written when all others are: a
    writer may say in it how far it has come. Raises NotApplied, and OnlineStoreError, and then any of the others may be
    written."""
    view = name.encode()
    require_view(server, config, view)
    server.ask([("HSET", redis_rows.layouts_key(config, view), layout.digest, layout.names)])
    prefix = redis_rows.prefix(config)
    rows = [(prefix + key, row) for key, row in packed]
    try:
        for part in (rows[:-1], rows[-1:]):
            for start in range(0, len(part), _ROWS_PER_TRIP):
                _write_trip(server, config, view, part[start : start + _ROWS_PER_TRIP])
    except OnlineStoreError as error:
        raise OnlineStoreError(f"{error} The batch may be written in part: write it again.") from error


def require_view(server: Server, config: RepoConfig, view: bytes) -> None:
    """Make room for a view, as Feast writes some that it never applied. Raises NotApplied if Redis has none of the
    project: it has lost its data, and a few new rows would look like all."""
    views = redis_rows.views_key(config)
    has_some, has_view = server.ask([("EXISTS", views), ("HEXISTS", views, view)])
    if not has_some:
        raise not_applied(server, view)
    if not has_view:
        server.ask([("HSETNX", views, view, "")])


def not_applied(server: Server, view: bytes) -> NotApplied:
    """What is raised where Redis does not have a view."""
    return NotApplied(f"{server.name} has no view {view.decode()!r}. Run: feast apply, and materialize all views.")


def names_of(server: Server, config: RepoConfig, view: bytes, digest: bytes) -> list[str]:
    """The columns of the rows whose layout has this digest. Raises OnlineStoreError if it is not known."""
    ((names,),) = server.ask([("HMGET", redis_rows.layouts_key(config, view), digest)])
    if names is None:
        raise OnlineStoreError(
            f"{server.name}: a row of the view {view.decode()!r} has a layout that is not there. Was a part of the "
            "keys removed? Remove all of them, then run: feast apply, and materialize all views."
        )
    return redis_rows.names(names)


def _write_trip(server: Server, config: RepoConfig, view: bytes, rows: Sequence[Packed]) -> None:
    while rows:
        size = 1 if server.is_cluster else _ROWS_PER_CALL  # in a cluster, the keys of a call lie on one node
        calls = [rows[start : start + size] for start in range(0, len(rows), size)]
        replies = _run(
            server, _GUARD, [([key for key, _ in call], [view, *(row for _, row in call)]) for call in calls]
        )
        ties = [
            (*call[number - 1], stored)
            for call, reply in zip(calls, replies, strict=True)
            for number, stored in zip(reply[::2], reply[1::2], strict=True)
        ]
        rows = [(key, row) for key, row, stored in ties if not _is_settled(server, config, view, key, row, stored)]


def _is_settled(server: Server, config: RepoConfig, view: bytes, key: bytes, row: bytes, stored: bytes) -> bool:
    """Of two rows with the same timestamps, keep the one that is newer by its values. False if meanwhile a third lies
    there, and the row has to be compared with that."""
    new, old = (
        redis_rows.by_column(names_of(server, config, view, redis_rows.digest_of(packed)), packed)
        for packed in (row, stored)
    )
    return not redis_rows.is_newer(new, old) or _run(server, _SETTLE, [([key], [view, stored, row])]) == [1]


def _run(server: Server, script: str, calls: Sequence[tuple[list[bytes], list[bytes]]]) -> list[Any]:
    """What the script returns for each call, which has keys and arguments."""
    if server.is_cluster:  # redis-py sends EVALSHA to a cluster one by one only
        return server.ask([("EVAL", script, len(keys), *keys, *arguments) for keys, arguments in calls])
    digest = sha1(script.encode()).hexdigest()
    commands = [("EVALSHA", digest, len(keys), *keys, *arguments) for keys, arguments in calls]
    try:
        return server.ask(commands)
    except NoScriptError:  # a server that was started since, or a replica that became the primary
        server.load(script)
        return server.ask(commands)
