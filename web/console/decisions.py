"""Decisions as they come, with filters, and the page of one decision."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as AnyResponse

from errors import BadRequest, UnknownEntity
from features.domains import internal_features, risks
from features.risk import Risk
from features.utc import utc
from serving.audit import search
from serving.audit.positions import Positions
from serving.cases import ACTS, Cases, is_case, word_of
from web.access import needs
from web.decisions import FIELDS, search_of, wanted_from
from web.face import Face
from web.turns import out_of_turn

#: The decisions of a page, and how often it looks for new ones.
SHOWN, REFRESH_SECONDS = 50, 2
#: The CSS class of each band of a risk, the mildest first.
LOOKS = ("approve", "review", "decline")


def add(pages: Blueprint, face: Face, positions: Positions, cases: Cases) -> None:
    """`/console`, its search, and `/console/decisions/<id>`."""

    @pages.get("", strict_slashes=False)
    @needs("audit:read")
    @out_of_turn
    def newest() -> str:
        problem, records, following = "", list[dict[str, Any]](), None
        try:
            wanted = wanted_from(request.args)
            asked_for = search_of(wanted, [face.service.hash_key])
            records, following = search.page(positions, asked_for, SHOWN, wanted.cursor)
        except (BadRequest, UnknownEntity) as error:
            problem = error.message
        more = {**request.args.to_dict(), "cursor": following}
        return render_template(
            "console/decisions.html", rows=[row(record) for record in records], problem=problem, risks=risks().values(),
            words=dict.fromkeys(word for risk in risks().values() for word in risk.appetite.words), args=request.args,
            keys=dict.fromkeys(key for risk in risks().values() for key in risk.entity_keys),
            more=f"/console?{urlencode(more)}" if following else "", refresh_seconds=REFRESH_SECONDS,
            is_live="cursor" not in request.args,
        )  # fmt: skip

    @pages.post("/search")
    @needs("audit:read")
    def find() -> AnyResponse:
        """A form sends an identifier in its body, and the page that shows the result has its hash in the URL."""
        return redirect(f"/console?{urlencode(_hashed(request.form, face))}", 303)

    @pages.get("/decisions/<decision_id>")
    @needs("audit:read")
    @out_of_turn
    def decision(decision_id: str) -> str:
        record = search.by_id(positions, decision_id)
        why = _why(face, record) if "why" in request.args else None
        case = cases.case(decision_id)
        return render_template(
            "console/decision.html", record=record, row=row(record), case=case if is_case(record) else None,
            acts=case.acts, buttons=buttons(record), why=why, features=features_of(record),
            latency=(record.get("latency_us") or {}).items(),
        )  # fmt: skip


def _why(face: Face, record: Mapping[str, Any]) -> list[Any]:
    from provenance.explaining import explain  # it imports DuckDB, which decisions do without

    return explain(face.root, face.service.store, record)


def _hashed(form: Mapping[str, str], face: Face) -> dict[str, str]:
    """The filled fields of the form of the filters, with an identifier as the search has it."""
    filled = {name: value for name, value in form.items() if name in FIELDS and value}
    if form.get("value"):
        filled[form.get("key", "")] = form["value"]
    names = search_of(wanted_from(MultiDict(filled)), [face.service.hash_key]).names
    return {**filled, **{name: values[0] for name, values in names}}


def row(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a table shows of a decision."""
    reasons, risk = record["reasons"], risks().get(record["risk"])
    return {
        "id": record["decision_id"], "risk": record["risk"], "decision": record["decision"], "look": look(record, risk),
        "as_of": time(record["as_of"]), "score": record["score"], "entity": short(record["entity"]),
        "reason": reasons[0]["text"] if reasons else "", "caller": record.get("caller") or "",
    }  # fmt: skip


def look(record: Mapping[str, Any], risk: Risk | None) -> str:
    """The CSS class of a decision."""
    words = risk.appetite.words if risk else ()
    return LOOKS[words.index(record["decision"])] if record["decision"] in words else "review"


def time(text: str) -> str:
    """A timestamp for people, in UTC: `2026-01-31 12:00:00`."""
    return f"{utc(text):%Y-%m-%d %H:%M:%S}"


def short(entity: Mapping[str, Any]) -> str:
    """The entity in a cell: a hash by its beginning."""
    return ", ".join(f"{name} {str(value)[:12]}" for name, value in entity.items() if value is not None)


def features_of(record: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """Name, value and event time of each feature, without the internal ones."""
    times, views = record.get("event_times") or {}, record.get("views") or {}
    dated = {name: time(times[view]) for view, names in views.items() for name in names if times.get(view)}
    return [
        (name, value, dated.get(name, ""))
        for name, value in record["features"].items()
        if name not in internal_features()
    ]


def buttons(record: Mapping[str, Any]) -> dict[str, str]:
    """Act → what its button says."""
    risk = risks().get(record["risk"])
    return {act: word_of(risk, act) if act in ACTS[-2:] and risk else act for act in ACTS}
