"""Candidates that need no dictionary: n-grams, noun chunks, and what other components found."""

from collections import Counter
from functools import partial
from typing import List, Optional, Sequence

import numpy
from spacy.tokens import Doc, Span

from ..errors import Errors
from ..spans.batch import sentence_bounds
from ..spans.seeds import check_lengths, enumerate_seeds
from ..types import SpanArray
from ..validation import check_count
from .near_miss import near_misses
from .proposer import CROSSING, CountingProposer, Proposer, as_spans, sort_spans, within_sentences


def make_ngram_candidates(lengths: List[int]) -> Proposer:
    """Registered as ``spacy_hetner.NgramCandidates.v1``: all spans of certain lengths.

    lengths (List[int]): In tokens. Each adds about one candidate a token.
    RAISES (ValueError): HE001 for no lengths, or one below 1.
    """
    return partial(propose_ngrams, lengths=check_lengths(lengths))


def make_noun_chunk_candidates() -> Proposer:
    """Registered as ``spacy_hetner.NounChunkCandidates.v1``: ``doc.noun_chunks`` of a parsed doc.

    RAISES (ValueError): When called, HE172 for a doc that is not parsed, or whose language has no
        noun chunks.
    """
    return propose_noun_chunks


def make_span_group_candidates(spans_key: Optional[str]) -> "SpanGroupCandidates":
    """Registered as ``spacy_hetner.SpanGroupCandidates.v1``; see SpanGroupCandidates."""
    return SpanGroupCandidates(spans_key)


def make_near_miss_candidates(
    spans_key: Optional[str], max_distance: int = 1
) -> "NearMissCandidates":
    """Registered as ``spacy_hetner.NearMissCandidates.v1``; see NearMissCandidates."""
    return NearMissCandidates(spans_key, max_distance=max_distance)


class SpanGroupCandidates(CountingProposer):
    """What another component found, without labels.

    Spans that cross the end of a sentence are left out and counted, docs without the group too.

    spans_key (Optional[str]): The group in ``doc.spans``; ``None`` (in a config ``null``) for
        ``doc.ents``.
    """

    title = "spacy_hetner.SpanGroupCandidates.v1"

    def __init__(self, spans_key: Optional[str]) -> None:
        super().__init__()
        self.spans_key = spans_key

    def __call__(self, docs: Sequence[Doc]) -> List[SpanArray]:
        """RETURNS: the spans of each doc, int64 (n, 2), sorted."""
        lost: Counter[str] = Counter()
        found = [self._read(doc, lost) for doc in docs]
        self.count(lost)
        return found

    def _read(self, doc: Doc, lost: "Counter[str]") -> SpanArray:
        members: Sequence[Span] = ()
        if self.spans_key is None:
            members = doc.ents
        elif self.spans_key in doc.spans:
            members = list(doc.spans[self.spans_key])
        elif len(doc):
            lost[f"docs without the span group '{self.spans_key}'"] += 1
        spans = sort_spans(as_spans((s.start, s.end) for s in members if s.start < s.end))
        kept = within_sentences(doc, spans)
        lost[CROSSING] += int((~kept).sum())
        return spans[kept]


class NearMissCandidates(SpanGroupCandidates):
    """Regions that nearly are a span of another component, but are none of its spans.

    See ``near_miss.near_miss_regions``.

    spans_key (Optional[str]): As of SpanGroupCandidates.
    max_distance (int): The largest Levenshtein distance, in tokens.
    RAISES (ValueError): HE078 for a distance below 0.
    """

    title = "spacy_hetner.NearMissCandidates.v1"

    def __init__(self, spans_key: Optional[str], *, max_distance: int = 1) -> None:
        super().__init__(spans_key)
        self.max_distance = check_count("max_distance", max_distance, 0)

    def __call__(self, docs: Sequence[Doc]) -> List[SpanArray]:
        """RETURNS: the regions of each doc, int64 (n, 2), sorted."""
        near = zip(docs, super().__call__(docs), strict=True)
        return [near_misses(doc, spans, max_distance=self.max_distance) for doc, spans in near]


def propose_ngrams(docs: Sequence[Doc], *, lengths: Sequence[int]) -> List[SpanArray]:
    """All spans of the given lengths, in tokens."""
    return [_ngrams(doc, lengths) for doc in docs]


def propose_noun_chunks(docs: Sequence[Doc]) -> List[SpanArray]:
    """The noun chunks of parsed docs; see ``make_noun_chunk_candidates``."""
    return [_noun_chunks(doc) for doc in docs]


def _ngrams(doc: Doc, lengths: Sequence[int]) -> SpanArray:
    bounds = sentence_bounds(doc).tolist()
    parts = [enumerate_seeds(end - start, lengths) + start for start, end in bounds]
    return sort_spans(numpy.concatenate([as_spans([]), *parts]))


def _noun_chunks(doc: Doc) -> SpanArray:
    if len(doc) == 0:
        return as_spans([])
    try:
        chunks = as_spans((chunk.start, chunk.end) for chunk in doc.noun_chunks)
    except (ValueError, NotImplementedError) as error:
        reason = (
            f"spaCy has none for the language '{doc.lang_}'"
            if isinstance(error, NotImplementedError)
            else "it is not parsed"
        )
        raise ValueError(Errors.HE172.format(text=doc.text[:60], reason=reason)) from error
    return sort_spans(chunks[within_sentences(doc, chunks)])
