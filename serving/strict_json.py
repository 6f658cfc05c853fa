"""JSON texts that mean one thing only. Python's own reader lets the last of two equal keys win, takes NaN, half
characters and UTF-16, and other readers take them in other ways."""

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import msgspec
from pydantic_core import to_json

from features.identifiers import shape

#: A request of ours has a depth of 4. A reader that calls itself for each level needs a bound.
MOST_DEPTH = 64
TOO_DEEP = f"lists and objects are nested deeper than {MOST_DEPTH} levels"
#: Every whole number of this many digits fits into a double.
MOST_DIGITS = 308
BYTE_ORDER_MARK = codecs.BOM_UTF8
#: An escape that may be half a character: two of them in a row can make a whole one.
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATE = re.compile("[\ud800-\udfff]")


class NotStrict(ValueError):
    """A text is not JSON, or means different things to different readers. `key` is the key of an object that is to
    blame, if one is."""

    def __init__(self, reason: str, key: str | None = None) -> None:
        super().__init__(reason)
        self.key = key


def parse(text: bytes) -> Any:
    """The value of a JSON text in UTF-8. A byte order mark before it is passed over. Raises NotStrict, which says why
    and repeats no value.

    >>> parse(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    >>> parse(b'{"a": 1, "a": 2}')
    Traceback (most recent call last):
    serving.strict_json.NotStrict: the key 'a' is there twice
    """
    try:
        decoded = text.removeprefix(BYTE_ORDER_MARK).decode()
        value = _DECODER.decode(decoded)
    except UnicodeDecodeError as error:
        raise NotStrict(f"byte {error.start + 1} is not UTF-8") from None
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise NotStrict(f"{error.msg[0].lower()}{error.msg[1:].removesuffix(' at')} at {place}") from None
    except RecursionError:
        raise NotStrict(TOO_DEEP) from None
    if text.count(b"[") + text.count(b"{") > MOST_DEPTH and _is_deep(value):
        raise NotStrict(TOO_DEEP)
    if _HALF.search(text) and any(map(_SURROGATE.search, _strings(value))):
        raise NotStrict("a string holds half a character, such as \\ud800")
    return value


def written(value: Any) -> bytes:
    """The JSON text of a value, in UTF-8. NaN and infinity are no JSON, and become null.

    >>> written({"a": [1, 2.5, None, math.nan]})
    b'{"a":[1,2.5,null,null]}'
    """
    return _encode(value)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys: set[str] = set()
        for key, _ in pairs:
            if key in keys:
                raise NotStrict(f"the key {shape(key)!r} is there twice", shape(key))
            keys.add(key)
    return value


def _constant(name: str) -> NoReturn:
    raise NotStrict(f"{name} is no JSON number")


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise NotStrict("a number is too large for a double")
    return number


def _int(digits: str) -> int:
    if len(digits.lstrip("-")) > MOST_DIGITS:
        raise NotStrict("a number is too large for a double")
    return int(digits)


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int)

#: msgspec takes half of pydantic's time. Pydantic writes what msgspec does not know, such as a keyed hash.
_encode = msgspec.json.Encoder(enc_hook=lambda value: msgspec.Raw(to_json(value, inf_nan_mode="null"))).encode


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [inner for outer in level for inner in _inside(outer) if isinstance(inner, list | dict)]
    return bool(level)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
    for inner in _inside(value):
        yield from _strings(inner)
