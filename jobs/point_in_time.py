"""The features of past moments: joined by Feast, and those of live tables computed anew from the raw events. Of a live
state only the newest is kept at hand; but what was known at a moment, the events tell exactly."""

from typing import Any

import pandas as pd

from features.risk import Risk
from features.windows.live import LiveFeatures, seen_of
from jobs.batch.at_moments import records_at_moments
from root import Root
from serving import featurization
from serving.store import Store


def features(root: Root, store: Store, risk: Risk, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of `frame` (the risk's own, with `event_timestamp`) in their order, with every feature of its service as
    known at that moment; or, where a row says what its live tables had seen (`<table>_seen`), by that. Raises
    FeaturesNotReady, NoData, BadInput."""
    views = store.views(risk.name)
    if risk.live is None:
        return featurization.complete_frame(store.historical(risk, frame), views)
    live = _live(root, risk.live, frame)
    others = [name for name in views if name not in live]
    if others:
        own = frame.drop(columns=[seen_of(table) for table in risk.live.tables], errors="ignore")
        live = live.assign(**featurization.complete_frame(store.historical(risk, own), views)[others])
    return frame.reset_index(drop=True).assign(**{name: live[name] for name in views})


def _live(root: Root, live: LiveFeatures, frame: pd.DataFrame) -> pd.DataFrame:
    """The features of the live tables, and what these had seen where the frame says so."""
    by_table: dict[str, list[dict[str, Any]]] = {}
    seen: dict[str, Any] = {}
    for table in live.tables:
        asked = frame[[*table.keys, "event_timestamp", *frame.columns.intersection([seen_of(table)])]]
        by_table[table.name] = records_at_moments(root, table, asked)
        seen[seen_of(table)] = frame[seen_of(table)].tolist() if seen_of(table) in frame else None
    request = frame[list(live.request)].astype(object)
    said = request.where(request.notna(), None).to_dict("records")
    rows = [
        live.of({name: of[i] for name, of in by_table.items()}, said[i] if live.request else {})
        for i in range(len(frame))
    ]
    return pd.DataFrame(rows, columns=[feature.name for feature in live.features]).assign(**seen)
