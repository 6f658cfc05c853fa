"""The cards and the policies of a risk by their versions, as far as they are still there."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from errors import BadParameter, ModelBroken, PolicyBroken
from features.policy import Policy
from features.risk import Risk
from jobs.replay.deciding import Again
from model import promotion
from model.scorer import Scorer, Scorers
from root import Root
from serving.policies import Policies
from serving.policy_history import HISTORY, LISTS, Entry, History
from serving.store import Store


class Gone(Exception):
    """A version is not on the shelf any more, or cannot decide any more. The text says which."""


class Versions:
    """What decided requests of a risk. `model` and `file` replace the version of the model and the policy of every
    line. Raises BadParameter, ModelBroken, PolicyBroken, FeaturesNotReady."""

    def __init__(
        self, root: Root, store: Store, risk: Risk, model: str | None = None, file: Path | None = None
    ) -> None:
        self._root, self._risk = root, risk
        self._model = None if model is None else promotion.loaded(root.models, risk.name, model, risk.by_input)
        policies = Policies(root.policies, store)
        self._policy = None if file is None else policies.check(risk, file)
        self._store, self._history = store, History(root.policies, risk.name)
        self._policies: dict[str, Policy | None] = {p.version: p for p in (policies.declared(risk), policies[risk])}
        self._scorers: dict[str, Scorer | Gone] = {}
        self._again: dict[tuple[str, str], Again] = {}

    @property
    def are_those_of_the_log(self) -> bool:
        """Whether each line is decided with the versions that it names."""
        return self._model is None and self._policy is None

    def again(self, model: str, policy: str) -> Again:
        """What decides a line that names these versions. Raises Gone."""
        if (model, policy) not in self._again:
            scorer = self._model or self._scorer(model)
            in_force = self._policy or self._of_history(policy)
            if in_force is None:
                raise Gone(f"policy {policy} is gone")
            self._again[model, policy] = Again(self._risk, scorer, in_force)
        return self._again[model, policy]

    def current(self) -> Again:
        """What decides a request now, with the replaced version and policy. Raises ModelNotTrained, ModelBroken,
        PolicyBroken, FeaturesNotReady."""
        scorer = self._model or Scorers(self._root.models)[self._risk.name]
        return Again(self._risk, scorer, self._policy or Policies(self._root.policies, self._store)[self._risk])

    def _of_history(self, version: str) -> Policy | None:
        """The policy of a version, with its lists as they were. None where it is not kept."""
        if version not in self._policies:
            entries = [entry for entry in self._history.entries() if entry.version == version]
            policies = (self._kept(entry) for entry in entries)
            self._policies[version] = next((p for p in policies if p and p.version == version), None)
        return self._policies[version]

    def _kept(self, entry: Entry) -> Policy | None:
        folder = self._root.policies
        with tempfile.TemporaryDirectory() as scratch, suppress(PolicyBroken, OSError):
            for path, kept in entry.lists.items():
                target = Path(scratch) / Path(path).name if Path(path).is_absolute() else Path(scratch) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / HISTORY / LISTS / f"{kept['sha256']}.txt", target)
            content = self._history.content(entry)
            return Policies(folder, self._store, Path(scratch)).read(self._risk, entry.name, content)[0]
        return None

    def _scorer(self, version: str) -> Scorer:
        if version not in self._scorers:
            try:
                self._scorers[version] = promotion.loaded(
                    self._root.models, self._risk.name, version, self._risk.by_input
                )
            except BadParameter:
                self._scorers[version] = Gone(f"model {version} is gone")
            except ModelBroken as error:
                self._scorers[version] = Gone(f"model {version} cannot be used: {error.message}")
        scorer = self._scorers[version]
        if isinstance(scorer, Gone):
            raise scorer
        return scorer
