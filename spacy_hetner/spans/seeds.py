"""Seed spans: the windows that Locate and Label slides over a sentence (section 2.3)."""

from typing import List, Sequence

import numpy

from ..errors import Errors
from ..types import SpanArray


def check_lengths(lengths: Sequence[int]) -> List[int]:
    """RETURNS: the seed lengths, sorted and without repetition; RAISES (ValueError): HE001."""
    valid = len(lengths) > 0 and all(
        isinstance(w, int) and not isinstance(w, bool) and w >= 1 for w in lengths
    )
    if not valid:
        raise ValueError(Errors.HE001.format(value=lengths))
    return sorted(set(lengths))


def enumerate_seeds(n: int, lengths: Sequence[int], *, clip_at_end: bool = False) -> SpanArray:
    """All windows of the given lengths inside a text of ``n`` tokens.

    Ordered by length as given, then by start; sum over w of max(0, n - w + 1) spans.
    ``clip_at_end`` also slides windows past the end and clips them there, as the published code
    does, which adds suffix spans of other lengths (duplicates removed).

    RETURNS: int64 ``(n_seeds, 2)``.
    """
    seeds: List[SpanArray] = [numpy.zeros((0, 2), dtype="int64")]
    for w in lengths:
        starts = numpy.arange(n if clip_at_end else max(0, n - w + 1), dtype="int64")
        seeds.append(numpy.stack((starts, numpy.minimum(starts + w, n)), axis=1))
    spans = numpy.concatenate(seeds)
    if clip_at_end:
        _, first = numpy.unique(spans, axis=0, return_index=True)
        spans = spans[numpy.sort(first)]
    return spans
