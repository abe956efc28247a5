"""Cutting a long sequence of word pieces into overlapping windows, so that nothing is truncated."""

from itertools import pairwise
from typing import List, NamedTuple, Sequence, Tuple

from ..errors import Errors


class Window(NamedTuple):
    """One stretch of pieces that the encoder reads at once.

    The encoder reads pieces ``[start, end)``; the vectors of ``[keep_start, keep_end)`` are used.
    The kept stretches of a document's windows partition its pieces.
    """

    start: int
    end: int
    keep_start: int
    keep_end: int


def strided_windows(start: int, end: int, capacity: int, overlap: int) -> List[Window]:
    """Cover pieces ``[start, end)`` by windows of at most ``capacity`` pieces.

    Neighbouring windows share at least ``overlap`` pieces; each shared piece is kept from the
    window in which it lies farther from the edge. All windows but a single one are full, so that
    the last is never starved of context.

    RAISES (ValueError): HE032 where ``capacity`` is not larger than ``overlap``.
    """
    if not 0 <= overlap < capacity:
        raise ValueError(Errors.HE032.format(capacity=capacity, overlap=overlap))
    if end - start <= capacity:
        return [Window(start, end, start, end)] if end > start else []
    starts = [*range(start, end - capacity, capacity - overlap), end - capacity]
    cuts = [(left + capacity + right) // 2 for left, right in pairwise(starts)]
    return [
        Window(begin, begin + capacity, keep_start, keep_end)
        for begin, keep_start, keep_end in zip(starts, [start, *cuts], [*cuts, end], strict=True)
    ]


def sentence_windows(
    bounds: Sequence[Tuple[int, int]], neighbours: int, capacity: int, overlap: int
) -> List[Window]:
    """One window a sentence, with ``neighbours`` sentences on either side as context.

    bounds: the sentences' piece ranges, in order. Context that does not fit is cut from its far
    ends, evenly; a sentence longer than ``capacity`` is covered by strided windows of its own.
    """
    windows: List[Window] = []
    for i, (start, end) in enumerate(bounds):
        room = capacity - (end - start)
        if room <= 0:
            windows.extend(strided_windows(start, end, capacity, overlap))
            continue
        if start == end:
            continue
        left = start - bounds[max(0, i - neighbours)][0]
        right = bounds[min(len(bounds) - 1, i + neighbours)][1] - end
        left_used, right_used = share_room(left, right, room)
        windows.append(Window(start - left_used, end + right_used, start, end))
    return windows


def share_room(left: int, right: int, room: int) -> Tuple[int, int]:
    """How many of ``left`` and ``right`` pieces fit into ``room`` pieces: as evenly as they can."""
    left_used = min(left, max(room // 2, room - right))
    return left_used, min(right, room - left_used)
