"""`python -m jobs stream`."""

import click

from cli.values import PORT


@click.command()
@click.argument("domain", help="A domain that has a stream, or all: every stream, each from its log.")
@click.option(
    "--source",
    default="log",
    metavar="log|jsonl:PATH|kafka://HOST:PORT/TOPIC",
    help="log: what the service accepts. jsonl:PATH: a file of JSON lines, or a folder of them, as it grows. "
    "kafka://HOST:PORT/TOPIC: a topic, which any number of workers share.",
)
@click.option(
    "--engine",
    type=click.Choice(["quix", "flink"]),
    default="quix",
    help="What processes a topic: Quix Streams in this process, or Flink, which make flink installs.",
)
@click.option("--once", is_flag=True, help="Stop when everything that is there has been processed.")
@click.option("--metrics", type=PORT, show_default="none", help="Serve metrics for Prometheus on 127.0.0.1.")
def stream(domain: str, source: str, engine: str, once: bool, metrics: int | None) -> None:
    """Process events as they happen.

    They become online features and lines of the offline log. The job runs until SIGTERM or Ctrl-C.
    """
    import settings
    from jobs.stream import process

    process.run(settings.root(), domain, source, once, metrics, engine)
