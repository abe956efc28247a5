"""Gold spans of an Example, as arrays over the tokens of its predicted doc."""

import warnings
from typing import Callable, Iterable, List, NamedTuple, Optional, Set

import numpy
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..errors import Warnings
from ..types import GoldSpans


class AlignedGold(NamedTuple):
    """Gold spans that can be learned from, and how many cannot."""

    gold: GoldSpans
    lost: int


def aligned_gold(example: Example, key: str) -> AlignedGold:
    """Gold spans of the span group ``key`` in the reference doc, in document order.

    Aligned through characters: a span whose boundaries fall inside predicted tokens is lost, never
    widened. So is one without a label or without tokens. A reference without the span group has no
    gold spans.
    """
    reference, predicted = example.reference, example.predicted
    if key not in reference.spans:
        return AlignedGold(to_gold([]), 0)
    group = reference.spans[key]
    usable = [span for span in group if span.label and span.start < span.end]
    spans = sorted(usable, key=lambda span: (span.start, -span.end, span.label_))
    if _same_tokens(reference, predicted):
        kept = spans
    elif reference.text == predicted.text:
        found = [predicted.char_span(s.start_char, s.end_char, label=s.label_) for s in spans]
        kept = [span for span in found if span is not None]
    else:
        kept = list(example.get_aligned_spans_y2x(spans, allow_overlap=True))
    return AlignedGold(to_gold(kept), len(group) - len(kept))


def to_gold(spans: List[Span]) -> GoldSpans:
    """Spans as an int64 array (n, 2) with their labels."""
    offsets = numpy.array([(s.start, s.end) for s in spans], dtype="int64").reshape(-1, 2)
    return GoldSpans(offsets, [span.label_ for span in spans])


def _same_tokens(a: Doc, b: Doc) -> bool:
    return len(a) == len(b) and all(x.orth == y.orth for x, y in zip(a, b, strict=True))


class InitializationGold(NamedTuple):
    """What a component needs at initialize: a few docs for its model, all labels, sorted, the
    number of gold spans, and of those that are beyond it."""

    docs: List[Doc]
    labels: List[str]
    total: int
    beyond: int


def initialization_gold(
    get_examples: Callable[[], Iterable[Example]],
    key: str,
    n_docs: int = 10,
    beyond: Optional[Callable[[Doc, GoldSpans], int]] = None,
) -> InitializationGold:
    """Go through all examples once; warns (HW001) if gold spans cannot be learned from.

    beyond: how many of a doc's gold spans the component cannot say, by its own count.
    """
    docs: List[Doc] = []
    labels: Set[str] = set()
    lost = total = unsaid = 0
    for example in get_examples():
        if len(docs) < n_docs:
            docs.append(example.predicted)
        gold, missing = aligned_gold(example, key)
        labels.update(gold.labels)
        lost += missing
        total += len(gold.labels)
        unsaid += beyond(example.predicted, gold) if beyond else 0
    if lost:
        warnings.warn(Warnings.HW001.format(lost=lost, total=lost + total, key=key), stacklevel=2)
    return InitializationGold(docs, sorted(labels), total, unsaid)
