"""Connections to Redis, many commands in one round trip, and what to do about each fault.

`connection_string` is Feast's: `host:port` once, or once for each node of a cluster or of Sentinel, then options of
redis-py such as `password=…` and `ssl=true`, with commas between them.
"""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from feast.infra.online_stores.redis import RedisOnlineStore, RedisOnlineStoreConfig, RedisType
from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.retry import Retry
from redis.sentinel import Sentinel

from exact_stores.exact_online import OnlineStoreError

Command = tuple[Any, ...]

#: What a request waits for at most, where `connection_string` says nothing else.
_SECONDS = {"socket_connect_timeout": 2.0, "socket_timeout": 5.0}
#: The first class that an error is of → what to do.
_REMEDIES: list[tuple[tuple[Any, ...], str]] = [
    ((exceptions.AuthenticationError,), "Write the right password=… into connection_string."),
    (
        (exceptions.NoPermissionError,),
        "Let this user run EVAL, EVALSHA, SCRIPT, EXISTS, HEXISTS, HMGET, HSET, HSETNX, HDEL, UNLINK and SCAN.",
    ),
    ((exceptions.OutOfMemoryError,), "Give it more memory (maxmemory)."),
    ((exceptions.ReadOnlyError,), "Write the address of the primary into connection_string."),
    ((exceptions.BusyLoadingError,), "It reads its data from disk. Wait, then try again."),
    ((exceptions.ClusterDownError,), "Start the missing nodes of the cluster, then try again."),
    ((exceptions.ConnectionError, exceptions.TimeoutError, OSError), "Start it, or correct connection_string."),
]


def nodes_and_options(connection_string: str) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """Hosts with ports, and the options. Raises OnlineStoreError, without the options: one of them may be a password. A
    ValueError would not do, as pydantic adds the whole string to it."""
    if "://" in connection_string:
        raise OnlineStoreError("connection_string is a URL. Write host:port, then options such as db=1, with commas.")
    parts, options = RedisOnlineStore._parse_connection_string(connection_string)
    nodes = [(part.get("host", ""), str(part.get("port", ""))) for part in parts]
    if any("@" in part for node in nodes for part in node):
        raise OnlineStoreError("connection_string has an address with @. Write host:port, then username=…,password=….")
    wrong = [f"{host}:{port}" for host, port in nodes if not host or not port.isdecimal() or int(port) > 65_535]
    if wrong or not nodes:
        seen = f"has {wrong[0]!r}" if wrong else "has no address"
        raise OnlineStoreError(f"connection_string {seen}. Write host:port, such as localhost:6379.")
    return [(host, int(port)) for host, port in nodes], options


class _Held:
    """A connection of a pool, until the thread that holds it ends."""

    def __init__(self, pool: Any) -> None:
        self._pool, self.process, self.connection = pool, os.getpid(), pool.get_connection()

    def __del__(self) -> None:
        if hasattr(self, "connection") and self.process == os.getpid():
            self._pool.release(self.connection)


class Server:
    """One Redis: alone, behind Sentinel, or a cluster. Threads share it, and each process has connections of its own.

    A connection that was lost is made again once, at once: all that this package sends may be sent twice.
    """

    def __init__(self, settings: RedisOnlineStoreConfig) -> None:
        """Nothing is opened before the first use. Raises OnlineStoreError for an address that is none."""
        nodes, given = nodes_and_options(settings.connection_string)
        self.name = "Redis at " + ", ".join(f"{host}:{port}" for host, port in nodes)
        self._settings, self._nodes = settings, nodes
        self._options = {**_SECONDS, **given, "decode_responses": False}
        self._client: Any = None
        self._threads = threading.local()

    @property
    def is_cluster(self) -> bool:
        """Whether keys lie on several servers."""
        return bool(self._settings.redis_type == RedisType.redis_cluster)

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to the commands, in order, after one round trip (in a cluster, one to each node that has a key).
        Raises OnlineStoreError, and NoScriptError as redis-py does."""
        with self._explained():
            if self.is_cluster:
                with self.client.pipeline(transaction=False) as pipeline:
                    for command in commands:
                        pipeline.execute_command(*command)
                    return list(pipeline.execute())
            try:
                return self._exchange(commands)
            except exceptions.TimeoutError:  # it is a ConnectionError to some versions
                raise
            except exceptions.ConnectionError:
                return self._exchange(commands)

    def keys(self, prefix: bytes) -> Iterator[bytes]:
        """Every key that begins so. Raises OnlineStoreError."""
        escaped = b"".join(b"\\" + bytes([byte]) if byte in b"\\*?[]^-" else bytes([byte]) for byte in prefix)
        with self._explained():
            yield from self.client.scan_iter(match=escaped + b"*", count=1000)

    def load(self, script: str) -> None:
        """Give Redis a script, of which `EVALSHA` then knows the digest."""
        with self._explained():
            self.client.script_load(script)

    @property
    def client(self) -> Any:
        """The client of redis-py."""
        if self._client is None:
            self._client = self._connected()
        return self._client

    def close(self) -> None:
        """Close all connections. The next use opens new ones."""
        if self._client is not None:
            self._threads = threading.local()
            self._client.close()
            self._client = None

    def _connected(self) -> Any:
        options = {**self._options, "retry": Retry(NoBackoff(), 1)}
        if self._settings.redis_type == RedisType.redis_cluster:
            return RedisCluster(startup_nodes=[ClusterNode(*node) for node in self._nodes], **self._options)
        if self._settings.redis_type == RedisType.redis_sentinel:
            return Sentinel(self._nodes, **options).master_for(self._settings.sentinel_master)
        ((host, port), *_) = self._nodes
        return Redis(host=host, port=port, **options)

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        """By hand, as a pipeline of redis-py takes several times as long for a few commands. A thread holds its
        connection: to take it from the pool each time takes as long as to pack the commands and to read the replies."""
        held: _Held | None = getattr(self._threads, "held", None)
        if held is None or held.process != os.getpid():  # a connection does not survive a fork
            held = self._threads.held = _Held(self.client.connection_pool)
        is_clean = False
        try:
            held.connection.send_packed_command(held.connection.pack_commands(commands))
            replies = [held.connection.read_response() for _ in commands]
            is_clean = True
            return replies
        finally:
            if not is_clean:  # replies that nobody read would be those of the next commands
                held.connection.disconnect()
                self._threads.held = None

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except exceptions.NoScriptError:
            raise
        except (exceptions.RedisError, OSError) as error:
            text = str(error).rstrip(".") or type(error).__name__
            other = "Correct what it says, then try again."  # such as a full disk
            remedy = next((words for classes, words in _REMEDIES if isinstance(error, classes)), other)
            raise OnlineStoreError(f"{self.name}: {text}. {remedy}") from error
        except TypeError as error:
            raise OnlineStoreError(f"{self.name}: connection_string has an unknown option ({error}).") from error
