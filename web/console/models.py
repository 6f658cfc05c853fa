"""The versions of each model: which serves, how good each is, and the acts that change it."""

from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, send_file
from werkzeug.wrappers import Response as AnyResponse

from errors import BadParameter, ModelBroken, ModelNotTrained
from features.domains import risk_named, risks
from features.risk import Risk
from model import history, promotion, shelf
from root import Root
from serving import acts
from web import calls
from web.access import needs
from web.face import Face
from web.turns import out_of_turn

PROMOTE, ROLLBACK = "promote", "rollback"


def add(pages: Blueprint, face: Face) -> None:
    """`/console/models`, the reports, and the acts on a risk's models."""

    @pages.get("/models", strict_slashes=False)
    @needs("audit:read")
    @out_of_turn
    def models() -> str:
        return render_template("console/models.html", models=[_model(face.root, risk) for risk in risks().values()])

    @pages.get("/models/<name>/<version>/report")
    @needs("audit:read")
    @out_of_turn
    def report(name: str, version: str) -> Response:
        """As a file: its styles are within it, and no page of ours may have such."""
        risk = risk_named(name)
        if version not in history.versions(face.root.models / risk.name):
            raise BadParameter(f"{name} has no version of this name. Choose one on /console/models.", "version")
        path = face.root.models / risk.name / version / shelf.REPORT
        return send_file(path, as_attachment=True, download_name=f"{name}-{version}.html")

    @pages.post("/models/<name>")
    @needs("admin")
    @out_of_turn
    def change(name: str) -> AnyResponse:
        risk, act, version = risk_named(name), request.form.get("act", ""), request.form.get("version", "")
        inputs = [i.name for i in risk.inputs]
        if act not in (PROMOTE, ROLLBACK):
            raise BadParameter(f"There is no act {act[:40]!r}. Choose one of: {PROMOTE}, {ROLLBACK}.", "act")
        call = calls.current()
        actor = acts.Actor(call.caller, face.clock(), call.request_id)
        with acts.logged(face.root.cases, actor, "model", risk.name, act) as log:
            if act == PROMOTE:
                promotion.promote(face.root.models, risk.name, version, inputs, lambda to: log(version=to))
            else:
                promotion.rollback(face.root.models, risk.name, inputs, lambda to: log(version=to))
        return redirect("/console/models", 303)


def _model(root: Root, risk: Risk) -> dict[str, Any]:
    folder = root.models / risk.name
    try:
        current = shelf.current_version(root.models, risk.name)
    except (ModelNotTrained, ModelBroken) as error:
        return {"risk": risk, "problem": error.message, "versions": []}
    versions = []
    for version in reversed(history.versions(folder)):
        try:
            card = shelf.take(folder / version)[0]
        except ModelBroken:
            versions.append({"name": version, "is_current": version == current, "card": None})
            continue
        versions.append(
            {"name": version, "is_current": version == current, "card": card,
             "is_reported": (folder / version / shelf.REPORT).exists()}
        )  # fmt: skip
    return {
        "risk": risk,
        "problem": "",
        "versions": versions,
        "can_roll_back": len(history.served(folder, current)) > 1,
    }
