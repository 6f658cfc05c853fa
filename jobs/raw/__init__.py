"""Raw files on disk → checked rows."""
