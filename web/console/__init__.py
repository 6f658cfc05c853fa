"""The console: pages on which people watch decisions, decide cases, and choose models. The server renders them; the
script only loads a part of a page again."""

from flask import Blueprint

from serving.audit.positions import Positions
from serving.cases import Cases
from web.console import cases, decisions, models, monitor
from web.face import Face


def blueprint(face: Face) -> Blueprint:
    """`/console` and the pages below it."""
    pages = Blueprint("console", __name__, url_prefix="/console")
    positions, acts = Positions(face.root.decisions, face.root.outcomes), Cases(face.root.cases)
    decisions.add(pages, face, positions, acts)
    cases.add(pages, face, positions, acts)
    monitor.add(pages, face, positions)
    models.add(pages, face)
    return pages
