"""Work that runs on a schedule or for ever: `python -m jobs --help`."""
