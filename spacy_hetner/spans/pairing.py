"""Spans from starts and ends that were found apart, of one text and one label at a time.

Starts and ends are indices of tokens, ascending: of the first and of the last token of a span. They
are paired text by text into spans, which stay pairs: over the flattened tokens of a batch a second
start of one end would give every later start a wrong end (CoFEE's published code).
"""

from typing import NamedTuple

import numpy

from ..types import SpanArray


class PickedSpans(NamedTuple):
    """spans: int64 ``(n, 2)``, half-open, by start; scores: ``(n,)``, see ``span_scores``."""

    spans: SpanArray
    scores: numpy.ndarray


def above(probabilities: numpy.ndarray, threshold: float) -> numpy.ndarray:
    """The tokens whose probability, ``(n_tokens,)``, is more than the threshold: int64 ``(k,)``."""
    return numpy.flatnonzero(numpy.asarray(probabilities) > threshold)


def nearest_ends(starts: numpy.ndarray, ends: numpy.ndarray) -> SpanArray:
    """Each start with the nearest end that is not before it; a start without one is no span.

    Two starts may share an end. RETURNS: half-open spans, int64 ``(n, 2)``.
    """
    starts, ends = numpy.asarray(starts, dtype="int64"), numpy.asarray(ends, dtype="int64")
    nearest = numpy.searchsorted(ends, starts)
    paired = nearest < len(ends)
    return numpy.stack((starts[paired], ends[nearest[paired]] + 1), axis=1)


def flat_spans(starts: numpy.ndarray, ends: numpy.ndarray) -> SpanArray:
    """As ``nearest_ends``, from left to right: a start inside the span before it is skipped."""
    kept, reached = [], 0
    for start, end in nearest_ends(starts, ends).tolist():
        if start >= reached:
            kept.append((start, end))
            reached = end
    return numpy.array(kept, dtype="int64").reshape(-1, 2)


def possible_spans(starts: numpy.ndarray, ends: numpy.ndarray) -> SpanArray:
    """Each start with every end that is not before it: half-open spans, int64 ``(n, 2)``."""
    starts, ends = numpy.asarray(starts, dtype="int64"), numpy.asarray(ends, dtype="int64")
    first = numpy.searchsorted(ends, starts)
    counts = len(ends) - first
    owner = numpy.repeat(numpy.arange(len(starts)), counts)
    place = numpy.arange(len(owner)) - (numpy.cumsum(counts) - counts)[owner] + first[owner]
    return numpy.stack((starts[owner], ends[place] + 1), axis=1)


def nested_spans(starts: numpy.ndarray, ends: numpy.ndarray, match: SpanArray) -> SpanArray:
    """The possible spans that a third judgement, on both ends at once, takes for spans.

    match: half-open spans, int ``(m, 2)``; of those whose start or end was not found none is kept.
    """
    possible = possible_spans(starts, ends)
    matching = set(map(tuple, numpy.asarray(match).reshape(-1, 2).tolist()))
    return possible[[span in matching for span in map(tuple, possible.tolist())]].reshape(-1, 2)


def pick_spans(p_start: numpy.ndarray, p_end: numpy.ndarray, delta: float) -> PickedSpans:
    """The spans of a text whose starts and ends are more probable than ``delta``, nearest ends
    (CoFEE's self-picking, with its spans that share an end).

    p_start, p_end: of each token, ``(n_tokens,)``.
    """
    spans = nearest_ends(above(p_start, delta), above(p_end, delta))
    return PickedSpans(spans, span_scores(p_start, p_end, spans))


def span_scores(p_start: numpy.ndarray, p_end: numpy.ndarray, spans: SpanArray) -> numpy.ndarray:
    """The score of each span, ``p_start * p_end``: ``(n,)``, for spans int64 ``(n, 2)``."""
    return numpy.asarray(p_start)[spans[:, 0]] * numpy.asarray(p_end)[spans[:, 1] - 1]
