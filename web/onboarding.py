"""The pages of the domain `onboarding`: the sign-up form, which is the front page, and the home page of a driver."""

from typing import cast

from flask import Blueprint, Response, jsonify, render_template

from features.domains import risks
from features.fields import STATES
from features.onboarding import Applicant
from serving.onboarding import SignUps
from web import calls, throttle
from web.access import needs
from web.domains import Link
from web.face import Face, from_body, from_path
from web.once import PARAMETER, takes_key
from web.operations import Spec, body, operation
from web.risk import batch_scores
from web.schemas import SignUpAnswer
from web.turns import out_of_turn

REFRESH_SECONDS = 5
LINKS = (Link("Sign up", "/"), Link("A driver", "/home/1001"))


def openapi_paths() -> Spec:
    """The sign-up path of the API docs. The pages are for people, and not in the docs."""
    about = "Decides about an applicant, and makes a driver of an approved one."
    applicant = risks()["onboarding"].request
    sign_up = operation(
        "sign-up", "Sign an applicant up", about, SignUpAnswer, name="sign_up",
        parameters=[PARAMETER], requestBody=body(applicant),
    )  # fmt: skip
    return {"/sign-up/": {"post": sign_up}}


def blueprint(face: Face) -> Blueprint:
    """The sign-up form, the sign-up itself, and the home page of a driver."""
    pages = Blueprint("pages", __name__)
    onboarding, daily = risks()["onboarding"], risks()["daily"]
    sign_ups = SignUps(face.service, face.root)

    @pages.get("/")
    @needs("decisions:write")
    def sign_up_page() -> str:
        return render_template("sign_up.html", states=sorted(STATES))

    @pages.post("/sign-up/")
    @needs("decisions:write")
    @takes_key
    @out_of_turn  # it waits for the sign-ups of other processes
    def sign_up() -> Response:
        throttle.spend("decisions")
        answer = sign_ups.sign_up(cast(Applicant, from_body(onboarding)), face.clock, calls.current())
        driver_id = answer["driver_id"]
        home = "" if driver_id is None else f"/home/{driver_id}"
        return jsonify(decision=answer["decision"], home=home)

    @pages.get("/home/<driver_id>")
    @needs("audit:read")
    def home_page(driver_id: str) -> str:
        driver = from_path(daily, {"driver_id": driver_id})
        return render_template(
            "home.html",
            driver_id=daily.path_value(driver),
            data=batch_scores(face, daily, driver),
            refresh_seconds=REFRESH_SECONDS,
        )

    return pages
