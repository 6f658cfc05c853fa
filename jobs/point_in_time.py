"""The features as they were at past timestamps, for training and for the parity check.

Feast joins the stored features. The features of live tables are computed from the raw events: of a state, only the
newest is stored, but the events say what was known at any time.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from errors import FeaturesNotReady
from features.risk import Risk
from features.windows.live import LiveFeatures, seen_of
from jobs.batch.at_moments import at_moments
from root import Root
from serving import featurization
from serving.store import Store

#: Type of a feature → that of its column. A whole number stays one where others are null.
_DTYPES = {"int": "Int64", "float": "float64", "string": "object"}


def features(root: Root, store: Store, risk: Risk, frame: pd.DataFrame, quarantine: Path | None = None) -> pd.DataFrame:
    """The rows of `frame` in their order, with every feature of the risk's feature service as known at the row's
    `event_timestamp` (UTC).

    `frame` has the columns of the risk's requests and `event_timestamp`. It may have `<table>_seen` for a live table:
    µs since 1970, up to when the stream job had processed events of the row's key. Then the features of that table
    count the events that were processed by then. Invalid raw events go to the file `quarantine`, with the name of their
    table added to its own; without it they are an error. Raises FeaturesNotReady, NoData, BadInput.
    """
    views = store.views(risk.name)
    if risk.live is None:
        return featurization.complete_frame(store.historical(risk, frame), views)
    live = _live(root, risk.live, frame, quarantine)
    stored = [name for name in views if name not in live]
    if stored:
        entities = frame.drop(columns=[seen_of(table) for table in risk.live.tables], errors="ignore")
        live = live.assign(**featurization.complete_frame(store.historical(risk, entities), views)[stored])
    return frame.reset_index(drop=True).assign(**{name: live[name] for name in views})


def require_inputs(risk: Risk, store: Store) -> None:
    """Raises FeaturesNotReady if the registry does not know what the code declares. Training and batch scoring call it
    before they join."""
    views = store.views(risk.name)
    declared = [i.name for i in risk.inputs]
    declared += [] if risk.live is None else [feature.name for feature in risk.live.features]
    if unknown := [name for name in dict.fromkeys(declared) if name not in views]:
        raise FeaturesNotReady(
            f"{risk.name} declares {', '.join(unknown)}, which its feature service in the registry does not have. The "
            "definitions changed: run python -m jobs pipeline, or feast apply in feature_repo/ and materialize."
        )


def _live(root: Root, live: LiveFeatures, frame: pd.DataFrame, quarantine: Path | None) -> pd.DataFrame:
    """The features of the live tables, and their `<table>_seen`, null where the frame has none."""
    values: dict[str, pd.Series] = {}
    processed_until: dict[str, Any] = {}
    for table in live.tables:
        entities = frame[[*table.keys, "event_timestamp", *frame.columns.intersection([seen_of(table)])]]
        joined = at_moments(root, table, entities, quarantine=_of_table(quarantine, table.name))
        values |= {live.named(table, name): joined[name] for name in table.empty}
        processed_until[seen_of(table)] = frame[seen_of(table)].tolist() if seen_of(table) in frame else None
    if live.then:
        request = {name: frame[name].reset_index(drop=True) for name in live.request}
        values |= _computed(live.then, values | request, [feature.name for feature in live.more])
    return pd.DataFrame({f.name: _typed(values[f.name], _DTYPES[f.dtype]) for f in live.features}).assign(
        **processed_until
    )


def _computed(
    then: Callable[[Mapping[str, Any]], dict[str, Any]], inputs: Mapping[str, pd.Series], names: list[str]
) -> dict[str, pd.Series]:
    """The features `names` that a function computes of each row."""
    columns, count = _PlainColumns(inputs), len(next(iter(inputs.values())))
    results = [then(_Row(columns, number)) for number in range(count)]
    return {name: pd.Series([result[name] for result in results], dtype=object) for name in names}


class _PlainColumns(dict[str, list[Any]]):
    """Columns whose values are made plain once somebody asks for one: most functions take a few of forty."""

    def __init__(self, columns: Mapping[str, pd.Series]) -> None:
        super().__init__()
        self.columns = columns

    def __missing__(self, name: str) -> list[Any]:
        plain = self[name] = _plain(self.columns[name])
        return plain


class _Row(Mapping[str, Any]):
    """A row of columns. It does what the dictionary of a request does that a feature function may use."""

    __slots__ = ("_columns", "_number")

    def __init__(self, columns: _PlainColumns, number: int) -> None:
        self._columns, self._number = columns, number

    def __getitem__(self, name: str) -> Any:
        return self._columns[name][self._number]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns.columns)

    def __len__(self) -> int:
        return len(self._columns.columns)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self, **other}


def _plain(column: pd.Series) -> list[Any]:
    """The values as Python has them, None where one is missing."""
    values = (
        pd.Series(pd.DatetimeIndex(column).to_pydatetime(), dtype=object) if _is_in_microseconds(column) else column
    )
    return values.astype(object).where(column.notna(), None).tolist()


def _is_in_microseconds(column: pd.Series) -> bool:
    """Whether Python's `datetime` holds its timestamps. It is ten times faster than pandas' own."""
    return isinstance(column.dtype, pd.DatetimeTZDtype) and column.dtype.unit == "us"


def _typed(column: pd.Series, dtype: str) -> pd.Series:
    return column.where(column.notna(), None) if dtype == "object" else column.astype(dtype)


def _of_table(quarantine: Path | None, table: str) -> Path | None:
    """Two tables do not share a file: `bad.csv` → `bad-clicks.csv`."""
    return quarantine and quarantine.with_stem(f"{quarantine.stem}-{table}")
