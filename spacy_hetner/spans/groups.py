"""Span groups under the house's contract: a flat float32 score for every span, always."""

from typing import Iterable, Optional, Sequence

import numpy
from spacy.tokens import Doc, Span, SpanGroup

from ..errors import Errors
from ..types import ScoredSpans, SpanArray
from .soft_nms import best_per_span


def make_span_group(
    doc: Doc,
    key: str,
    spans: SpanArray,
    scores: numpy.ndarray,
    labels: Optional[Sequence[str]] = None,
) -> SpanGroup:
    """A group named ``key`` of spans (n, 2) with ``attrs["scores"]`` (n,) as float32."""
    names = [""] * len(spans) if labels is None else labels
    return SpanGroup(
        doc,
        name=key,
        spans=[
            Span(doc, int(start), int(end), label=label)
            for (start, end), label in zip(spans, names, strict=True)
        ],
        attrs={"scores": numpy.asarray(scores, dtype="float32")},
    )


def write_spans(
    docs: Iterable[Doc],
    predictions: Iterable[ScoredSpans],
    key: str,
    candidates_key: Optional[str] = None,
) -> None:
    """Write the labelled spans of docs to ``doc.spans[key]``.

    candidates_key: A group for the same without labels: a span of several labels is there once,
        with the best score.
    """
    for doc, (spans, labels, scores) in zip(docs, predictions, strict=True):
        doc.spans[key] = make_span_group(doc, key, spans, scores, labels)
        if candidates_key is not None:
            kept = numpy.sort(best_per_span(spans, scores))
            group = make_span_group(doc, candidates_key, spans[kept], scores[kept])
            doc.spans[candidates_key] = group


def group_spans(doc: Doc, key: str) -> SpanArray:
    """Token offsets of a span group's spans that have tokens, int64 (n, 2).

    (0, 2) where the doc has no such group.
    """
    group = doc.spans.get(key, ())
    offsets = [(span.start, span.end) for span in group if span.start < span.end]
    return numpy.array(offsets, dtype="int64").reshape(-1, 2)


def group_scores(group: SpanGroup) -> numpy.ndarray:
    """A group's scores, float32 (n,); 1.0 where it has none.

    Raises ValueError (HE090) where they are not one for each span.
    """
    scores = group.attrs.get("scores")
    flat = numpy.ones(len(group)) if scores is None else numpy.asarray(scores).reshape(-1)
    if len(flat) != len(group):
        raise ValueError(Errors.HE090.format(key=group.name, spans=len(group), scores=len(flat)))
    return flat.astype("float32")
