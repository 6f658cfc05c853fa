"""A column of Arrow → values of Python."""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from features.utc import EARLIEST, LATEST

#: Of a timestamp that no calendar of Python has.
_FAR = f"is not in the years {EARLIEST.year} to {LATEST.year - 1}"


@dataclass(frozen=True)
class CellError:
    """A cell that holds no value: an error of its program, such as `#N/A`, or what nobody can read. `fault` are the
    words after the name of its column."""

    text: str
    fault: str

    def __str__(self) -> str:
        return self.text


def values(column: pa.Array) -> list[Any]:
    """Values of Python, timestamps to the microsecond. A value that Python cannot have is a CellError."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        return column.to_pylist()  # type: ignore[no-any-return]
    except (OverflowError, ValueError, LookupError):
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except OverflowError:
        return CellError(_shown(scalar), _FAR)
    except (ValueError, LookupError) as error:  # a text that is no UTF-8, a time zone that there is not
        return CellError(_shown(scalar), f"cannot be read: {error}")


def _shown(scalar: pa.Scalar) -> str:
    return f"{getattr(scalar, 'value', 'a value')} as {scalar.type}"
