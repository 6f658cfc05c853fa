"""Feature tables on Spark: the SQL of `jobs/raw/` and `jobs/batch/`, in Spark's dialect. No row passes through the
driver. This needs the extra `spark`, and Java."""
