"""A Spark for tests: one session in this process, and commands with a Spark of their own."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from processes import environment

import settings
from features.windows.tables import Table
from jobs import sql
from root import Root

#: Small data and two cores: few tasks.
_SMALL = {
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    "spark.sql.adaptive.enabled": "false",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}
#: No code is compiled for a query that runs once.
_ONCE = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
#: The executors' Java: it begins in a file system of its own over the driver's private folder.
_JAVA = """#!/bin/sh
exec unshare --mount sh -c 'mount -t tmpfs scratch "$0" && exec "$@"' {private} {java} "$@"
"""
#: The command line, which is killed as it is about to rename its n-th day into place.
_KILLED = """
import os, signal, sys
rename, left = os.replace, [int(sys.argv.pop(1))]
def replace(source, target):
    if str(target).endswith("part.parquet"):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)
os.replace = replace
from jobs.commands import jobs
jobs()
"""


@contextmanager
def options(folder: Path) -> Iterator[dict[str, str]]:
    """The options of a Spark in this process, with a Hive of its own in `folder`. It ends with the block: else the next
    file of tests would get it, with these options."""
    from pyspark.sql import SparkSession

    hive = {
        "spark.sql.warehouse.dir": f"file://{folder}/warehouse",
        "spark.hadoop.javax.jdo.option.ConnectionURL": f"jdbc:derby:;databaseName={folder}/metastore;create=true",
        "spark.driver.defaultJavaOptions": f"-Dderby.stream.error.file={folder}/derby.log",
    }
    yield {**settings.spark(), "spark.master": "local[2]", "spark.local.dir": str(folder), **_SMALL, **_ONCE, **hive}
    if session := SparkSession.getActiveSession():
        session.stop()


def rows(root: Root, table: Table) -> list[tuple[Any, ...]]:
    """Every row of a feature table, in an order that depends on the rows alone."""
    with sql.connect() as connection:
        files = sorted(root.feature_table(table.name).rglob("*.parquet"))
        return connection.execute(f"FROM {sql.parquet(files)} ORDER BY ALL").fetchall()


def command(*arguments: str, killed_at: int | None = None) -> list[str]:
    """`python -m jobs execute`. With `killed_at`, as many days are renamed into place before it is killed."""
    if killed_at is None:
        return [sys.executable, "-m", "jobs", "execute", *arguments]
    return [sys.executable, "-c", _KILLED, str(killed_at), "execute", *arguments]


def child(root: Root, master: str, **more: str) -> dict[str, str]:
    """The environment of a command that computes on a Spark of its own. `more` are options, with `__` for a dot."""
    named = {**_SMALL, **{name.replace("__", "."): value for name, value in more.items()}}
    text = " ".join(f"'{name}={value}'" for name, value in named.items())
    return {**environment(), "RISK_DATA": str(root.path), "SPARK_MASTER": master, "SPARK_OPTIONS": text}


def apart(folder: Path, root: Root) -> tuple[dict[str, str], Path]:
    """The environment of a command with two executors that see nothing of the driver's temporary files, and the driver
    nothing of theirs, as on machines of their own; and the folder of the driver's temporary files."""
    import pyspark

    private, home, java = folder / "private", folder / "spark", folder / "jdk/bin/java"
    for path in (private, home, java.parent):
        path.mkdir(parents=True)
    for entry in Path(pyspark.__file__).parent.iterdir():  # Spark writes the logs of executors into its home
        (home / entry.name).symlink_to(entry)
    java.write_text(_JAVA.format(private=private, java=shutil.which("java")))
    java.chmod(0o755)
    more = {"spark__local__dir": str(private), "spark__executorEnv__JAVA_HOME": str(folder / "jdk")}
    variables = child(root, "local-cluster[2,1,1024]", **more)
    return {**variables, "SPARK_HOME": str(home), "TMPDIR": str(private)}, private
