"""Changes the policy of `onboarding` in a folder, for tests."""

from datetime import timedelta
from pathlib import Path

from fake import NOW, Fake, unlogged

from features.domains import risks
from serving import policy_change
from serving.policies import Policies
from serving.policy_change import Change
from serving.policy_history import History

ONBOARDING = risks()["onboarding"]
STRICT, MILD = b"thresholds: {low: 0.0, high: 0.1}\n", b"thresholds: {low: 0.8, high: 0.9}\n"


class Changes:
    """Changes the policy of onboarding in a folder, a second apart."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.history = folder, History(folder, "onboarding")
        self.policies, self.file, self.seconds = Policies(folder, Fake()), folder / "onboarding.yaml", 0

    def change(self, note: str = "") -> Change:
        self.seconds += 1
        return Change(NOW + timedelta(seconds=self.seconds), "ada", note)

    def apply(self, content: bytes, note: str = "") -> str:
        new = self.folder.parent / "new.yaml"
        new.write_bytes(content)
        return policy_change.apply(self.history, self.policies, ONBOARDING, new, self.change(note), unlogged).version

    def rollback(self, version: str | None = None) -> str:
        return policy_change.rollback(self.history, self.policies, ONBOARDING, version, self.change(), unlogged).version

    def edit(self, content: bytes) -> None:
        self.folder.mkdir(exist_ok=True)
        self.file.write_bytes(content)

    def version(self) -> str:
        return Policies(self.folder, Fake())[ONBOARDING].version

    def kept(self) -> list[tuple[str, str]]:
        return [(entry.act, entry.version) for entry in self.history.entries()]
