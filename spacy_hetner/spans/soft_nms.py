"""Soft non-maximum suppression over spans (Locate and Label, Algorithm 1)."""

from heapq import heapify, heappop, heappush
from typing import List, Optional, Tuple

import numpy

from ..types import SpanArray
from .iou import iou


def best_per_span(spans: SpanArray, scores: numpy.ndarray) -> numpy.ndarray:
    """Indices of the best-scored entry of each distinct span, in input order.

    Ties keep the first. Several seeds regress to one span, and Soft-NMS alone would only decay
    exact duplicates, not remove them.
    """
    if len(spans) == 0:
        return numpy.zeros(0, dtype="int64")
    order = numpy.lexsort((numpy.arange(len(spans)), -scores, spans[:, 1], spans[:, 0]))
    ranked = spans[order]
    first = numpy.ones(len(spans), dtype=bool)
    first[1:] = (ranked[1:] != ranked[:-1]).any(axis=1)
    return numpy.sort(order[first])


def soft_nms(
    spans: SpanArray,
    scores: numpy.ndarray,
    *,
    overlap: float,
    decay: float,
    min_score: float,
    labels: Optional[numpy.ndarray] = None,
) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """Emit spans by score; each one emitted decays those that overlap it.

    The best remaining span (ties: first in input order) leaves with its current score, and every
    remaining span that overlaps it with IoU >= ``overlap`` (k) is multiplied by ``decay`` (u).
    Emitted spans with score > ``min_score`` (delta) are kept. ``labels``, int ``(n,)``, restricts
    the decay to spans of the same label.

    RETURNS: kept indices int64 and their float64 scores, in emission order.
    """
    current = numpy.asarray(scores, dtype="float64").copy()
    # Scores only fall: what is below the threshold can neither stay nor decay what stays.
    waiting = current > min_score
    by_start = numpy.flatnonzero(waiting)
    by_start = by_start[numpy.argsort(spans[by_start, 0], kind="stable")]
    starts = spans[by_start, 0]
    longest = (spans[:, 1] - spans[:, 0]).max(initial=0)
    queue = [(-current[i], i) for i in by_start.tolist()]
    heapify(queue)
    kept: List[int] = []
    while queue:
        negated, best = heappop(queue)
        if not waiting[best] or -negated != current[best]:
            continue  # decayed since, and queued again if it can still stay
        waiting[best] = False
        kept.append(best)
        start, end = spans[best]
        low, high = numpy.searchsorted(starts, (start - longest + 1, end))
        near = by_start[low:high]
        shared = iou(spans[near], spans[best])
        near = near[waiting[near] & (shared >= overlap) & (shared > 0)]
        if labels is not None:
            near = near[labels[near] == labels[best]]
        current[near] *= decay
        for i in near[current[near] > min_score].tolist():
            heappush(queue, (-current[i], i))
    order = numpy.array(kept, dtype="int64")
    return order, current[order]
