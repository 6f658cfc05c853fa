"""The root of the tree of errors."""

from typing import ClassVar

#: A message shows at most this many characters of what a caller sent.
SHOWN_CHARACTERS = 40


class RiskError(Exception):
    """The root of the tree. Nothing raises it itself."""

    code: ClassVar[int] = 1000
    #: What to do about it, for the table of errors. A message says it about the one case.
    remedy: ClassVar[str] = ""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field

    @property
    def name(self) -> str:
        """`BadDate` → `bad_date`."""
        letters = type(self).__name__
        return "".join("_" + c.lower() if c.isupper() else c for c in letters).lstrip("_")
