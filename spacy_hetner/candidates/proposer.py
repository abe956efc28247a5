"""What a proposer is: a function from docs to candidate spans.

A proposer gives for each doc an int64 array (n, 2) of half-open token spans, sorted by start and
end, each once, none empty, and none over the end of a sentence where the doc has sentences. It
changes no doc. What it has to leave out it counts by cause, see ``CountingProposer``.
"""

import warnings
from collections import Counter
from typing import Callable, Iterable, List, Mapping, Sequence

import numpy
from spacy.tokens import Doc

from ..errors import Errors, Warnings
from ..spans.batch import sentence_bounds
from ..types import SpanArray

Proposer = Callable[[Sequence[Doc]], List[SpanArray]]
"""Docs to candidates, one array (n, 2) a doc."""

CROSSING = "spans that cross the end of a sentence"


class CountingProposer:
    """A proposer that may have to leave spans out.

    dropped (Counter): What was left out since it was made, by cause.
    """

    title = ""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()

    def count(self, dropped: Mapping[str, int]) -> None:
        """Count what one batch of docs lost; the first loss is told as a warning (HW170)."""
        lost = +Counter(dropped)
        if lost and not self.dropped:
            causes = "; ".join(f"{n:,} {cause}" for cause, n in sorted(lost.items()))
            message = Warnings.HW170.format(name=self.title, dropped=causes)
            warnings.warn(message, stacklevel=3)
        self.dropped.update(lost)


def sort_spans(spans: SpanArray) -> SpanArray:
    """Spans (n, 2) by start, then end, each once."""
    keys = numpy.unique((spans[:, 0].astype("int64") << 32) | spans[:, 1].astype("int64"))
    return numpy.stack((keys >> 32, keys & 0xFFFFFFFF), axis=1)


def as_spans(pairs: Iterable[Sequence[int]]) -> SpanArray:
    """Pairs of start and end as an int64 array (n, 2)."""
    return numpy.array(list(pairs), dtype="int64").reshape(-1, 2)


def within_sentences(doc: Doc, spans: SpanArray) -> numpy.ndarray:
    """Which of a doc's non-empty spans (n, 2) lie inside one sentence: bool (n,)."""
    bounds = sentence_bounds(doc)
    if len(bounds) == 0:
        return numpy.zeros(len(spans), dtype=bool)
    sentence = numpy.searchsorted(bounds[:, 0], spans[:, 0], side="right") - 1
    return spans[:, 1] <= bounds[sentence, 1]


def check_candidates(name: str, docs: Sequence[Doc], found: Sequence[SpanArray]) -> List[SpanArray]:
    """What a proposer of any make gave, sorted and each span once; RAISES (ValueError): HE176."""
    problem = "" if len(found) == len(docs) else f"{len(found)} arrays"
    arrays = [numpy.asarray(spans) for spans in found]
    for doc, spans in zip(docs, arrays, strict=False):
        if spans.size == 0:
            continue
        if spans.ndim != 2 or spans.shape[1] != 2 or spans.dtype.kind not in "iu":
            problem = problem or f"shape {spans.shape} of {spans.dtype}"
        elif (spans[:, 0] < 0).any() or (spans[:, 0] >= spans[:, 1]).any():
            problem = problem or "spans that are empty or begin before the doc"
        elif (spans[:, 1] > len(doc)).any():
            problem = problem or f"a span that ends at {spans[:, 1].max()} of {len(doc)} tokens"
    if problem:
        raise ValueError(Errors.HE176.format(name=name, docs=len(docs), found=problem))
    return [sort_spans(spans.reshape(-1, 2)) for spans in arrays]
