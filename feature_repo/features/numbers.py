"""The numbers of the events of a producer: which were received, and which got lost. Pure."""

from bisect import bisect_right

#: The numbers received from a producer: ranges with both ends, in order, with a gap between any two.
Ranges = list[list[int]]
#: The ranges of a producer are written with each batch that it has events in. So their number has a bound.
MOST_RANGES = 1000


def add_number(ranges: Ranges, number: int) -> bool:
    """Take a number in. False where it was there, or where it would make more than `MOST_RANGES` ranges: then it counts
    as not received. So its producer is asked for it again, once it has closed gaps.

    >>> ranges = [[1, 3], [5, 6]]
    >>> add_number(ranges, 4), add_number(ranges, 4), ranges
    (True, False, [[1, 6]])
    """
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
    elif len(ranges) >= MOST_RANGES:
        return False
    else:
        ranges.insert(at, [number, number])
    return True


def missing_numbers(ranges: Ranges, last: int) -> Ranges:
    """The numbers that were not received, of 1 to `last`, or to the highest received if that is more.

    >>> missing_numbers([[2, 3], [5, 6]], 9)
    [[1, 1], [4, 4], [7, 9]]
    """
    gaps, expected = [], 1
    for first, end in ranges:
        if first > expected:
            gaps.append([expected, first - 1])
        expected = end + 1
    return [*gaps, [expected, last]] if expected <= last else gaps
