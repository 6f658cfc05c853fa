"""What a raw file is like inside: its rows, its columns, its cells."""
