"""`python -m jobs import` and `python -m jobs new`: the commands that take a team's own data."""
