"""Past cases whose outcome was fed back by HTTP: decisions of the audit log, with the features that were logged. They
are not computed again, so a model learns from what was served.

A case counts once. Where the raw table has the same one, the decision takes its place: the same id of an event; where
the table has no ids, the same entity on the same UTC day.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from features.risk import Risk
from features.utc import utc, utc_day
from root import Root
from serving.audit import outcomes
from serving.audit.lookup import OUTCOMES
from serving.audit.positions import Positions

#: The column that tells the cases of `rows` apart: true where the outcome was fed back.
FED_BACK = "is_fed_back"
#: Between the parts of the name of a case. No id has it.
SEPARATOR = "\x1f"
#: Type of a column or an input → that of its values in a frame.
_DTYPES = {"int": "Int64", "float": "float64", "string": "object", "timestamp": "datetime64[us, UTC]"}


@dataclass(frozen=True)
class Cases:
    """The cases, one row each: the columns of the request that the raw table has, `event_timestamp`, the label and the
    logged `features`. `keys` name the cases, in the order of the rows. `lacking` counts the decisions whose record
    lacks an input of today, and `young` those whose outcome is not final yet."""

    rows: pd.DataFrame
    keys: list[str]
    features: tuple[str, ...] = ()
    lacking: int = 0
    young: int = 0


def cases(root: Root, risk: Risk, now: datetime, whole: bool = False) -> Cases:
    """The cases whose outcome was known at `now`, oldest first, with the outcome that became known last by then. As
    with the raw table, a case counts `matures_after` the decision, and with `whole` at once: else bad outcomes, which
    become known first, would be too many. Raises RootBroken."""
    by_key: dict[str, tuple[datetime, dict[str, Any], dict[str, Any]]] = {}
    lacking = young = 0
    for record, label in _labelled(root, risk, now):
        as_of = utc(record["as_of"])
        if not whole and as_of > now - risk.outcomes.matures_after:
            young += 1
        elif not record["features"].keys() >= risk.by_input.keys():
            lacking += 1
        else:
            request = {**record["entity"], **record["request"], "event_timestamp": as_of, risk.outcomes.label: label}
            key = _key(risk, request) or record["decision_id"]
            if key not in by_key or by_key[key][0] <= as_of:
                by_key[key] = as_of, request, record["features"]
    ordered = sorted(by_key.items(), key=lambda item: item[1][0])
    frame = _frame(risk, [(request, features) for _, (_, request, features) in ordered])
    features = tuple(dict.fromkeys(name for _, (_, _, logged) in ordered for name in logged))
    return Cases(frame, [key for key, _ in ordered], features, lacking, young)


def without(risk: Risk, frame: pd.DataFrame, fed: Cases) -> pd.DataFrame:
    """The rows of the raw table that are none of these cases."""
    columns = _columns(risk)
    if not fed.keys or not columns:
        return frame
    keys = frame[columns[0]].astype(str)
    for name in columns[1:]:
        keys += SEPARATOR + frame[name].astype(str)
    if risk.outcomes.table.id is None:
        keys += SEPARATOR + frame["event_timestamp"].dt.strftime("%Y-%m-%d")
    return frame[~keys.isin(fed.keys)].reset_index(drop=True)


def _labelled(root: Root, risk: Risk, now: datetime) -> Iterator[tuple[dict[str, Any], float]]:
    """The decisions of a risk with the outcome that was known at `now`."""
    for records in outcomes.with_outcome(Positions(root.decisions, root.outcomes)):
        for record in records:
            given = outcomes.latest(record[OUTCOMES], now)
            if given is not None and record["risk"] == risk.name:
                yield record, given["outcome"]


def _columns(risk: Risk) -> list[str]:
    """The columns of the raw table that name a case, beside the day where the table has no ids."""
    table = risk.outcomes.table
    names = {column.name for column in table.columns}
    return [table.id] if table.id else [name for name in risk.entity_keys if name in names]


def _key(risk: Risk, row: Mapping[str, Any]) -> str | None:
    """The name of a case as `without` makes it. None where the row lacks what names it."""
    columns = _columns(risk)
    if not columns or any(row.get(name) is None for name in columns):
        return None
    parts = [str(row[name]) for name in columns]
    return SEPARATOR.join(parts if risk.outcomes.table.id else [*parts, str(utc_day(row["event_timestamp"]))])


def _frame(risk: Risk, records: list[tuple[dict[str, Any], dict[str, Any]]]) -> pd.DataFrame:
    """A frame of (request, features) pairs, each column with the type that it has in the raw table."""
    table, outcome = risk.outcomes.table, risk.outcomes.label
    dtypes = {column.name: _DTYPES[column.dtype] for column in table.columns} | {table.time: _DTYPES["timestamp"]}
    dtypes |= {
        "event_timestamp": _DTYPES["timestamp"],
        outcome: "int64" if risk.task == "classification" else "float64",
    }
    requested = {name for request, _ in records for name in request}
    columns = {n: _series([r.get(n) for r, _ in records], kind) for n, kind in dtypes.items() if n in requested}
    logged = dict.fromkeys(name for _, features in records for name in features)
    declared = {i.name: _DTYPES[i.dtype] for i in risk.inputs}
    columns |= {n: _series([f.get(n) for _, f in records], declared.get(n, "object")) for n in logged}
    return pd.DataFrame(columns)


def _series(values: list[Any], dtype: str) -> pd.Series:
    """Values of the log as a column. A column that an older version declared otherwise keeps its values."""
    try:
        return pd.Series(values, dtype=dtype)
    except (TypeError, ValueError):
        is_number = dtype in ("Int64", "int64", "float64")
        return pd.to_numeric(pd.Series(values), errors="coerce") if is_number else pd.Series(values, dtype="object")


def together(raw: pd.DataFrame, fed: Cases, names: list[str]) -> pd.DataFrame:
    """The cases of both, oldest first, with the columns `names`. The index numbers the rows of `raw`, then those of
    `fed`."""
    frame = pd.concat([raw[names], fed.rows.reindex(columns=names)], ignore_index=True) if fed.keys else raw[names]
    return frame.sort_values("event_timestamp", kind="stable")


def rows(
    raw: pd.DataFrame, fed: Cases, index: pd.Index, joined: Callable[[pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """The cases of an index of `together`, in its order, with features: those of `raw` from `joined`, those of `fed` as
    they were logged."""
    of_raw, of_fed = index[index < len(raw)], index[index >= len(raw)]
    if of_fed.empty:
        return joined(raw.loc[of_raw].reset_index(drop=True)).assign(**{FED_BACK: False})
    logged = fed.rows.loc[of_fed - len(raw)].set_axis(of_fed).assign(**{FED_BACK: True})
    if of_raw.empty:
        return logged.loc[index].reset_index(drop=True)
    served = joined(raw.loc[of_raw].reset_index(drop=True)).set_axis(of_raw).assign(**{FED_BACK: False})
    return pd.concat([served, logged]).loc[index].reset_index(drop=True)


def between(fed: Cases, start: datetime | None, end: datetime, views: Collection[str]) -> pd.DataFrame:
    """The rows of the cases from `start` on, and before `end`, without features that no view has today."""
    if not fed.keys:
        return fed.rows
    times = fed.rows["event_timestamp"]
    is_in = (times < pd.Timestamp(end)) & (True if start is None else times >= pd.Timestamp(start))
    return fed.rows[is_in].drop(columns=[name for name in fed.features if name not in views])


def notes(*frames: pd.DataFrame) -> tuple[str, ...]:
    """What a card says of the rows of `frames`."""
    count = sum(int(frame[FED_BACK].sum()) for frame in frames)
    return (f"Of {count:,} rows the outcome was fed back; their features are those that were logged.",) if count else ()
