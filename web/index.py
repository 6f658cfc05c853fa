"""The overview: one page that links everything there is. It is also the front page, unless a domain has one at `/`."""

from flask import Flask, render_template

from access import scopes
from features.domains import NO_RISK, risks, streams
from features.risk import Risk
from web import domains
from web.access import needs


def install(app: Flask) -> None:
    """Add the overview, and the links in the head of every page. Call it after all blueprints are registered."""
    app.context_processor(lambda: {"links": domains.links()})
    app.add_url_rule("/overview/", "overview", overview)
    if all(rule.rule != "/" for rule in app.url_map.iter_rules()):
        app.add_url_rule("/", "front", overview)


@needs(scopes.ANY)
def overview() -> str:
    """The page as HTML."""
    return render_template(
        "overview.html",
        risks=[(risk, example(risk)) for risk in risks().values()],
        streams=streams().values(),
        pages=[link for link in domains.links() if link not in domains.COMMON],
        no_risk=NO_RISK,
    )


def example(risk: Risk) -> str:
    """The path of a decision about the first example of the risk's request, or "" if the request is a JSON body."""
    if not risk.path_field:
        return ""
    examples = risk.request.model_fields[risk.path_field].examples or []
    return f"/{risk.slug}-risk-decision/{examples[0]}/" if examples else ""
