"""The session of Spark that this process has."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from errors import BadParameter, BadSetting
from jobs.batch.spark.dialect import FLOAT_TEXT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

#: Where nobody says otherwise.
DEFAULTS = {
    "spark.app.name": "risk",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
}
#: What our SQL and our files rest on.
FIXED = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "true",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    # Spark has no nanoseconds, and reads them as whole numbers, or not at all.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    # A day of a table is one file.
    "spark.sql.files.maxRecordsPerFile": "0",
    # Files are 0640, as all files here are (`files.keep_from_others`).
    "spark.hadoop.fs.permissions.umask-mode": "027",
}
#: A Spark on this machine alone.
_LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def opened(options: Mapping[str, str], with_hive: bool = False) -> "SparkSession":
    """The session of this process, made on the first call with these options (`settings.spark`). `with_hive`: it knows
    the tables of Hive. Raises BadParameter where Spark is not installed, BadSetting where it does not start."""
    try:
        from pyspark.sql import SparkSession
    except ImportError:
        raise BadParameter(
            "Spark is not installed. Use duckdb, or run: pip install -e '.[spark]' -c requirements-engines.txt"
        ) from None
    local = _LOOPBACK if options["spark.master"].startswith("local") else {}
    builder = SparkSession.builder
    for name, value in {**DEFAULTS, **local, **options, **FIXED}.items():
        builder = builder.config(name, value)
    try:
        session = (builder.enableHiveSupport() if with_hive else builder).getOrCreate()
    except Exception as error:  # of Spark, of Java, or of what lies between them
        words = str(getattr(error, "java_exception", error)).partition("\n")[0].rstrip(".")
        raise BadSetting(
            f"Spark does not start at {options['spark.master']}: {words}. Correct SPARK_MASTER or SPARK_OPTIONS, start "
            "that Spark, or install Java here."
        ) from error
    session.udf.register(FLOAT_TEXT, _float_text, "string")
    return session


def _float_text(value: float | None) -> str | None:
    """As `features.windows.folds.hashed` writes a float. Java's %g is not C's."""
    return None if value is None else f"{value:.17g}"
