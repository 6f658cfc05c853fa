"""The marker of a root, `world.json`: which raw files were generated, by digest, and of which world they are."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from files import fingerprint, replacing
from hash_keys import key_check
from root import Root
from simulators import Size


@dataclass(frozen=True)
class World:
    """What generated data depend on, beside the code and the time."""

    seed: int
    size: Size
    hash_key: bytes = field(repr=False)

    def identity(self) -> dict[str, Any]:
        """What tells this world from another one. It does not tell the hash key."""
        return {"seed": self.seed, **asdict(self.size), "key": key_check(self.hash_key)}

    def old_fingerprint(self) -> str:
        """The content of `raw/world`, the marker of older versions. It knew no files."""
        return fingerprint({"seed": self.seed, **asdict(self.size), "key": fingerprint(self.hash_key.hex())})


@dataclass
class Part:
    """What was generated for one domain. `world` is `World.identity()`. `made_at` is the timestamp up to which the
    files are generated; None while a generator is at work, and after one was killed. `digests`: path below the root →
    SHA-256 of the file there; while it is replaced, of the old and of the new one."""

    world: dict[str, Any]
    made_at: str | None = None
    digests: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class Marker:
    """The parts of a root, by domain. A domain without one has no generated files."""

    root: Root
    parts: dict[str, Part] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Root) -> "Marker":
        """A marker that is missing or damaged knows nothing."""
        try:
            parts = json.loads(root.generated.read_text())
            return cls(root, {domain: Part(**part) for domain, part in parts.items()})
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return cls(root)

    def write(self) -> None:
        """Replace the file."""
        with replacing(self.root.generated) as beside:
            beside.write_text(json.dumps({domain: asdict(part) for domain, part in self.parts.items()}, indent=1))

    def name(self, path: Path) -> str:
        """A path as the marker has it."""
        return path.relative_to(self.root.path).as_posix()

    def digests(self, path: Path) -> list[str]:
        """What the file of this path may hold, if it was generated."""
        return [digest for part in self.parts.values() for digest in part.digests.get(self.name(path), ())]

    def expect(self, domain: str, path: Path, digest: str) -> None:
        """Note, before a file is replaced, what it will be. Killed before or after, the generator knows its file."""
        digests = self.parts[domain].digests
        digests[self.name(path)] = [*digests.get(self.name(path), [])[-1:], digest]
        self.write()

    def is_of(self, world: World, made_at: str, domains: tuple[str, ...]) -> bool:
        """Whether this world was generated whole for the domains, up to this timestamp, and each file is there."""
        parts = [self.parts.get(domain) for domain in domains]
        return all(
            part is not None
            and (part.world, part.made_at) == (world.identity(), made_at)
            and all((self.root.path / name).is_file() for name in part.digests)
            for part in parts
        )
