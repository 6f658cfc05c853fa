"""The headers of every answer: they tell a browser to run and show nothing that is not ours, and to keep nothing."""

from flask import Flask, Response, request
from secure import (
    ContentSecurityPolicy,
    CrossOriginEmbedderPolicy,
    CrossOriginOpenerPolicy,
    CrossOriginResourcePolicy,
    PermissionsPolicy,
    ReferrerPolicy,
    Secure,
    XContentTypeOptions,
    XFrameOptions,
)

OURS, NONE = "'self'", "'none'"


#: The API docs have small pictures in their style.
API_DOCS, PICTURES_INSIDE = "flasgger", "data:"


def install(app: Flask) -> None:
    """Add the headers to every answer. An answer that says nothing about caches is kept by none."""
    headers, of_api_docs = _headers(OURS), _headers(OURS, PICTURES_INSIDE)

    @app.after_request
    def add(response: Response) -> Response:
        response.headers.extend(of_api_docs if request.blueprint == API_DOCS else headers)
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response


def _headers(*pictures: str) -> tuple[tuple[str, str], ...]:
    """Name and value of each header. Pictures may come from the sources `pictures`."""
    policy = ContentSecurityPolicy().default_src(NONE).base_uri(NONE).object_src(NONE).frame_ancestors(NONE)
    policy = policy.script_src(OURS).style_src(OURS).img_src(*pictures).font_src(OURS).connect_src(OURS)
    secure = Secure(
        csp=policy.form_action(OURS),
        xcto=XContentTypeOptions().nosniff(),
        xfo=XFrameOptions().deny(),
        referrer=ReferrerPolicy().same_origin(),
        coop=CrossOriginOpenerPolicy().same_origin(),
        coep=CrossOriginEmbedderPolicy().require_corp(),
        corp=CrossOriginResourcePolicy().same_origin(),
        permissions=PermissionsPolicy().camera().geolocation().microphone(),
    )
    return tuple(secure.header_items())
