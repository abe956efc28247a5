"""Choose spans that do not overlap: what a flat entity layer needs from nested predictions.

Every policy is the same greedy choice, taken in another order: walk the spans from the most to
the least preferred and keep each that overlaps nothing kept so far. So every span that is
dropped overlaps one that is kept, and the choice made once changes no more when made again.
The order ``score`` is the flat decoding of Locate and Label, ``longest_split`` that of Decoupled
NER, whose code keeps crossing spans both and drops equal ones both.
"""

from bisect import bisect_left, bisect_right, insort
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

import numpy

from ..types import SpanArray
from ..validation import check_choice

Order = Callable[[SpanArray, numpy.ndarray, Sequence[str]], numpy.ndarray]


def resolve_overlaps(
    spans: SpanArray,
    scores: Sequence[float],
    policy: str,
    labels: Optional[Sequence[str]] = None,
) -> numpy.ndarray:
    """Indices of the spans that a policy keeps. No two of them overlap.

    Spans that only touch do not overlap. ``O(n log n)`` comparisons, whatever the lengths of the
    spans. A policy is a preference:

    - ``score``: the higher score; ties: the longer span, then the earlier one.
    - ``longest``: the longer span; ties: the higher score, then the earlier one.
    - ``longest_split``: as ``longest``, but a span that two others of its label, one behind the
      other, cover exactly is not kept.
    - ``outermost``: the span that lies inside fewer others; ties as in ``score``.
    - ``innermost``: the span that has fewer others inside; ties as in ``score``.

    A last tie, equal in all of this, goes to the span given first.

    spans: int ``(n, 2)``, half-open, none empty; scores: ``(n,)``, a nan counts as the lowest;
    labels: ``(n,)``, all the same where none are given.
    RETURNS: int64 ``(k,)`` indices into the spans, in the order of their starts.
    RAISES: HE004 for an unknown policy.
    """
    check_choice("policy", policy, list(ORDERS))
    spans = numpy.asarray(spans, dtype="int64").reshape(-1, 2)
    ranks = numpy.nan_to_num(numpy.asarray(scores, dtype="float64").reshape(-1), nan=-numpy.inf)
    names = [""] * len(spans) if labels is None else labels
    return _keep_disjoint(spans, ORDERS[policy](spans, ranks, names))


def count_containers(spans: SpanArray) -> numpy.ndarray:
    """How many other spans each span lies inside; spans with equal offsets count as one.

    spans: int ``(n, 2)``, half-open.
    RETURNS: int64 ``(n,)``; 0 for a span that lies inside no other.
    """
    spans = numpy.asarray(spans, dtype="int64").reshape(-1, 2)
    distinct, inverse = numpy.unique(spans, axis=0, return_inverse=True)
    counts = numpy.zeros(len(distinct), dtype="int64")
    ends: List[int] = []
    # The containers of a span start no later and end no sooner. Walked by start, and the longest
    # first, they have all been seen, so that counting the ends is enough.
    for index in numpy.lexsort((-distinct[:, 1], distinct[:, 0])).tolist():
        end = int(distinct[index, 1])
        counts[index] = len(ends) - bisect_left(ends, end)
        insort(ends, end)
    return counts[inverse.reshape(-1)]


def splits_in_two(spans: SpanArray, labels: Sequence[str]) -> numpy.ndarray:
    """Which spans are just what two others of the same label, one behind the other, cover: bool
    ``(n,)``.

    spans: int ``(n, 2)``, half-open, none empty; labels: ``(n,)``.
    """
    ends_of: Dict[Tuple[int, str], Set[int]] = {}
    for (start, end), label in zip(spans.tolist(), labels, strict=True):
        ends_of.setdefault((start, label), set()).add(end)
    return numpy.array(
        [
            any(end in ends_of.get((middle, label), ()) for middle in ends_of[start, label])
            for (start, end), label in zip(spans.tolist(), labels, strict=True)
        ],
        dtype=bool,
    )


def _by_score(spans: SpanArray, scores: numpy.ndarray, labels: Sequence[str]) -> numpy.ndarray:
    return numpy.lexsort((spans[:, 0], _negative_lengths(spans), -scores))


def _by_length(spans: SpanArray, scores: numpy.ndarray, labels: Sequence[str]) -> numpy.ndarray:
    return numpy.lexsort((spans[:, 0], -scores, _negative_lengths(spans)))


def _by_length_of_whole(
    spans: SpanArray, scores: numpy.ndarray, labels: Sequence[str]
) -> numpy.ndarray:
    # Left out altogether: whatever takes the place of one of its halves overlaps it too.
    order = _by_length(spans, scores, labels)
    return order[~splits_in_two(spans, labels)[order]]


def _from_outside(spans: SpanArray, scores: numpy.ndarray, labels: Sequence[str]) -> numpy.ndarray:
    return _by_depth(count_containers(spans), spans, scores)


def _from_inside(spans: SpanArray, scores: numpy.ndarray, labels: Sequence[str]) -> numpy.ndarray:
    # Negated, a span changes places with those inside it: [-s, -e) starts later, ends sooner.
    return _by_depth(count_containers(-spans), spans, scores)


def _by_depth(depths: numpy.ndarray, spans: SpanArray, scores: numpy.ndarray) -> numpy.ndarray:
    return numpy.lexsort((spans[:, 0], _negative_lengths(spans), -scores, depths))


def _negative_lengths(spans: SpanArray) -> numpy.ndarray:
    return spans[:, 0] - spans[:, 1]


ORDERS: Dict[str, Order] = {
    "score": _by_score,
    "longest": _by_length,
    "longest_split": _by_length_of_whole,
    "outermost": _from_outside,
    "innermost": _from_inside,
}
"""Each policy's name with the order in which it takes spans: indices, the most preferred first.
Spans that an order leaves out are not kept."""


def _keep_disjoint(spans: SpanArray, order: numpy.ndarray) -> numpy.ndarray:
    """Walk the spans in an order and keep each that overlaps no kept one."""
    starts: List[int] = []
    ends: List[int] = []
    kept: List[int] = []
    for index, (start, end) in zip(order.tolist(), spans[order].tolist(), strict=True):
        # The kept spans are disjoint: only the neighbours on both sides can overlap this one.
        at = bisect_right(starts, start)
        free_before = at == 0 or ends[at - 1] <= start
        free_after = at == len(starts) or end <= starts[at]
        if free_before and free_after:
            starts.insert(at, start)
            ends.insert(at, end)
            kept.insert(at, index)
    return numpy.asarray(kept, dtype="int64")
