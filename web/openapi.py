"""The OpenAPI 3 document. It is made from the declared risks and the schemas, so it is never out of date."""

from collections.abc import Mapping
from typing import Any

from flasgger import Swagger
from flask import Flask, current_app
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from features.domains import risks
from features.risk import Risk, Task
from web import auth, decisions, domains, events, historical, operator, outcomes, schemas, vectors, why
from web.access import secured
from web.once import PARAMETER
from web.operations import Spec, body, error_responses, error_table, operation, reference
from web.risk import MOST_DECISIONS

SCORES: Mapping[Task, str] = {
    "classification": "The probability of a bad outcome.",
    "regression": "The estimated number.",
}
#: How the name of an operation about a risk begins, by the last word of its path.
VERBS = {"features": "read_features_of", "score": "score", "decision": "decide"}


def install(app: Flask) -> None:
    """Add `/apidocs/` and `/openapi.json`."""
    config = {
        "openapi": "3.0.3",
        "specs": [{"endpoint": "openapi", "route": "/openapi.json", "rule_filter": lambda rule: False}],
        "specs_route": "/apidocs/",
        "static_url_path": "/flasgger_static",
        "headers": [],
        "title": "Risk service",
        "hide_top_bar": True,
        "auth": {},
    }
    Document(app, config=config)


class Document(Swagger):
    """flasgger serves the pages, and the whole document is ours."""

    def get_apispecs(self, endpoint: str = "openapi") -> Spec:
        """flasgger calls this for `/openapi.json`."""
        return secured(document(), current_app)


def document() -> Spec:
    """The whole OpenAPI document."""
    paths: Spec = {}
    for risk in risks().values():
        paths |= _risk_paths(risk)
    paths |= _decisions_path()
    parts = [part for part in domains.pages() if hasattr(part, "openapi_paths")]
    for part in (auth, decisions, outcomes, why, vectors, events, historical, operator, *parts):
        for path, operations in part.openapi_paths().items():
            paths[path] = paths.get(path, {}) | operations
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Risk service",
            "version": "1",
            "description": "Decisions with reasons, and the features behind them.",
        },
        "paths": paths,
        "components": {"schemas": _schemas(), "responses": error_responses()},
        "x-error-codes": error_table(),
    }


def _risk_paths(risk: Risk) -> Spec:
    method, suffix = ("get", f"{{{risk.path_field}}}/") if risk.path_field else ("post", "")
    request = {"parameters": [_path_parameter(risk)]} if risk.path_field else {"requestBody": body(risk.request)}
    errors = (404,) if risk.known_by else ()
    paths = {
        f"/{risk.slug}-risk-{part}/{suffix}": {
            method: operation(
                risk.name,
                f"{risk.title}: {part}",
                about,
                answer,
                errors,
                name=f"{VERBS[part]}_{risk.name}",
                **(request | ({"parameters": [PARAMETER]} if part == "decision" and method == "post" else {})),
            )
        }
        for part, (answer, about) in _answers(risk).items()
    }
    if risk.population and risk.path_field:
        about = f"The results of the last batches, which `python -m jobs score {risk.name}` writes."
        paths[f"/{risk.slug}-batch-scores/{suffix}"] = {
            "get": operation(
                risk.name, f"{risk.title}: batch scores", about, schemas.BatchScores, errors,
                name=f"read_batch_scores_of_{risk.name}", **request,
            )
        }  # fmt: skip
    return paths


def _answers(risk: Risk) -> dict[str, tuple[type[BaseModel], str]]:
    words = ", ".join(f"`{word}`" for word in risk.appetite.words)
    return {
        "features": (schemas.FeaturesAnswer, "The features that the decision is based on."),
        "score": (schemas.ScoreAnswer, SCORES[risk.task]),
        "decision": (schemas.Decision, f"The decision ({words}) with its reasons. The audit log keeps it."),
    }


def _decisions_path() -> Spec:
    if not risks():
        return {}
    about = (
        f"A decision about one request, or about each request of a list of up to {MOST_DECISIONS:,}. All of a list are "
        "logged and given, or none."
    )
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": list(risks())}}
    requests = [reference(risk.request) for risk in risks().values()]
    many = {"type": "array", "items": {"anyOf": requests}, "minItems": 1, "maxItems": MOST_DECISIONS}
    content = {"application/json": {"schema": {"anyOf": [*requests, many]}}}
    return {
        "/api/v1/decisions/{name}": {
            "post": operation(
                "decisions", "Decisions of any risk", about, schemas.Decisions, name="decide_any",
                parameters=[name, PARAMETER], requestBody={"required": True, "content": content},
            )
        }
    }  # fmt: skip


def _path_parameter(risk: Risk) -> Spec:
    schema = _for_openapi_3_0(risk.request.model_json_schema()["properties"][risk.path_field])
    about, example = schema.pop("description", ""), schema.pop("example", None)
    return {
        "name": risk.path_field, "in": "path", "required": True, "description": about, "example": example,
        "schema": schema,
    }  # fmt: skip


def _schemas() -> Spec:
    models: set[type[BaseModel]] = {
        *schemas.ANSWERS,
        *operator.ANSWERS,
        auth.LoginRequest,
        auth.RefreshRequest,
        decisions.SearchRequest,
        outcomes.Outcome,
        vectors.VectorsRequest,
        why.Why,
        *(risk.request for risk in risks().values()),
    }
    _, defined = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda m: m.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    schema: Spec = _for_openapi_3_0(defined["$defs"])
    words = dict.fromkeys(word for risk in risks().values() for word in risk.appetite.words)
    if words:
        schema["Decision"]["properties"]["decision"]["enum"] = list(words)
    return schema


def _for_openapi_3_0(node: Any) -> Any:
    """Translate the JSON Schema 2020-12 that pydantic writes. OpenAPI 3.0 has one `example`, and `nullable` instead of
    a null type."""
    if isinstance(node, list):
        return [_for_openapi_3_0(item) for item in node]
    if not isinstance(node, dict):
        return node
    translated = {key: _for_openapi_3_0(value) for key, value in node.items() if key not in ("examples", "anyOf")}
    if isinstance(node.get("examples"), list):
        translated["example"] = node["examples"][0]
    if "anyOf" in node:
        options = [_for_openapi_3_0(option) for option in node["anyOf"] if option != {"type": "null"}]
        translated |= {
            "allOf" if len(options) == 1 else "anyOf": options,
            "nullable": len(options) < len(node["anyOf"]),
        }
    return translated
