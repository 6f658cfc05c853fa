"""Files of others, one module a form: CSV, Parquet, Excel."""
