"""Compares an answer of the service with the one that a page shows, field by field."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: What a shown answer says for fields, or for items at the end of a list, that it leaves out.
LEFT_OUT = "…"
#: The ends of paths whose value is another one in every run or every world, and the form that it has.
FORMS = {
    "decision_id": r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "policy.version": r"[0-9a-f]{12}",
    "version": r"\d{8}T\d{6}-[0-9a-f]{8}",
    "as_of": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00",
    "event_timestamp": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?\+00:00",
    "home": r"/home/\d+",
    "request_id": r"[0-9a-f]{32}",
    "features.state": r"[A-Z]{2}",
}


def differences(shown: Any, answer: Any, at: str = "") -> Iterator[str]:
    """Where an answer is not as shown; each begins with the path of the field.

    Equal must be: fields, the order of lists, texts, whole numbers, true, false and null. A field of `FORMS` must have
    its form. A number with a fraction must have the same sign: data and models are generated for the day of the test.
    """
    if isinstance(shown, Mapping) and isinstance(answer, Mapping):
        yield from _of_objects(shown, answer, at)
    elif isinstance(shown, list) and isinstance(answer, list):
        yield from _of_lists(shown, answer, at)
    elif not _is_as_shown(shown, answer, next((form for end, form in FORMS.items() if at.endswith(f".{end}")), None)):
        yield f"{at}: {answer!r} was answered, {shown!r} is shown"


def _of_objects(shown: Mapping[str, Any], answer: Mapping[str, Any], at: str) -> Iterator[str]:
    names = shown.keys() - {LEFT_OUT}
    alone = names - answer.keys() if LEFT_OUT in shown else names ^ answer.keys()
    yield from (f"{at}.{name} is in one of them only" for name in sorted(alone))
    for name in sorted(names & answer.keys()):
        yield from differences(shown[name], answer[name], f"{at}.{name}")


def _of_lists(shown: Sequence[Any], answer: Sequence[Any], at: str) -> Iterator[str]:
    items = [item for item in shown if item != LEFT_OUT]
    if len(answer) < len(items) or (items == shown and len(answer) > len(items)):
        yield f"{at} has {len(answer)} items, {len(items)} are shown"
    for i, (item, answered) in enumerate(zip(items, answer, strict=False)):
        yield from differences(item, answered, f"{at}.{i}")


def _is_as_shown(shown: Any, answer: Any, form: str | None) -> bool:
    if form and isinstance(shown, str) and isinstance(answer, str):
        return bool(re.fullmatch(form, shown) and re.fullmatch(form, answer))
    if isinstance(shown, float) and isinstance(answer, float):
        return math.copysign(bool(shown), shown) == math.copysign(bool(answer), answer)
    return type(shown) is type(answer) and shown == answer
