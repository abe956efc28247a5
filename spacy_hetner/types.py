"""The composite types of the package, each named once.

Spans are half-open token offsets ``[start, end)``. An array of spans has shape ``(n, 2)`` and
dtype int64; no spans at all is ``(0, 2)``, never ``(0, 0)``.
"""

from pathlib import Path
from typing import List, NamedTuple, Union

import numpy

PathLike = Union[str, Path]
"""A file or folder, as users may name it."""

SpanArray = numpy.ndarray
"""int64 ``(n, 2)``: half-open token spans."""


class LabelledSpan(NamedTuple):
    """One labelled half-open token span."""

    start: int
    end: int
    label: str


class ScoredSpans(NamedTuple):
    """Labelled, scored spans of one document.

    spans: int64 ``(n, 2)``; labels: ``(n,)`` strings as a list; scores: float32 ``(n,)``.
    """

    spans: SpanArray
    labels: List[str]
    scores: numpy.ndarray


class GoldSpans(NamedTuple):
    """Gold spans of one document, in document order.

    spans: int64 ``(n, 2)``; labels: ``n`` strings.
    """

    spans: SpanArray
    labels: List[str]


class PairedSpans(NamedTuple):
    """Candidate spans of one document, each with the gold span it was paired with.

    What a proposer hands to the classifier in training: the adjusted seeds, and for each the gold
    span of largest overlap with the *seed* (Locate and Label, section 2.3).

    spans: int64 ``(n, 2)``, the candidates after boundary adjustment;
    pair_spans: int64 ``(n, 2)``, the paired gold span, ``(0, 0)`` where there is none;
    pair_labels: ``n`` strings, ``""`` where there is none.
    """

    spans: SpanArray
    pair_spans: SpanArray
    pair_labels: List[str]
