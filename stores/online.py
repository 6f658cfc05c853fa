"""The SQLite online store: below `$RISK_DATA`, one connection a thread, readable while it is written."""

import sqlite3
import threading
from typing import Literal

from feast.infra.online_stores.sqlite import SqliteOnlineStore, SqliteOnlineStoreConfig
from feast.repo_config import RepoConfig

import settings

BUSY_SECONDS = 30


class RiskDataSqliteOnlineStoreConfig(SqliteOnlineStoreConfig):
    type: Literal["stores.online.RiskDataSqliteOnlineStore"] = "stores.online.RiskDataSqliteOnlineStore"  # type: ignore[assignment]
    path: str = "online.db"
    """A relative path counts from `$RISK_DATA`."""


class RiskDataSqliteOnlineStore(SqliteOnlineStore):
    """Feast's SQLite store with two differences: where the file is, and that threads do not share a connection.
    On a shared one, one thread's commit fails on another's open cursor; with a write-ahead log, a reader sees the
    old values until a materialization commits."""

    def __init__(self) -> None:
        super().__init__()
        self._threads = threading.local()

    @staticmethod
    def _get_db_path(config: RepoConfig) -> str:
        return str(settings.data_root() / config.online_store.path)

    def _get_conn(self, config: RepoConfig) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if connection is None:
            settings.data_root().mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(
                self._get_db_path(config),
                timeout=BUSY_SECONDS,
                detect_types=sqlite3.PARSE_DECLTYPES | sqlite3.PARSE_COLNAMES,
            )
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            self._threads.connection = connection
        return connection
