"""A team's own data: files of any dialect → checked rows of a raw table; a domain written from an example file."""
