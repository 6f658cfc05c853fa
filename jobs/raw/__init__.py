"""Files on disk → checked rows."""
