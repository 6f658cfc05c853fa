"""Waits until the disk has what was written. Those that wait at the same time share one wait: a disk needs
milliseconds, however much there is to write."""

from collections.abc import Callable
from threading import Condition, Lock


class _Batch:
    """What one `sync` takes to the disk."""

    def __init__(self, lock: Lock) -> None:
        self.changed = Condition(lock)
        self.is_done = False
        self.error: BaseException | None = None


class GroupCommit:
    """One file that threads append to. `sync` waits until the disk has all that was appended before; it may raise."""

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._lock = Lock()
        self._is_syncing = False
        self._next = _Batch(self._lock)

    def ticket(self) -> Callable[[], None]:
        """A function that waits until the disk has what was appended before this call. It raises what `sync` raised for
        it. Threads may call it, and each as often as it likes."""
        batch = self._next  # a sync that begins from now on takes what was appended
        return lambda: self._wait(batch)

    def _wait(self, batch: _Batch) -> None:
        with self._lock:
            while self._is_syncing and not batch.is_done:
                batch.changed.wait()
            is_leader = not batch.is_done
            if is_leader:  # no sync is at work, so this batch is the next one
                self._is_syncing, self._next = True, _Batch(self._lock)
        if is_leader:
            try:
                self._sync()
            except BaseException as error:
                batch.error = error
                raise
            finally:
                with self._lock:
                    batch.is_done, self._is_syncing = True, False
                    batch.changed.notify_all()
                    self._next.changed.notify()  # one of those that wait for the next batch leads it
        elif batch.error is not None:
            raise batch.error
