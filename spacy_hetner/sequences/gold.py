"""Gold spans as layers of tags."""

from typing import List, NamedTuple

import numpy

from ..labels.tagset import TagSet
from ..spans.resolve import resolve_overlaps
from ..types import GoldSpans, LabelledSpan, SpanArray


class GoldTags(NamedTuple):
    """Numbers of tags, int64 (layers, n_tokens), and how many spans they do not say."""

    tags: numpy.ndarray
    lost: int


def layers_of(gold: GoldSpans, n_layers: int) -> List[List[int]]:
    """Indices of the spans in each layer, none of which overlap within it.

    The outermost spans make the first layer, the outermost of the rest the second, and so on: of
    spans with equal offsets each takes a layer of its own. What is left is in none.
    """
    rest = numpy.arange(len(gold.labels))
    layers: List[List[int]] = []
    for _ in range(n_layers):
        kept = resolve_overlaps(gold.spans[rest], numpy.ones(len(rest)).tolist(), "outermost")
        layers.append(rest[kept].tolist())
        rest = numpy.delete(rest, kept)
    return layers


def gold_tags(gold: GoldSpans, bounds: SpanArray, tag_set: TagSet, n_layers: int) -> GoldTags:
    """Tags of one doc. A span that crosses a sentence boundary, or finds no layer, is lost.

    gold: spans (n, 2) over the doc; bounds: the doc's sentences, int64 (n_sentences, 2).
    """
    n = int(bounds[-1, 1]) if len(bounds) else 0
    sentence = numpy.searchsorted(bounds[:, 1], gold.spans, side="right")
    # The sentence that holds the first token, and the one that holds the last.
    sentence[:, 1] = numpy.searchsorted(bounds[:, 1], gold.spans[:, 1] - 1, side="right")
    inside = numpy.flatnonzero(sentence[:, 0] == sentence[:, 1])
    held = GoldSpans(gold.spans[inside], [gold.labels[i] for i in inside])
    layers = layers_of(held, n_layers)
    spans = [LabelledSpan(int(s), int(e), name) for (s, e), name in zip(*held, strict=True)]
    tags = numpy.stack([tag_set.encode([spans[i] for i in layer], n) for layer in layers])
    return GoldTags(tags, len(gold.labels) - sum(map(len, layers)))
