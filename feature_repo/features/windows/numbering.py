"""The numbers that came from a producer, as ranges with both ends, and those that did not: pure."""

from bisect import bisect_right

Ranges = list[list[int]]


def add(ranges: Ranges, number: int) -> bool:
    """Take a number in. False where it was there."""
    at = bisect_right(ranges, [number, number]) if ranges else 0
    if at and ranges[at - 1][1] >= number:
        return False
    if at < len(ranges) and ranges[at][0] == number:
        return False
    joins_left = at > 0 and ranges[at - 1][1] == number - 1
    joins_right = at < len(ranges) and ranges[at][0] == number + 1
    if joins_left and joins_right:
        ranges[at - 1][1] = ranges[at][1]
        del ranges[at]
    elif joins_left:
        ranges[at - 1][1] = number
    elif joins_right:
        ranges[at][0] = number
    else:
        ranges.insert(at, [number, number])
    return True


def missing(ranges: Ranges, last: int) -> Ranges:
    """What is lacking of the numbers 1 to `last`, or to the highest that came if that is more."""
    gaps, expected = [], 1
    for first, end in ranges:
        if first > expected:
            gaps.append([expected, first - 1])
        expected = end + 1
    return [*gaps, [expected, last]] if expected <= last else gaps
