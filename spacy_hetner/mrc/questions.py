"""Texts under queries: in which batches they are asked, and what is to be answered."""

from itertools import chain
from typing import Dict, Iterable, Iterator, List, NamedTuple, Sequence

import numpy

from ..spans.pairing import flat_spans
from ..types import GoldSpans, SpanArray
from .module import Pair, PairBatch

NO_SPANS = numpy.zeros((0, 2), dtype="int64")


class Question(NamedTuple):
    """A text under the query of a label. text, label: their numbers; pairs: what is read of it."""

    text: int
    label: int
    pairs: List[Pair]

    @property
    def pieces(self) -> int:
        """How many the encoder reads."""
        return sum(len(pair.ids) for pair in self.pairs)

    @property
    def tokens(self) -> numpy.ndarray:
        """The tokens of the text that are judged, ascending: int64 ``(n,)``."""
        return numpy.concatenate([pair.tokens for pair in self.pairs])


class Answer(NamedTuple):
    """What is to be said of the n tokens that are judged in a pair.

    starts, ends: int64 ``(n,)``, 1 where a span starts, or ends; spans: int64 ``(m, 2)``, the first
    and the last of the tokens of spans that lie in the pair.
    """

    starts: numpy.ndarray
    ends: numpy.ndarray
    spans: SpanArray


def answer_of(pair: Pair, spans: SpanArray) -> Answer:
    """spans: gold spans of the pair's text and label, int64 (n, 2), half-open."""
    inside = [numpy.isin(part, pair.tokens) for part in (spans[:, 0], spans[:, 1] - 1)]
    whole = spans[inside[0] & inside[1]] - numpy.array([0, 1])
    starts, ends = (numpy.isin(pair.tokens, part) for part in (spans[:, 0], spans[:, 1] - 1))
    places = numpy.searchsorted(pair.tokens, whole)
    return Answer(starts.astype("int64"), ends.astype("int64"), places)


def prediction_batches(questions: Sequence[Question], pieces: int) -> Iterator[List[Question]]:
    """Questions in batches of at most so many pieces: whole texts, unless one has more alone, and
    whole questions, whatever they have."""
    by_text: Dict[int, List[Question]] = {}
    for question in questions:
        by_text.setdefault(question.text, []).append(question)
    units: List[List[Question]] = []
    for asked in by_text.values():
        whole = sum(question.pieces for question in asked) <= pieces
        units += [asked] if whole else [[question] for question in asked]
    sizes = [sum(question.pieces for question in unit) for unit in units]
    for part in cut(sizes, pieces):
        yield list(chain.from_iterable(units[part]))


def cut(sizes: Sequence[int], limit: int) -> Iterator[slice]:
    """Slices of at most ``limit`` in sum, or of one that has more."""
    first, total = 0, 0
    for i, size in enumerate(sizes):
        if i > first and total + size > limit:
            yield slice(first, i)
            first, total = i, 0
        total += size
    if sizes:
        yield slice(first, len(sizes))


def prediction_batch(questions: Sequence[Question], threshold: float) -> PairBatch:
    """Each question is a group: spans may reach from one window to the next."""
    numbers = numpy.arange(len(questions))
    lengths = [len(question.pairs) for question in questions]
    return PairBatch(
        [pair for question in questions for pair in question.pairs],
        texts=numpy.repeat([question.text for question in questions], lengths),
        groups=numpy.repeat(numbers, lengths),
        gold=NO_SPANS,
        threshold=threshold,
    )


def training_batch(
    pairs: Sequence[Pair], texts: Sequence[int], answers: Sequence[Answer]
) -> PairBatch:
    """Each pair is a group, so that a pass of any size can be made of them."""
    firsts = numpy.cumsum([0, *(len(pair.rows) for pair in pairs)])[:-1].tolist()
    gold = [answer.spans + first for answer, first in zip(answers, firsts, strict=True)]
    return PairBatch(
        list(pairs),
        texts=numpy.array(texts, dtype="int64"),
        groups=numpy.arange(len(pairs)),
        gold=numpy.concatenate(gold),
        threshold=0.5,
    )


def gold_by_sentence(gold: GoldSpans, bounds: SpanArray) -> List[Dict[str, SpanArray]]:
    """The gold spans of a doc that lie within a sentence: of each by label, int64 (n, 2), tokens
    counted from where the sentence starts.

    bounds: the sentences, int64 (n_sentences, 2).
    """
    found: List[Dict[str, List[List[int]]]] = [{} for _ in bounds]
    sentences = numpy.searchsorted(bounds[:, 0], gold.spans[:, 0], side="right") - 1
    for span, label, i in zip(gold.spans, gold.labels, sentences.tolist(), strict=True):
        if span[1] <= bounds[i, 1]:
            found[i].setdefault(label, []).append((span - bounds[i, 0]).tolist())
    return [
        {label: numpy.array(spans, dtype="int64") for label, spans in by_label.items()}
        for by_label in found
    ]


def count_spans(by_text: Iterable[Dict[str, SpanArray]]) -> int:
    """How many spans of any label there are."""
    return sum(len(spans) for by_label in by_text for spans in by_label.values())


def lost_in_flat(spans: SpanArray) -> int:
    """How many spans of one text and label flat decoding does not give back from their starts and
    their ends: what lies inside or across others."""
    given = flat_spans(numpy.unique(spans[:, 0]), numpy.unique(spans[:, 1] - 1))
    kept = set(map(tuple, given.tolist()))
    return sum(tuple(span) not in kept for span in spans.tolist())
