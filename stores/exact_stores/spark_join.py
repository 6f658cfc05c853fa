"""The point-in-time join of one feature view on Spark: the rule of `point_in_time.py`, without its one machine. A row
answers with the version that was known at its timestamp; if none was, with the first created."""

from typing import TYPE_CHECKING

from exact_stores.entity_frame import FOR_EVER
from exact_stores.file_listing import list_files
from exact_stores.parquet_files import ParquetFiles
from exact_stores.point_in_time import ViewRequest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

#: The latest event time for each request: a running maximum over the timestamps of the source and of the requests.
_LATEST = """
SELECT {keys}, __timestamp, __oldest, event_time FROM (
    SELECT {keys}, __timestamp, __oldest, is_request,
        max(seen) OVER (PARTITION BY {keys} ORDER BY t, is_request ROWS UNBOUNDED PRECEDING) AS event_time
    FROM (
        SELECT {keys}, event_time AS t, 0 AS is_request, event_time AS seen,
            CAST(NULL AS BIGINT) AS __timestamp, CAST(NULL AS BIGINT) AS __oldest
        FROM (SELECT DISTINCT {keys}, event_time FROM versions WHERE event_time IS NOT NULL)
        UNION ALL
        SELECT {keys}, __timestamp, 1, CAST(NULL AS BIGINT), __timestamp, __oldest FROM requests
    )
) WHERE is_request = 1 AND event_time >= __oldest
"""
#: Only rows created by the request's timestamp count.
_LATEST_CREATED = """
SELECT {keys}, __timestamp, __oldest, max(event_time) AS event_time FROM requests JOIN versions USING ({keys})
WHERE event_time BETWEEN __oldest AND __timestamp AND created <= __timestamp
GROUP BY {keys}, __timestamp, __oldest
"""
#: Of the versions, the last that was known. If none was, the first created. Without `created`, the last in the files.
_ANSWERS = """
SELECT {keys}, __timestamp, __oldest, max_by(features, rank) AS features FROM (
    SELECT {keys}, latest.__timestamp, latest.__oldest, features, STRUCT(
        coalesce(created <= __timestamp, true) AS is_known,
        CASE WHEN coalesce(created <= __timestamp, true) THEN coalesce(created, {for_ever}) ELSE -created END AS at,
        file, number
    ) AS rank
    FROM ({latest}) latest JOIN versions USING ({keys}, event_time) {where}
) GROUP BY {keys}, __timestamp, __oldest
"""


def join(
    spark: "SparkSession",
    entities: "DataFrame",
    request: ViewRequest,
    files: ParquetFiles,
    filter_by_created: bool,
) -> "DataFrame":
    """The rows of `entities` with the view's features, by their names in the result; null where the source has no row.

    `entities` has the view's keys as `__k0`, `__k1`, …, `__timestamp`, and `__oldest`, the oldest event time within the
    TTL, both in µs since 1970. They are dropped. Raises ValueError for a source that keeps nanoseconds, which Spark has
    not, or whose keys or features are in the names of folders.
    """
    keys = [f"__k{number}" for number in range(len(request.keys))] or ["__none"]
    if not request.keys:
        entities = entities.selectExpr("*", "0 AS __none")
    has_created = bool(request.source.created_timestamp_column)
    _versions(spark, request, files).createOrReplaceTempView("versions")
    by = [*keys, "__timestamp", "__oldest"]
    is_whole = " AND ".join(f"{name} IS NOT NULL" for name in by)
    entities.where(is_whole).select(*by).distinct().createOrReplaceTempView("requests")
    is_filtered = filter_by_created and has_created
    names = ", ".join(keys)
    latest = (_LATEST_CREATED if is_filtered else _LATEST).format(keys=names)
    where = "WHERE created <= __timestamp" if is_filtered else ""
    answers = spark.sql(_ANSWERS.format(keys=names, latest=latest, where=where, for_ever=f"({FOR_EVER})"))
    features = [f"features.f{number} AS {quoted(name)}" for number, name in enumerate(request.features.values())]
    own = [quoted(name) for name in entities.columns if name not in by]
    return entities.join(answers, by, "left").selectExpr(*own, *features)


def _versions(spark: "SparkSession", request: ViewRequest, files: ParquetFiles) -> "DataFrame":
    """The rows of the source: keys, `event_time` and `created` in µs, `features`, and where each row lies."""
    source = request.source
    created = source.created_timestamp_column
    frame = spark.read.option("mergeSchema", "true").parquet(*(f"file://{pattern(f)}" for f in list_files(files.path)))
    keys = [f"{_column(files, key)} AS __k{number}" for number, key in enumerate(request.keys)]
    features = [f"{_column(files, name)} AS f{number}" for number, name in enumerate(request.features)]
    return frame.selectExpr(
        *(keys or ["0 AS __none"]),
        f"{_micros(files, source.timestamp_field)} AS event_time",
        f"{_micros(files, created) if created else 'CAST(NULL AS BIGINT)'} AS created",
        f"STRUCT({', '.join(features)}) AS features",
        "_metadata.file_path AS file",
        "_metadata.row_index AS number",
    )


def _column(files: ParquetFiles, name: str) -> str:
    own = files.own_name(name)
    if own in files.partitions:
        raise ValueError(f"{own!r} is in the names of folders of {files.path}, which the join on Spark does not read.")
    return quoted(own)


def _micros(files: ParquetFiles, name: str) -> str:
    if files.type_of(name).endswith("_NS"):
        raise ValueError(f"The time column {name!r} of {files.path} has nanoseconds, which Spark has not. Write µs.")
    return f"unix_micros(CAST({_column(files, name)} AS TIMESTAMP))"


def pattern(path: str) -> str:
    """A path in which Hadoop takes no character for a pattern."""
    return "".join(f"\\{character}" if character in "*?[]{}\\" else character for character in path)


def quoted(name: str) -> str:
    """A name as Spark's SQL has it."""
    return "`" + name.replace("`", "``") + "`"
