"""Gold spans as layers of tags."""

from typing import List, NamedTuple

import numpy

from ..labels.tagset import TagSet
from ..spans.resolve import resolve_overlaps
from ..types import GoldSpans, LabelledSpan, SpanArray


class LayeredGold(NamedTuple):
    """Indices of the spans in each layer of tags, and how many spans are in none, by cause:
    they cross a sentence boundary, or overlap spans of every layer."""

    layers: List[List[int]]
    crossing: int
    overlapping: int


def layers_of(gold: GoldSpans, bounds: SpanArray, n_layers: int) -> LayeredGold:
    """Put the spans of a doc into layers, so that none overlap within one.

    The outermost spans make the first layer, the outermost of the rest the second, and so on: of
    spans with equal offsets each takes a layer of its own.

    gold: spans (n, 2) over the doc; bounds: the doc's sentences, int64 (n_sentences, 2).
    """
    # The sentence that holds the first token, and the one that holds the last.
    first, last = numpy.searchsorted(bounds[:, 1], gold.spans - [0, 1], side="right").T
    rest = numpy.flatnonzero(first == last)
    crossing = len(gold.labels) - len(rest)
    layers: List[List[int]] = []
    for _ in range(n_layers):
        kept = resolve_overlaps(gold.spans[rest], numpy.ones(len(rest)).tolist(), "outermost")
        layers.append(rest[kept].tolist())
        rest = numpy.delete(rest, kept)
    return LayeredGold(layers, crossing, len(rest))


def layer_tags(
    gold: GoldSpans, layers: List[List[int]], tag_set: TagSet, n_tokens: int
) -> numpy.ndarray:
    """Numbers of the tags of one doc, int64 (layers, n_tokens)."""
    spans = [LabelledSpan(int(s), int(e), name) for (s, e), name in zip(*gold, strict=True)]
    return numpy.stack([tag_set.encode([spans[i] for i in layer], n_tokens) for layer in layers])
