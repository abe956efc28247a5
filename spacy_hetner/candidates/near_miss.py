"""Regions that nearly are a mention: by edit distance, in the mention's own sentence.

The negatives of Decoupled NER's unified training: "all words and phrases with an edit distance
less than one to any of the entity mentions", read as a distance of at most one, which gives the
boundary errors around a mention. Distances count tokens, which are characters in Chinese text.
"""

from typing import Dict, Hashable, List, Optional, Sequence

import numpy
from numpy.lib.stride_tricks import sliding_window_view
from spacy.tokens import Doc

from ..spans.batch import sentence_bounds
from ..types import SpanArray
from ..validation import check_count
from .proposer import sort_spans


def near_miss_regions(
    tokens: Sequence[Hashable],
    mentions: SpanArray,
    *,
    max_distance: int = 1,
    sentences: Optional[SpanArray] = None,
) -> SpanArray:
    """All non-empty regions within a Levenshtein distance of a mention in their sentence.

    The mentions themselves are left out; the same words elsewhere in the sentence, distance 0,
    are not. A mention that crosses the end of a sentence has no regions.

    tokens (Sequence[Hashable]): The doc's tokens, compared by equality.
    mentions (SpanArray): int64 (n, 2), none empty.
    max_distance (int): The largest number of tokens to insert, delete or change. A mention of no
        more tokens than that is near to every region as short.
    sentences (Optional[SpanArray]): int64 (m, 2), ascending; by default all tokens are one.
    RETURNS (SpanArray): int64 (k, 2), sorted. The cost is linear in the sentence's tokens, for
        each mention times its tokens and 2 max_distance + 1.
    RAISES (ValueError): HE078 for a distance below 0.
    """
    check_count("max_distance", max_distance, 0)
    ids = _number(tokens)
    bounds = numpy.array([[0, len(ids)]]) if sentences is None else sentences
    found: List[SpanArray] = [numpy.zeros((0, 2), dtype="int64")]
    for start, end in bounds.tolist():
        inside = mentions[(mentions[:, 0] >= start) & (mentions[:, 1] <= end)].tolist()
        # Equal mentions have equal regions.
        for surface in sorted({tuple(ids[a:b].tolist()) for a, b in inside}):
            mention = numpy.array(surface, dtype="int64")
            found.append(_regions(mention, ids[start:end], max_distance) + start)
    regions = sort_spans(numpy.concatenate(found))
    return regions[~_among(regions, mentions)]


def near_misses(doc: Doc, mentions: SpanArray, *, max_distance: int = 1) -> SpanArray:
    """``near_miss_regions`` of a doc, within its sentences; words are compared as written."""
    tokens = doc.to_array("ORTH").reshape(-1).tolist()
    bounds = sentence_bounds(doc)
    return near_miss_regions(tokens, mentions, max_distance=max_distance, sentences=bounds)


def window_distances(
    mention: numpy.ndarray, tokens: numpy.ndarray, max_distance: int
) -> numpy.ndarray:
    """Levenshtein distances of a mention to all windows of about its length.

    mention: int64 (m,); tokens: int64 (n,); both ids >= 0.
    RETURNS: int64 (n + 1, 2 d + 1) for d = max_distance. Row i, column k belongs to the window of
        m - d + k tokens that begins at i; d + 1 where it is further away, or there is none.

    One dynamic program runs over all starts at once, in a band of 2 d + 1 diagonals, outside of
    which every distance is larger than d.
    """
    m, n, d = len(mention), len(tokens), max_distance
    lengths = m - d + numpy.arange(2 * d + 1)
    offsets = numpy.arange(-d, d + 1)  # column of the full table, less the row
    unequal = numpy.full(d, -1), tokens, numpy.full(m + d + 1, -1)
    windows = sliding_window_view(numpy.concatenate(unequal), 2 * d + 1)
    beyond = numpy.full((n + 1, 1), d + 1)
    table = numpy.broadcast_to(numpy.where(offsets < 0, d + 1, offsets), (n + 1, 2 * d + 1))
    for row in range(m):
        changed = table + (windows[row : row + n + 1] != mention[row])
        deleted = numpy.concatenate((table[:, 1:], beyond), axis=1) + 1
        best = numpy.minimum(changed, deleted)
        # An insertion costs 1 a column: the running minimum, less what the columns cost.
        table = numpy.minimum.accumulate(best - offsets, axis=1) + offsets
    exists = (lengths >= 0) & (numpy.arange(n + 1)[:, None] + lengths <= n)
    return numpy.where(exists, numpy.minimum(table, d + 1), d + 1)


def _regions(mention: numpy.ndarray, tokens: numpy.ndarray, max_distance: int) -> SpanArray:
    distances = window_distances(mention, tokens, max_distance)
    starts, columns = (distances <= max_distance).nonzero()
    ends = starts + columns + len(mention) - max_distance
    return numpy.stack((starts, ends), axis=1)[starts < ends].astype("int64")


def _number(tokens: Sequence[Hashable]) -> numpy.ndarray:
    numbers: Dict[Hashable, int] = {}
    ids = [numbers.setdefault(token, len(numbers)) for token in tokens]
    return numpy.array(ids, dtype="int64")


def _among(spans: SpanArray, others: SpanArray) -> numpy.ndarray:
    """Which spans are among the others: bool (n,)."""
    known = set(map(tuple, others.tolist()))
    return numpy.array([tuple(span) in known for span in spans.tolist()], dtype=bool)
