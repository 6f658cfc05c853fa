"""The headers of every answer: they tell a browser to run and show nothing that is not ours, and to keep nothing."""

from flask import Flask, Response
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


def install(app: Flask) -> None:
    """Add the headers to every answer. An answer that says nothing about caches is kept by none."""
    policy = ContentSecurityPolicy().default_src(NONE).base_uri(NONE).object_src(NONE).frame_ancestors(NONE)
    policy = policy.script_src(OURS).style_src(OURS).img_src(OURS).font_src(OURS).connect_src(OURS).form_action(OURS)
    secure = Secure(
        csp=policy,
        xcto=XContentTypeOptions().nosniff(),
        xfo=XFrameOptions().deny(),
        referrer=ReferrerPolicy().same_origin(),
        coop=CrossOriginOpenerPolicy().same_origin(),
        coep=CrossOriginEmbedderPolicy().require_corp(),
        corp=CrossOriginResourcePolicy().same_origin(),
        permissions=PermissionsPolicy().camera().geolocation().microphone(),
    )
    headers = secure.header_items()

    @app.after_request
    def add(response: Response) -> Response:
        response.headers.extend(headers)
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response
