"""The pages of the domain `onboarding`: the sign-up form, which is the front page, and the home page of a driver."""

from flask import Blueprint, Response, jsonify, render_template

import settings
from features.domains import risks
from features.fields import STATES
from files import locked
from serving.onboarding import enrol
from web.domains import Link
from web.face import Face, from_body, from_path
from web.operations import Spec, body, operation
from web.risk import batch_scores
from web.schemas import SignUpAnswer

REFRESH_SECONDS = 5
LINKS = (Link("Sign up", "/"), Link("A driver", "/home/1001"))


def openapi_paths() -> Spec:
    """The sign-up path of the API docs. The pages are for people, and not in the docs."""
    about = "Decides about an applicant, and makes a driver of an approved one."
    applicant = risks()["onboarding"].request
    sign_up = operation("sign-up", "Sign an applicant up", about, SignUpAnswer, (400, 503), requestBody=body(applicant))
    return {"/sign-up/": {"post": sign_up}}


def blueprint(face: Face) -> Blueprint:
    """The sign-up form, the sign-up itself, and the home page of a driver."""
    pages = Blueprint("pages", __name__)
    onboarding, daily = risks()["onboarding"], risks()["daily"]

    @pages.get("/")
    def sign_up_page() -> str:
        return render_template("sign_up.html", states=sorted(STATES))

    @pages.post("/sign-up/")
    def sign_up() -> Response:
        applicant = from_body(onboarding)
        home = ""
        # Without the lock, two requests with the same SSN that arrive at once would both find it unused.
        with locked(face.root.sign_up_lock):
            as_of = face.clock()  # read inside the lock, so that sign-ups and their rows have the same order
            decision = face.service.decision(onboarding, applicant, as_of)
            if decision.decision == "approve":
                row = applicant.row(as_of, settings.hash_key())
                driver_id = enrol(face.service.store, daily, face.root.raw_table("drivers"), row, as_of)
                home = f"/home/{driver_id}"
        return jsonify(decision=decision.as_json(), home=home)

    @pages.get("/home/<driver_id>")
    def home_page(driver_id: str) -> str:
        driver = from_path(daily, {"driver_id": driver_id})
        return render_template(
            "home.html",
            driver_id=daily.path_value(driver),
            data=batch_scores(face, daily, driver),
            refresh_seconds=REFRESH_SECONDS,
        )

    return pages
