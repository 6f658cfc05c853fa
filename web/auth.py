"""Signing in: tokens for programs at `/api/v1/auth/`, sessions for browsers at `/sign-in/`."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from flask import Blueprint, Response, jsonify, make_response, redirect, render_template, request
from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError
from werkzeug.wrappers import Response as AnyResponse

from access import scopes, tokens
from access.gate import Gate, Pair
from access.sessions import SESSION_LIFETIME
from errors import BadParameter, NotSignedIn
from web import examples
from web.access import SIGN_IN, cookie_name, is_local, local_path, needs, public
from web.errors import from_validation
from web.face import as_object, json_body
from web.operations import Spec, body, operation
from web.schemas import SignedOut, Tokens
from web.turns import out_of_turn

Body = TypeVar("Body", bound=BaseModel)
OPEN = "This service is open: nobody signs in. Send requests without a token."
LOGIN = (
    "An access token for ten minutes, and a refresh token for the next ones. Send the access token with each request, "
    "as `Authorization: Bearer …`."
)
REFRESH = "Both tokens anew. A refresh token works once: if it is sent twice, all that follow from its sign-in end."
LOGOUT = "Ends the refresh tokens of a sign-in. An access token ends by itself, in ten minutes."


class LoginRequest(BaseModel):
    """A user and the password."""

    model_config = ConfigDict(extra="forbid")

    email: StrictStr = Field(examples=["ann@example.com"])
    password: StrictStr = Field(examples=["correct horse battery"])


class RefreshRequest(BaseModel):
    """The refresh token of the last answer."""

    model_config = ConfigDict(extra="forbid")

    refresh_token: StrictStr = Field(examples=["hUv3…"])


def openapi_paths() -> Spec:
    """The paths of the API docs. The pages are for people, and not in the docs."""
    described: dict[str, tuple[str, str, type[BaseModel], type[BaseModel], tuple[int, ...]]] = {
        "login": ("Sign in", LOGIN, Tokens, LoginRequest, (401, 429, 503)),
        "refresh": ("Refresh tokens", REFRESH, Tokens, RefreshRequest, (401, 429, 503)),
        "logout": ("Sign out", LOGOUT, SignedOut, RefreshRequest, (429, 503)),
    }
    return {
        f"/api/v1/auth/{name}": {
            "post": operation("access", title, about, answer, errors, public=True, requestBody=body(sent))
        }
        for name, (title, about, answer, sent, errors) in described.items()
    }


def blueprint(gate: Gate | None, clock: Callable[[], datetime]) -> Blueprint:
    """The paths for programs, and the pages for people. Without a gate there is nothing to sign in to."""
    paths = Blueprint("auth", __name__)

    @paths.post("/api/v1/auth/login")
    @public
    @out_of_turn
    def login() -> Response:
        sent = _sent(LoginRequest)
        return _tokens(_needed(gate).login(sent.email, sent.password, clock()))

    @paths.post("/api/v1/auth/refresh")
    @public
    @out_of_turn
    def refresh() -> Response:
        return _tokens(_needed(gate).refresh(_sent(RefreshRequest).refresh_token, clock()))

    @paths.post("/api/v1/auth/logout")
    @public
    @out_of_turn
    def logout() -> Response:
        _needed(gate).logout(_sent(RefreshRequest).refresh_token)
        return jsonify(signed_out=True)

    @paths.get(SIGN_IN)
    @public
    def sign_in_page() -> str | AnyResponse:
        target = local_path(request.args.get("next", ""))
        return redirect(target, 303) if gate is None else _page(target)

    @paths.post(SIGN_IN)
    @public
    @out_of_turn
    def sign_in() -> AnyResponse:
        target, email = local_path(request.form.get("next", "")), request.form.get("email", "")
        try:
            secret = _needed(gate).sign_in(email, request.form.get("password", ""), clock())
        except NotSignedIn as error:
            return make_response(_page(target, email, error.message), error.status)
        answer = redirect(target, 303)
        answer.set_cookie(
            cookie_name(),
            secret,
            max_age=SESSION_LIFETIME,
            secure=not is_local(),
            httponly=True,
            samesite="Lax",
        )
        answer.headers["Cache-Control"] = "no-store"
        return answer

    @paths.post("/sign-out/")
    @needs(scopes.ANY)
    @out_of_turn
    def sign_out() -> AnyResponse:
        _needed(gate).sign_out(request.cookies.get(cookie_name(), ""))
        answer = redirect(SIGN_IN, 303)
        answer.delete_cookie(cookie_name(), secure=not is_local(), httponly=True, samesite="Lax")
        return answer

    return paths


def _needed(gate: Gate | None) -> Gate:
    if gate is None:
        raise BadParameter(OPEN)
    return gate


def _sent(model: type[Body]) -> Body:
    """The body of the request. Raises NotJson, WrongType, MissingField, UnknownField."""
    example = examples.of_model(model)
    try:
        return model.model_validate(as_object(json_body(example), example))
    except ValidationError as error:
        raise from_validation(error) from None


def _tokens(pair: Pair) -> Response:
    answer = jsonify(
        access_token=pair.access_token,
        token_type="Bearer",
        expires_in=int(tokens.LIFETIME.total_seconds()),
        refresh_token=pair.refresh_token,
        scope=scopes.written(pair.user.scopes),
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _page(target: str, email: str = "", problem: str = "") -> str:
    return render_template("sign_in.html", target=target, email=email, problem=problem)
