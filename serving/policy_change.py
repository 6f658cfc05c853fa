"""Puts a policy in force, or an earlier one again. Nobody else changes the policy meanwhile by a command, and what was
in force is kept first, also where somebody wrote it by hand."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import files
from choices import unknown
from errors import BadParameter, PolicyBroken
from features.policy import Policy
from features.risk import Risk
from serving.policies import Policies
from serving.policy_file import dumped
from serving.policy_history import BROKEN, Act, Entry, History

#: The word for what a risk declares, in the place of a version.
DEFAULT = "default"
#: Logs that a version is to be in force, before it is. If it raises, nothing changes.
Log = Callable[[str], object]


@dataclass(frozen=True)
class Change:
    """Who changes a policy, when, and why."""

    at: datetime
    by: str
    note: str = ""


def apply(history: History, policies: Policies, risk: Risk, file: Path, change: Change, log: Log) -> Policy:
    """Put the policy of a file in force. Raises PolicyBroken, FeaturesNotReady, OSError, and what `log` raises; then
    nothing is in force that was not before."""
    content = file.read_bytes()
    policy, lists = policies.read(risk, str(file), content)
    with history.locked():
        _keep_present(history, policies, risk, change.at)
        log(policy.version)
        history.add(_entry(policy, "applied", change), content, lists)
        with files.replacing(history.file) as beside:
            beside.write_bytes(content)
    return policy


def rollback(history: History, policies: Policies, risk: Risk, version: str | None, change: Change, log: Log) -> Policy:
    """Put the policy in force that was before the present one, or that of a version, or with `default` what the risk
    declares. The lists stay as they are today. Raises BadParameter where there is none, PolicyBroken,
    FeaturesNotReady, OSError, and what `log` raises; then nothing changes but that the present policy is kept."""
    lists: dict[str, bytes] = {}
    with history.locked():
        entries = _keep_present(history, policies, risk, change.at)
        target = _target(history, entries, risk, version)
        is_default = target is None or target.is_default
        if target is None or is_default:
            policy = policies.declared(risk)
            content = dumped(policy)
        else:
            content = history.content(target)
            policy, lists = policies.read(risk, f"{target.name} of the history", content)
        back_to = target.name if target else ""
        log(policy.version)
        history.add(_entry(policy, "rolled back", change, is_default, back_to), content, lists)
        if is_default:
            history.file.unlink(missing_ok=True)
            files.sync(history.file.parent)
        else:
            with files.replacing(history.file) as beside:
                beside.write_bytes(content)
    return policy


def kept(history: History, risk: Risk, version: str) -> Entry:
    """The newest file of a version. Raises BadParameter."""
    entries = {entry.version: entry for entry in history.entries()}
    if version not in entries:
        raise unknown(f"version of the policy of {risk.name}", version, entries, "None is kept yet.")
    return entries[version]


def _keep_present(history: History, policies: Policies, risk: Risk, at: datetime) -> list[Entry]:
    """Keep what is in force, if no file of the history says so. Returns all entries."""
    entries = history.entries()
    newest = history.served(entries)[-1:]
    if newest and history.is_in_force(newest[0]):
        return entries
    content, lists = history.in_force(), dict[str, bytes]()
    if content is None:
        policy = policies.declared(risk)
        entry, content = Entry(at, policy.version, "found", is_default=True), dumped(policy)
    else:
        try:
            policy, lists = policies.read(risk, history.file.name, content)
            entry = Entry(at, policy.version, "found")
        except PolicyBroken:
            entry = Entry(at, BROKEN, "found")
    return [*entries, history.add(entry, content, lists)]


def _target(history: History, entries: list[Entry], risk: Risk, version: str | None) -> Entry | None:
    """What to go back to, None for what the risk declares. Raises BadParameter."""
    if version == DEFAULT:
        return None
    if version is not None:
        return kept(history, risk, version)
    *earlier, _ = history.served(entries)
    usable = [entry for entry in earlier if entry.version != BROKEN]
    if not usable:
        raise BadParameter(
            f"No policy of {risk.name} was in force before this one. To go back to what is declared: "
            f"python -m jobs policy {risk.name} rollback {DEFAULT}"
        )
    return usable[-1]


def _entry(policy: Policy, act: Act, change: Change, is_default: bool = False, back_to: str = "") -> Entry:
    return Entry(change.at, policy.version, act, change.by, change.note, is_default, back_to)
