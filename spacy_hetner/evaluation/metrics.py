"""Strict and lenient scores of labelled spans: plain sets in, counts out, no spaCy.

One rule underlies all: precision asks of every predicted span whether the gold spans confirm it,
recall asks of every gold span whether the predicted ones do. The metrics differ only in what
confirms a span:

- strict: the same start, end and label (the measure of all the papers);
- unlabelled: the same start and end;
- boundary: the same label and at least one boundary;
- overlap: the same label and at least one character in common.

In the lenient two, one span may confirm several of the other side. Spans of one document are a
set: duplicates count once. Ratios are micro-averaged over all documents, and 0 where undefined.
"""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import AbstractSet, Any, Dict, Iterable, List, Literal, NamedTuple, Sequence, Tuple

import numpy

from ..spans.resolve import count_containers
from ..types import SpanArray

Offsets = Tuple[int, int]
"""A half-open span in characters, or in any other unit that both sides share."""

LabelledOffsets = Tuple[int, int, str]

Side = Literal["precision", "recall"]

LENGTH_EDGES = (1, 2, 3, 5, 10)
"""Where the length buckets begin: 1, 2, 3-4, 5-9, 10+ tokens."""


class DocumentSpans(NamedTuple):
    """Gold and predicted spans of one document, in one unit of offsets.

    tokens: int ``(n, 2)``, the offsets of the reference's tokens, in document order;
    predicted_tokens: int ``(m, 2)``, the same of the tokens that predictions are made of.
    """

    gold: AbstractSet[LabelledOffsets]
    predicted: AbstractSet[LabelledOffsets]
    tokens: SpanArray
    predicted_tokens: SpanArray


@dataclass
class Ratio:
    """How many of all that were counted are confirmed by the other side."""

    confirmed: int = 0
    total: int = 0

    def count(self, confirmed: bool) -> None:
        self.confirmed += bool(confirmed)
        self.total += 1

    @property
    def value(self) -> float:
        """In [0, 1]; 0 of nothing."""
        return self.confirmed / self.total if self.total else 0.0


@dataclass
class PRF:
    """Precision (``total`` = predicted spans) and recall (``total`` = gold spans)."""

    precision: Ratio = field(default_factory=Ratio)
    recall: Ratio = field(default_factory=Ratio)

    def count(self, side: Side, confirmed: bool) -> None:
        ratio = self.precision if side == "precision" else self.recall
        ratio.count(confirmed)

    @property
    def f(self) -> float:
        """The harmonic mean of precision and recall, 0 if both are."""
        p, r = self.precision.value, self.recall.value
        return 2 * p * r / (p + r) if p + r else 0.0

    def to_dict(self) -> Dict[str, float]:
        """The three ratios as spaCy names them."""
        return {"p": self.precision.value, "r": self.recall.value, "f": self.f}


@dataclass
class SpanScores:
    """All scores of labelled spans; grows by ``add``.

    per_label: strict, for each label that either side uses.
    by_length: strict, by the number of reference tokens that a span touches. A gold span counts
        for the recall of its own bucket, a predicted one for the precision of its own.
    by_depth: strict, by depth: 1 + the number of other spans of the same side that contain the
        span (spans with equal offsets count as one and do not contain each other). Precision
        takes the depth of a predicted span among the predictions, recall that of a gold span
        among the gold spans, so the two count different spans.
    unreachable: gold spans that no run of the predicted document's tokens can equal.
    """

    documents: int = 0
    strict: PRF = field(default_factory=PRF)
    unlabelled: PRF = field(default_factory=PRF)
    boundary: PRF = field(default_factory=PRF)
    overlap: PRF = field(default_factory=PRF)
    unreachable: int = 0
    _labels: Dict[str, PRF] = field(default_factory=lambda: defaultdict(PRF))
    _lengths: Dict[int, PRF] = field(default_factory=lambda: defaultdict(PRF))
    _depths: Dict[int, PRF] = field(default_factory=lambda: defaultdict(PRF))

    def add(self, document: DocumentSpans) -> None:
        """Count one more document."""
        self.documents += 1
        self._count("precision", document.predicted, document.gold, document.tokens)
        self._count("recall", document.gold, document.predicted, document.tokens)
        self.unreachable += _count_unreachable(document)

    @property
    def per_label(self) -> Dict[str, PRF]:
        """In the labels' order."""
        return {label: self._labels[label] for label in sorted(self._labels)}

    @property
    def by_length(self) -> Dict[str, PRF]:
        """In the order of the lengths, such as ``"3-4"`` or ``"10+"``."""
        return {bucket_name(bucket): self._lengths[bucket] for bucket in sorted(self._lengths)}

    @property
    def by_depth(self) -> Dict[str, PRF]:
        """In the order of the depths, from ``"1"``."""
        return {str(depth): self._depths[depth] for depth in sorted(self._depths)}

    def _count(
        self,
        side: Side,
        judged: AbstractSet[LabelledOffsets],
        judges: AbstractSet[LabelledOffsets],
        tokens: SpanArray,
    ) -> None:
        spans = sorted(judged)
        starts = {(start, label) for start, _, label in judges}
        ends = {(end, label) for _, end, label in judges}
        offsets = _as_array(spans)
        depths = (count_containers(offsets) + 1).tolist()
        buckets = find_buckets(count_tokens(offsets, tokens))
        overlaps = _overlap(spans, judges)
        for span, depth, bucket, overlapped in zip(spans, depths, buckets, overlaps, strict=True):
            start, end, label = span
            confirmed = span in judges
            self.strict.count(side, confirmed)
            self._labels[label].count(side, confirmed)
            self._lengths[bucket].count(side, confirmed)
            self._depths[depth].count(side, confirmed)
            self.boundary.count(side, (start, label) in starts or (end, label) in ends)
            self.overlap.count(side, overlapped)
        judging = _unlabelled(judges)
        for pair in _unlabelled(judged):
            self.unlabelled.count(side, pair in judging)


@dataclass
class CandidateScores:
    """How well unlabelled candidates cover the gold spans, and at what cost; grows by ``add``.

    recall: gold spans, labels ignored, that are among the candidates.
    candidates: distinct candidates. tokens: tokens of the reference.
    """

    documents: int = 0
    recall: Ratio = field(default_factory=Ratio)
    candidates: int = 0
    tokens: int = 0
    _lengths: Dict[int, Ratio] = field(default_factory=lambda: defaultdict(Ratio))

    def add(self, document: DocumentSpans) -> None:
        """Count one more document; the predicted spans are its candidates."""
        self.documents += 1
        candidates = _unlabelled(document.predicted)
        self.candidates += len(candidates)
        self.tokens += len(document.tokens)
        gold = sorted(_unlabelled(document.gold))
        buckets = find_buckets(count_tokens(_as_array(gold), document.tokens))
        for span, bucket in zip(gold, buckets, strict=True):
            self.recall.count(span in candidates)
            self._lengths[bucket].count(span in candidates)

    @property
    def per_gold(self) -> float:
        """Candidates for each gold span, 0 without gold spans."""
        return self.candidates / self.recall.total if self.recall.total else 0.0

    @property
    def per_token(self) -> float:
        """Candidates for each token, 0 without tokens."""
        return self.candidates / self.tokens if self.tokens else 0.0

    @property
    def by_length(self) -> Dict[str, Ratio]:
        """Recall by the number of reference tokens of the gold span."""
        return {bucket_name(bucket): self._lengths[bucket] for bucket in sorted(self._lengths)}


def score_spans(documents: Iterable[DocumentSpans]) -> SpanScores:
    """All scores of labelled spans over a corpus."""
    scores = SpanScores()
    for document in documents:
        scores.add(document)
    return scores


def score_candidates(documents: Iterable[DocumentSpans]) -> CandidateScores:
    """Coverage and cost of candidates over a corpus."""
    scores = CandidateScores()
    for document in documents:
        scores.add(document)
    return scores


def find_buckets(lengths: numpy.ndarray) -> List[int]:
    """The index of each length's bucket; -1 for a span that touches no token."""
    return [bisect_right(LENGTH_EDGES, length) - 1 for length in lengths.tolist()]


def bucket_name(bucket: int) -> str:
    """The lengths of a bucket: ``"2"``, ``"3-4"``, ``"10+"``."""
    if bucket < 0:
        return "0"
    first = LENGTH_EDGES[bucket]
    if bucket + 1 == len(LENGTH_EDGES):
        return f"{first}+"
    last = LENGTH_EDGES[bucket + 1] - 1
    return str(first) if first == last else f"{first}-{last}"


def count_tokens(spans: SpanArray, tokens: SpanArray) -> numpy.ndarray:
    """How many tokens each span touches: int ``(n,)``.

    spans, tokens: int ``(n, 2)`` and ``(m, 2)`` in one unit; the tokens are disjoint, sorted.
    """
    begun = numpy.searchsorted(tokens[:, 0], spans[:, 1], side="left")
    over = numpy.searchsorted(tokens[:, 1], spans[:, 0], side="right")
    return numpy.maximum(begun - over, 0)


def _overlap(spans: Sequence[LabelledOffsets], others: AbstractSet[LabelledOffsets]) -> List[bool]:
    """Whether each span shares a character with a span of its own label among the others."""
    by_label: Dict[str, List[Offsets]] = defaultdict(list)
    for start, end, label in sorted(others):
        by_label[label].append((start, end))
    arrays = {label: _as_array(pairs) for label, pairs in by_label.items()}
    # Of the spans that start before a given end, the one that reaches furthest decides.
    reach = {label: numpy.maximum.accumulate(array[:, 1]) for label, array in arrays.items()}
    overlaps = []
    for start, end, label in spans:
        begun = numpy.searchsorted(arrays[label][:, 0], end) if label in arrays else 0
        overlaps.append(bool(begun and reach[label][begun - 1] > start))
    return overlaps


def _count_unreachable(document: DocumentSpans) -> int:
    starts, ends = (set(column) for column in document.predicted_tokens.T.tolist())
    return sum(start not in starts or end not in ends for start, end, _ in document.gold)


def _unlabelled(spans: AbstractSet[LabelledOffsets]) -> AbstractSet[Offsets]:
    return {(start, end) for start, end, _ in spans}


def _as_array(spans: Sequence[Any]) -> SpanArray:
    """The offsets of labelled or unlabelled spans: int64 ``(n, 2)``."""
    return numpy.array([span[:2] for span in spans], dtype="int64").reshape(-1, 2)
