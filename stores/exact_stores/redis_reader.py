"""Fast reads from Redis: the rows of all views of an entity with one HMGET, and of all entities in one round trip."""

from collections.abc import Sequence

from feast.repo_config import RepoConfig

from exact_stores import redis_rows
from exact_stores.exact_online import Row
from exact_stores.redis_client import Server
from exact_stores.redis_rows import Pick, picking, unpack
from exact_stores.redis_write import names_of, not_applied
from exact_stores.rows import Column


class RedisReader:
    """Reads some features of a view by entity key. Threads may share it. It ignores the view's TTL."""

    def __init__(
        self, server: Server, config: RepoConfig, view: str, columns: Sequence[Column], as_python: bool = True
    ) -> None:
        """`columns` are the features, in the order of the values: as `to_dict()` gives them, or as they are stored."""
        self.server, self.view = server, view.encode()
        self.prefix, self.views_key = redis_rows.prefix(config), redis_rows.views_key(config)
        self._config, self._columns, self._as_python = config, columns, as_python
        #: By the digest of a row's layout.
        self._picks: dict[bytes, Pick] = {}

    def read(self, keys: Sequence[bytes]) -> list[Row | None]:
        """For each key, in order: its row, or None if no row is stored. Raises OnlineStoreError, and NotApplied where
        the view is not in Redis: then a missing row would mean nothing."""
        return read_together([(self, keys)])[0]

    def row(self, packed: bytes | None) -> Row | None:
        """The bytes that lie in Redis as a row."""
        if packed is None:
            return None
        digest = redis_rows.digest_of(packed)
        return unpack(packed, self._picks.get(digest) or self._learned(digest))

    def _learned(self, digest: bytes) -> Pick:
        names = names_of(self.server, self._config, self.view, digest)
        pick = self._picks[digest] = picking(names, self._columns, self._as_python)
        return pick


def read_together(requests: Sequence[tuple[RedisReader, Sequence[bytes]]]) -> list[list[Row | None]]:
    """What each reader reads of its keys, all of them in one round trip. The readers are of one server."""
    if not requests:
        return []
    server = requests[0][0].server
    #: Key → field → its place in the reply.
    places: dict[bytes, dict[bytes, int]] = {}
    fields = [(reader.views_key, reader.view) for reader, _ in requests]
    wanted = [[reader.prefix + key for key in keys] for reader, keys in requests]
    for (reader, _), keys in zip(requests, wanted, strict=True):
        fields += [(key, reader.view) for key in keys]
    for key, field in fields:
        of_key = places.setdefault(key, {})
        of_key.setdefault(field, len(of_key))
    replies = dict(zip(places, server.ask([("HMGET", key, *names) for key, names in places.items()]), strict=True))
    for reader, _ in requests:
        if replies[reader.views_key][places[reader.views_key][reader.view]] is None:
            raise not_applied(server, reader.view)
    return [
        [reader.row(replies[key][places[key][reader.view]]) for key in keys]
        for (reader, _), keys in zip(requests, wanted, strict=True)
    ]
