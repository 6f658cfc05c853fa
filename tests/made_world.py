"""Generated raw events for the tests of roots, and what such a root holds."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from click.testing import CliRunner

import features
from hash_keys import claim_for_key
from jobs.world.generate import generate as generate_shares
from jobs.world.marker import World
from jobs.world.shares import shares
from root import Root
from simulators import Size

DAY = datetime(2026, 1, 31, tzinfo=UTC)
NEXT_DAY = DAY + timedelta(days=1)
SIZE = Size(drivers=100, users=10, merchants=10, order_days=1, coupon_days=1, customers=100, products=12, shop_days=1)
WORLD, OTHER = World(7, SIZE, b"key"), World(8, SIZE, b"key")
DOMAINS = ("onboarding", "coupon", "catalog")
#: For the command.
ONLY = ("--domain=coupon", "--domain=catalog")


def generate(root: Root, world: World, day: datetime, domains: tuple[str, ...] = features.DOMAINS) -> None:
    claim = partial(claim_for_key, root.hash_key, world.hash_key, lambda: None)
    generate_shares(root, world, day, shares(root, domains), claim)


def contents(root: Root) -> dict[str, bytes]:
    files = (file for file in root.path.rglob("*") if file.is_file())
    return {file.relative_to(root.path).as_posix(): file.read_bytes() for file in files}


def put(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def invoke(command: object, root: Root, *arguments: str, **env: str) -> tuple[int, str]:
    sizes = [f"--{name.replace('_', '-')}={value}" for name, value in vars(SIZE).items()]
    run = CliRunner(env={"RISK_DATA": str(root), **env}).invoke
    result = run(command, [*arguments, *sizes, "--now=2026-01-31"])  # type: ignore[arg-type]
    return result.exit_code, result.output
