"""Reads from the audit log what decides again: the features, what rules saw of the request, and the versions."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from errors import RiskError
from features.risk import Risk
from features.utc import EARLIEST, LATEST, utc
from serving import lines
from serving.store import Store

DAY = timedelta(days=1)
#: The parts of a line that make a decision, and their types in JSON.
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "decision_id": str, "decision": str, "score": (float, int), "reasons": list, "features": dict, "entity": dict,
    "request": dict, "model": dict, "policy": dict, "as_of": str,
}  # fmt: skip


@dataclass(frozen=True)
class Logged:
    """A decision of the log. `fields` is what rules saw of the request, as far as the line has it."""

    record: Mapping[str, Any]
    features: Mapping[str, Any]
    fields: Mapping[str, Any]
    as_of: datetime

    @property
    def decision_id(self) -> str:
        """The id under which the decision was answered."""
        return str(self.record["decision_id"])

    @property
    def model(self) -> str:
        """The version of the model that decided."""
        return str(self.record["model"].get("version"))

    @property
    def policy(self) -> str:
        """The version of the policy that decided."""
        return str(self.record["policy"].get("version"))


def between(
    folder: Path, names: Collection[str], since: datetime | None, until: datetime | None
) -> Iterator[dict[str, Any]]:
    """The lines about the risks that are dated since ≤ `as_of` < until, in the order of the log. A line whose `as_of`
    is no timestamp is among them, so that it can be counted."""
    for file in sorted(folder.glob(f"*{lines.SUFFIX}")):
        if _may_hold(file, since):
            for record in lines.read(file):
                if record.get("risk") in names:
                    as_of = _timestamp(record.get("as_of"))
                    if as_of is None or ((since is None or as_of >= since) and (until is None or as_of < until)):
                        yield record


class Reader:
    """Reads the lines of one risk. JSON has no timestamps, so the risk says which fields are some. Raises
    FeaturesNotReady."""

    def __init__(self, risk: Risk, store: Store) -> None:
        asks = store.asks(risk.name)
        self._names = tuple(risk.request.model_fields)
        self._times = {name for name in self._names if asks.get(name) == "UNIX_TIMESTAMP"} | _times_of(risk)

    def read(self, record: Mapping[str, Any]) -> Logged | None:
        """None where a part of the line is missing, or is not what it should be."""
        if any(not isinstance(record.get(name), kind) for name, kind in _TYPES.items()):
            return None
        as_of = _timestamp(record["as_of"])
        if as_of is None:
            return None
        values = {**record["request"], **record["entity"], **(record.get("fields") or {})}
        fields = {name: values[name] for name in self._names if name in values}
        for name in self._times & fields.keys():
            if isinstance(fields[name], str):
                try:
                    fields[name] = utc(fields[name])
                except (ValueError, OverflowError):
                    return None
        return Logged(record, record["features"], fields, as_of)


def _times_of(risk: Risk) -> set[str]:
    """The fields of the request that its row has as timestamps, by an example of a request."""
    fields = risk.request.model_fields
    example = {name: field.examples[0] for name, field in fields.items() if field.examples}
    try:
        row = risk.request.model_validate(example).row(LATEST - DAY, b"")
    except (ValueError, RiskError):  # a field has no example, or one that does not fit
        return set()
    return {name for name, value in row.items() if name in fields and isinstance(value, datetime)}


def _may_hold(file: Path, since: datetime | None) -> bool:
    """Whether a file, which is named after its day, may have a line of the interval. A job may decide about a day of
    before, and appends to the newest file."""
    try:
        begin = datetime.combine(date.fromisoformat(file.stem), time.min, UTC)
    except ValueError:
        return True
    return since is None or begin + DAY > since


def _timestamp(text: Any) -> datetime | None:
    try:
        timestamp = utc(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return timestamp if EARLIEST <= timestamp < LATEST else None
