"""The queue of the cases that a person has to decide, and the acts on them."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from errors import NotAllowed
from features.domains import risks
from features.utc import since_1970
from serving.audit import search
from serving.audit.positions import Positions
from serving.audit.search import Search
from serving.cases import Cases, is_case
from web import calls
from web.access import may, needs
from web.console.decisions import row
from web.face import Face
from web.turns import out_of_turn

#: The queue has cases of this long, and shows this many of them, the oldest first.
OPEN_FOR, SHOWN = timedelta(days=30), 100
#: Of each risk, so many pages of decisions are looked through.
PAGE, MOST_PAGES = 500, 20
REFRESH_SECONDS = 5
#: How the name of a caller with an API key begins.
MACHINE = "key:"


def add(pages: Blueprint, face: Face, positions: Positions, cases: Cases) -> None:
    """`/console/cases` and the acts on a case."""

    @pages.get("/cases", strict_slashes=False)
    @needs("audit:read")
    @out_of_turn
    def queue() -> str:
        records = open_cases(face, positions, cases)
        rows = [{**row(record), "taken_by": cases.case(record["decision_id"]).taken_by} for record in records[-SHOWN:]]
        return render_template(
            "console/cases.html", rows=rows[::-1], total=len(records), days=OPEN_FOR.days,
            refresh_seconds=REFRESH_SECONDS,
        )  # fmt: skip

    @pages.post("/cases/<decision_id>")
    @needs("decisions:write")
    @out_of_turn
    def act(decision_id: str) -> AnyResponse:
        call, record = calls.current(), search.by_id(positions, decision_id)
        if call.caller.startswith(MACHINE):  # it may ask for decisions, and must not approve its own
            raise NotAllowed("A case is for a person to decide, and this is an API key. Sign in.")
        note = request.form.get("note", "")
        kind, is_admin = request.form.get("act", ""), may("admin")
        cases.act(record, kind, call.caller, call.request_id, face.clock(), note, is_admin)
        return redirect(f"/console/decisions/{decision_id}", 303)


def open_cases(face: Face, positions: Positions, cases: Cases) -> list[dict[str, Any]]:
    """The audit records of the open cases, newest first: those of the newest decisions, where there are very many.
    Raises IndexBehind, RootBroken, AuditUnavailable."""
    settled, since = cases.settled(), since_1970(face.clock() - OPEN_FOR)
    records: list[dict[str, Any]] = []
    for risk in risks().values():
        if risk.task == "classification":
            wanted, cursor = Search(risk=risk.name, outcome=risk.appetite.words[1], since=since), None
            for _ in range(MOST_PAGES):
                page, cursor = search.page(positions, wanted, PAGE, cursor)
                records += [r for r in page if r["decision_id"] not in settled and is_case(r)]
                if cursor is None:
                    break
    return sorted(records, key=lambda record: str(record["as_of"]), reverse=True)
