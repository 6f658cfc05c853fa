"""Reads the text of a condition into records."""

import math
import re
from collections.abc import Callable
from typing import Literal, NamedTuple

from features.rules.records import Between, Comparison, Condition, Literals, Missing, Not, RuleFault, Several, Within

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
OPERATORS = f"{', '.join(COMPARISONS)}, in, not in, between, is missing, is not missing"
#: Words of the language. A name is none of them.
WORDS = frozenset("and or not in list between is missing true false".split())
_MISSING = "Ask for a missing value by: is missing"
#: What somebody writes who knows another language, in small letters, and what to do.
INSTEAD = {"&&": "Write: and", "||": "Write: or", "null": _MISSING, "none": _MISSING, "nan": _MISSING}
#: Conditions in parentheses, or behind `not`, in each other: this many.
DEEPEST = 50
#: A number has at most this many characters.
MOST_DIGITS = 40

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])) | (?P<text>"[^"]*"|'[^']*') |
      (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?) | (?P<mark>[()\[\],]) | (?P<operator>[^\w\s()\[\],"']+) | (?P<bad>\S+)
    )""",
    re.VERBOSE,
)


class Token(NamedTuple):
    """A word, a literal or a sign, and the place where it begins, from 1."""

    kind: str
    text: str
    place: int


def parsed(text: str) -> Condition:
    """Read a condition. Raises RuleFault.

    >>> str(parsed("not a>1 and b in ['x',\\"y\\"]"))
    'not (a > 1) and b in ["x", "y"]'
    """
    reader = _Reader(text)
    condition = reader.either()
    reader.end()
    return condition


class _Reader:
    """Reads by descending: `or` joins parts of `and`, which join `not`, parentheses and tests."""

    def __init__(self, text: str) -> None:
        tokens = (
            Token(str(m.lastgroup), m[str(m.lastgroup)], m.start(str(m.lastgroup)) + 1) for m in _TOKEN.finditer(text)
        )
        self._tokens = [*tokens, Token("end", "", len(text) + 1)]
        self._text, self._next, self._depth = text, 0, 0

    def either(self) -> Condition:
        """Parts joined by `or`."""
        return self._several("or", self._both)

    def end(self) -> None:
        """Nothing may follow."""
        if self._token.kind != "end":
            raise self._fault("Join two conditions by and, or by or")

    def _both(self) -> Condition:
        return self._several("and", self._part)

    def _several(self, word: Literal["and", "or"], part: Callable[[], Condition]) -> Condition:
        parts = [part()]
        while self._took(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Several(word, tuple(parts))

    def _part(self) -> Condition:
        self._depth += 1
        if self._depth > DEEPEST:
            raise RuleFault(f"the condition is nested more than {DEEPEST} times. Write several rules")
        if self._took("not"):
            condition: Condition = Not(self._part())
        elif self._took("("):
            condition = self.either()
            self._expect(")", "Close the parenthesis")
        else:
            condition = self._test()
        self._depth -= 1
        return condition

    def _test(self) -> Condition:
        name = self._token
        if name.kind != "name" or name.text in WORDS:
            raise self._fault("Write the name of a feature or of a request field")
        self._next += 1
        sign = self._token
        if sign.text in COMPARISONS and sign.kind == "operator":
            self._next += 1
            return Comparison(name.text, sign.text, self._literal())
        if self._took("is"):
            is_negated = self._took("not")
            self._expect("missing", "Write: is missing, or: is not missing")
            return Missing(name.text, is_negated)
        if self._took("between"):
            low = self._literal()
            self._expect("and", "Write: between 5 and 10")
            return Between(name.text, low, self._literal())
        is_negated = self._took("not")
        if not self._took("in"):
            for word in (name, sign):
                if word.text.lower() in WORDS - {word.text}:
                    raise self._fault("", word)
            raise RuleFault(f"unknown operator {sign.text!r} after {name.text!r}. Use one of: {OPERATORS}")
        return Within(name.text, self._values(), is_negated)

    def _values(self) -> tuple[Literals, ...] | str:
        if self._took("list"):
            name = self._token
            if name.kind != "name" or name.text in WORDS:
                raise self._fault("Write the name of a list: in list blocked_users")
            self._next += 1
            return name.text
        self._expect("[", 'Write: in ["CA", "NY"], or: in list blocked_users')
        values = [self._literal()]
        while self._took(","):
            values.append(self._literal())
        self._expect("]", "Close the list with ]")
        return tuple(values)

    def _literal(self) -> Literals:
        token = self._token
        if token.kind == "text":
            value: Literals = token.text[1:-1]
        elif token.kind == "number":
            if len(token.text) > MOST_DIGITS:
                raise RuleFault(f"the number {token.text[:MOST_DIGITS]}… is too long. Write a shorter one")
            value = float(token.text) if set(token.text) & set(".eE") else int(token.text)
            if math.isinf(value):
                raise RuleFault(f"the number {token.text} is too large. Write a smaller one")
        elif token.text in ("true", "false"):
            value = token.text == "true"
        else:
            raise self._fault('Write a number, a text in quotes such as "CA", true or false')
        self._next += 1
        return value

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _took(self, word: str) -> bool:
        is_next = self._token.text == word and self._token.kind in ("name", "mark")
        self._next += is_next
        return is_next

    def _expect(self, word: str, remedy: str) -> None:
        if not self._took(word):
            raise self._fault(remedy)

    def _fault(self, remedy: str, token: Token | None = None) -> RuleFault:
        """About the token that is next, or another."""
        token = token or self._token
        word = token.text.lower()
        if word in WORDS - {token.text}:
            remedy = f"Write it in small letters: {word}"
        elif re.match(r"\d,\d", self._text[max(0, token.place - 2) :]):
            remedy = "Write a fraction with a point, such as 0.25"
        else:
            remedy = INSTEAD.get(word, remedy)
        seen = "the condition ends" if token.kind == "end" else f"{token.text!r} is"
        return RuleFault(f"{seen} at character {token.place}, where something else is needed. {remedy}")
