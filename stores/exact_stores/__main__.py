"""`python -m exact_stores carry FILE`: bring the rows of the old online store to the new one."""

import sqlite3
from pathlib import Path

import click
from feast import FeatureStore

from exact_stores.carry import carry


@click.group()
def commands() -> None:
    """Commands of the exact stores. Run them in the folder of feature_store.yaml, after feast apply."""


@commands.command("carry")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--repository", type=click.Path(path_type=Path, file_okay=False), default=Path(), show_default=True)
def carry_command(file: Path, repository: Path) -> None:
    """Write the rows of FILE, the SQLite file of the online store before, to the online store of feature_store.yaml.

    FILE may be Feast's or ours. A row that is there with the same or a later event timestamp stays.
    """
    try:
        counts = carry(FeatureStore(str(repository)), file)
    except (OSError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error
    for view, (read, written) in counts.items():
        click.echo(f"{view}: {read} rows read, {written} written.")
    if not counts:
        raise click.ClickException(f"{file} has no table of a view of this repository. Is it the right file?")


if __name__ == "__main__":
    commands()
