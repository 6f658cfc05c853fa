"""Counters that all processes of the service share, as a storage of the library `limits`.

They are in a small file that each process maps into its memory. A counter has a slot, found by the hash of its name, so
the file holds no name. A slot whose time is over is used again. If many names share few slots, the counter that ends
first makes room: a limit is then too generous for a moment, and never too strict."""

import fcntl
import hashlib
import mmap
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from limits.storage import Storage

from files import make_folder

SLOTS = 8192
#: A counter is in one of this many slots.
PROBES = 8
#: The hash of the name, the end in seconds since 1970, and the count.
SLOT = struct.Struct("<Qdq")


class SharedStorage(Storage):
    """Counters in the file `path`. Raises OSError if it cannot be written."""

    STORAGE_SCHEME = None
    base_exceptions = OSError

    def __init__(self, path: Path) -> None:
        super().__init__()
        make_folder(path.parent)
        self._file = path.open("a+b")
        self._lock = Lock()
        with self._held():
            self._file.truncate(SLOTS * SLOT.size)
        self._slots = mmap.mmap(self._file.fileno(), SLOTS * SLOT.size)

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter, which ends `expiry` seconds after its first use. Its new value."""
        name, now = _hash(key), time.time()
        with self._held():
            place, end, count = self._find(name, now)
            end, count = (end, count + amount) if end > now else (now + expiry, amount)
            SLOT.pack_into(self._slots, place, name, end, count)
        return count

    def get(self, key: str) -> int:
        """The value of a counter."""
        return self._read(key)[1]

    def get_expiry(self, key: str) -> float:
        """When a counter ends, in seconds since 1970."""
        return self._read(key)[0]

    def check(self) -> bool:
        """Whether the storage works."""
        return not self._slots.closed

    def reset(self) -> int | None:
        """Forget all counters."""
        with self._held():
            self._slots[:] = bytes(SLOTS * SLOT.size)
        return None

    def clear(self, key: str) -> None:
        """Forget a counter."""
        with self._held():
            SLOT.pack_into(self._slots, self._find(_hash(key), time.time())[0], 0, 0.0, 0)

    def _read(self, key: str) -> tuple[float, int]:
        now = time.time()
        with self._held():
            _, end, count = self._find(_hash(key), now)
        return (end, count) if end > now else (now, 0)

    def _find(self, name: int, now: float) -> tuple[int, float, int]:
        """The place of a counter, its end and its value. A new one gets the slot that ends first."""
        best, first_end = 0, float("inf")
        for i in range(PROBES):
            place = (name + i) % SLOTS * SLOT.size
            owner, end, count = SLOT.unpack_from(self._slots, place)
            if owner == name and end > now:
                return place, end, count
            if end < first_end:
                best, first_end = place, end
        return best, 0.0, 0

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep other threads and processes out. The system frees the lock of a process that dies."""
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(errors="replace"), digest_size=8).digest(), "little")
