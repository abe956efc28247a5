"""Which gold span a seed belongs to, and what its heads should learn (spec 1.4, 1.7, 1.8)."""

from typing import List, NamedTuple, Tuple

import numpy

from ..types import GoldSpans, PairedSpans, SpanArray
from .iou import iou


class SeedTargets(NamedTuple):
    """Stage-1 targets of one document's seeds.

    spans: int64 ``(n, 2)``; pair: int64 ``(n,)``, index of the gold span of largest IoU (ties: the
    first), -1 where nothing overlaps; iou: float64 ``(n,)`` with that gold span, 0 without;
    positive: bool ``(n,)``; offsets: int64 ``(n, 2)``, gold minus seed boundaries, 0 where not
    positive.
    """

    spans: SpanArray
    pair: numpy.ndarray
    iou: numpy.ndarray
    positive: numpy.ndarray
    offsets: numpy.ndarray

    def take(self, index: numpy.ndarray) -> "SeedTargets":
        """The targets of some of the seeds."""
        return SeedTargets(*(column[index] for column in self))


def assign_seeds(
    seeds: SpanArray, gold: SpanArray, threshold: float, *, add_gold: bool = False
) -> SeedTargets:
    """Pair each seed with its gold span; positive where IoU >= ``threshold`` (alpha 1).

    ``add_gold`` appends every gold span that is not a seed already, paired with itself: without
    it an entity that no seed reaches at the threshold would never be seen by any head.
    """
    if add_gold and len(gold):
        seeds = numpy.concatenate((seeds, _without(gold, seeds)))
    pair, value = _best_pairs(seeds, gold)
    positive = (pair >= 0) & (value >= threshold)
    offsets = numpy.zeros_like(seeds)
    offsets[positive] = gold[pair[positive]] - seeds[positive]
    return SeedTargets(seeds, pair, value, positive, offsets)


def _without(spans: SpanArray, others: SpanArray) -> SpanArray:
    """The distinct spans that are not among the others."""
    base = 1 + max(spans.max(initial=0), others.max(initial=0))
    distinct = numpy.unique(spans, axis=0)
    return distinct[~numpy.isin(distinct @ [base, 1], others @ [base, 1])]


def _best_pairs(seeds: SpanArray, gold: SpanArray) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """Index of the gold span of largest IoU with each seed (-1: none), and that IoU."""
    pair, value = numpy.full(len(seeds), -1, dtype="int64"), numpy.zeros(len(seeds))
    # One gold span after the other, since all pairs of a long text do not fit into memory.
    for index, span in enumerate(gold):
        near = numpy.flatnonzero((seeds[:, 0] < span[1]) & (seeds[:, 1] > span[0]))
        overlap = iou(seeds[near], span)
        better = overlap > value[near]
        pair[near[better]], value[near[better]] = index, overlap[better]
    return pair, value


def sample_seeds(
    targets: SeedTargets, ratio: float, extra: int, rng: numpy.random.Generator
) -> SeedTargets:
    """Keep all positives and ``ratio`` * positives + ``extra`` random negatives.

    Drawn without replacement; fewer where there are not as many. The order of seeds is kept.
    """
    negatives = numpy.flatnonzero(~targets.positive)
    wanted = int(ratio * targets.positive.sum()) + extra
    if wanted < len(negatives):
        negatives = rng.choice(negatives, size=wanted, replace=False)
    kept = numpy.concatenate((numpy.flatnonzero(targets.positive), negatives))
    return targets.take(numpy.sort(kept))


def soft_weights(overlap: numpy.ndarray, threshold: float, eta: float) -> numpy.ndarray:
    """Weight of a training example by how clear a case it is (Eq 10, 16).

    IoU^eta for positives (0 < IoU >= threshold), (1 - IoU)^eta for the rest; eta = 0 weighs all 1.
    """
    positive = (overlap >= threshold) & (overlap > 0)
    return numpy.where(positive, overlap, 1.0 - overlap) ** eta


class ClassTargets(NamedTuple):
    """Stage-2 targets: labels (``""`` is NONE) and IoU of candidate and paired gold, float64."""

    labels: List[str]
    iou: numpy.ndarray


def assign_labels(paired: PairedSpans, threshold: float) -> ClassTargets:
    """The label of the paired gold span where IoU >= ``threshold`` (alpha 2), else NONE."""
    value = iou(paired.spans, paired.pair_spans)
    labels = [
        label if hit else ""
        for label, hit in zip(paired.pair_labels, value >= threshold, strict=True)
    ]
    return ClassTargets(labels, value)


def pair_candidates(candidates: SpanArray, gold: GoldSpans) -> PairedSpans:
    """Pair candidates of any origin with the gold span of largest IoU (ties: the first)."""
    targets = assign_seeds(candidates, gold.spans, threshold=1.0)
    return with_pairs(candidates, targets.pair, gold)


def with_pairs(spans: SpanArray, pair: numpy.ndarray, gold: GoldSpans) -> PairedSpans:
    """Look up paired gold spans by index (-1: none)."""
    pair_spans = numpy.zeros((len(spans), 2), dtype="int64")
    paired = pair >= 0
    pair_spans[paired] = gold.spans[pair[paired]]
    return PairedSpans(spans, pair_spans, [gold.labels[i] if i >= 0 else "" for i in pair])
