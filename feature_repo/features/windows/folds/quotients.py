"""Means and standard deviations of whole numbers, rounded once, in Python and in SQL."""

import math

from features.windows.folds import ROOT_UNITS, UNITS

# DuckDB rounds a whole number beyond 64 bits twice where it becomes a DOUBLE, and a text once. So such a number becomes
# a text first. Python rounds a whole number, and the quotient of two, once.
#: Whole numbers below them are exact as floats, and fit into SQL's longest type.
EXACT_AS_FLOAT, FITS = 2**53, 2**126
#: The end of a text of billionths, and how many decimals of a quotient decide how it is rounded.
EXPONENT, DECIMALS = f"e-{len(str(UNITS)) - 1}", 26


def mean(state: tuple[int, int]) -> float | None:
    """The exact mean, rounded once; `state` is a sum in billionths and the number of events."""
    total, events = state
    return total / (events * UNITS) if events else None


def mean_sql(total: str, events: str) -> str:
    """SQL of `mean`, for whole numbers of any size."""
    whole, rest = f"abs({total}) // {events}", f"abs({total}) % {events} * {10**DECIMALS} // {events}"
    decimals = f"lpad(({rest})::VARCHAR, {DECIMALS}, '0')"
    return f"sign({total}) * (({whole})::VARCHAR || '.' || {decimals} || '{EXPONENT}')::DOUBLE"


def stddev(state: tuple[int, int, int]) -> float | None:
    """The standard deviation; `state` is a sum of squares of millionths, their sum, and the number of events."""
    squares, total, events = state
    if events < 2:
        return None
    near = abs(total) // events * (1 if total > 0 else -1)  # the mean, cut to a whole number as SQL does
    rest = total - events * near
    around = squares - events * near * near - 2 * near * rest  # the sum of the squares of the distances from `near`
    if around < FITS // events:
        variance = float(events * around - rest * rest) / float(events * (events - 1))
    else:  # too large to be exact, and `rest` makes no difference
        variance = float(around) / float(events - 1)
    return math.sqrt(variance) / ROOT_UNITS


def stddev_sql() -> str:
    """SQL of `stddev`."""
    near, rest = "({roots} // {events})::HUGEINT", "({roots} % {events})"
    around = f"({{squares}} - {{events}} * {near} * {near} - 2 * {near} * {rest})"
    # The same number as in `exact`, without a division, which DuckDB computes slowly.
    is_small = f"abs({{roots}}) < {2**62} AND {{events}} * {{squares}}::DOUBLE < {FITS // 2}"
    small = "({events} * {squares} - {roots} * {roots})::VARCHAR::DOUBLE / ({events} * ({events} - 1))::DOUBLE"
    exact = f"({{events}} * {around} - {rest} * {rest})::VARCHAR::DOUBLE / ({{events}} * ({{events}} - 1))::DOUBLE"
    large = f"{around}::VARCHAR::DOUBLE / ({{events}} - 1)::DOUBLE"
    is_exact = f"{around} < {FITS} // {{events}}"
    variance = f"CASE WHEN {is_small} THEN {small} WHEN {is_exact} THEN {exact} ELSE {large} END"
    return f"CASE WHEN {{events}} > 1 THEN sqrt({variance}) / {{ROOT_UNITS}}::DOUBLE END"
