"""The header `Idempotency-Key`: a caller that sends a request again gets the first answer, nothing twice."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, current_app, request
from flask.typing import ResponseReturnValue

from errors import BadParameter
from serving.answers import Answers
from serving.call import Begun
from web import calls
from web.face import Face
from web.operations import IDEMPOTENCY_KEY, Spec

#: How an answer says that it was kept.
REPLAYED = "Idempotent-Replayed"
_KEY = re.compile(r"[!-~]{1,255}")
View = TypeVar("View", bound=Callable[..., Any])

PARAMETER: Spec = {
    "name": IDEMPOTENCY_KEY, "in": "header", "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "A text of your choice for this request, such as a UUID. For 24 hours, the same key and body get "
    "the same answer, and nothing is decided again.",
}  # fmt: skip


def takes_key(view: View) -> View:
    """State that a view takes the header. It decorates the function that is passed to Flask."""
    view.takes_key = True  # type: ignore[attr-defined]
    return view


class Once:
    """Answers requests that have a key."""

    def __init__(self, face: Face) -> None:
        self._clock = face.clock
        self._answers = Answers(face.root.answers, face.service.hash_key)

    def __call__(self, answer: Callable[[], ResponseReturnValue]) -> Response:
        """The answer to the current request, from `answer` unless it is kept. Raises BadParameter, KeyReused,
        LogUnavailable, and what `answer` raises."""
        key, call = request.headers[IDEMPOTENCY_KEY], calls.current()
        if not _KEY.fullmatch(key):
            raise BadParameter(
                f"{IDEMPOTENCY_KEY} is empty, longer than 255 characters, or has one that is not visible ASCII. Send "
                "another one, such as a UUID.",
                IDEMPOTENCY_KEY,
            )

        def decide(begun: Begun) -> bytes:
            call.begun = begun
            made: Response = current_app.make_response(answer())
            return made.get_data()

        place = (call.caller, request.path, key)
        text, was_kept = self._answers.once(place, request.get_data(), self._clock(), decide)
        response = Response(text, mimetype="application/json")
        if was_kept:
            response.headers[REPLAYED] = "true"
        return response
