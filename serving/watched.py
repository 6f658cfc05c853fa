"""Files that are read again when they change: policies, their lists, and what a shadow is."""

from dataclasses import dataclass
from pathlib import Path

import files
from errors import PolicyBroken


@dataclass
class Watched:
    """A file that was read, or a folder that lacks what was looked for: then `content` is None. `seen` is None where
    there is nothing at `path`. While the signature of something settled stays, so does its content."""

    path: str
    seen: files.Signature | None
    is_settled: bool
    content: bytes | None

    def is_current(self) -> bool:
        """Whether it still says the same. Reads it only if its signature does not tell."""
        try:
            now = files.signature(self.path)
        except OSError:
            return self.seen is None
        if now == self.seen and self.is_settled:
            return True
        if self.content is None:
            return False
        self.is_settled = files.is_settled(now)
        self.seen = now
        try:
            return Path(self.path).read_bytes() == self.content
        except OSError:
            return False


def watch_absence(folder: Path) -> Watched:
    """Watch a folder, in which a file may appear. Raises PolicyBroken."""
    try:
        seen = files.signature(folder)
    except FileNotFoundError:
        if folder.is_symlink():
            raise PolicyBroken(f"{folder} is a link to nothing. Make the folder, or remove the link.") from None
        return Watched(str(folder), None, True, None)
    return Watched(str(folder), seen, files.is_settled(seen), None)


def read_watched(folder: Path, name: str) -> Watched | None:
    """The file `name` below a folder; an absolute path stands for itself. None if it is not there. Raises
    PolicyBroken."""
    path = folder / name
    try:
        seen = files.signature(path)
        is_settled = files.is_settled(seen)  # asked before the content is read: a change in between is then seen
        return Watched(str(path), seen, is_settled, path.read_bytes())
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return None
        raise PolicyBroken(f"{folder.name}/{name} cannot be read. {files.fault(error, path)}") from error
