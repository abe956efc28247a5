"""Nouns of free text as entities without types: what to learn from where there are no links.

CoFEE learns what an entity is from the links of an encyclopedia (section 3.2). Where no dump of one
is at hand, nouns stand in for them; they say less, since not every noun is a name.
"""

import warnings
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Dict, List, Sequence, Tuple

from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..corpora.records import Record, in_document_order, with_spans
from ..engine.tables import identify
from ..engine.task import Counts
from ..types import LabelledSpan
from ..validation import check_choice, check_count
from .nouns import NounCandidates
from .segmenters import SEGMENTERS

ENTITY = "Entity"
"""The one label of entities whose types are not known."""

FEW_NOUNS = "sentence of fewer nouns"
TOO_LONG = "sentence of more tokens"


@dataclass(frozen=True)
class NounEntities:
    """Labels nouns; to be given to ``corpora.distant.label_texts``.

    source (str), tags (Tuple[str, ...]), max_words (int), min_chars (int), model (str): See
        ``NounCandidates``; the source is a segmenter, tags are its own where none are given.
    min_nouns (int): Sentences of fewer are left out; of links, CoFEE wants 4.
    max_tokens (int): Sentences of more are left out, 250 in CoFEE; 0 is no limit.
    label (str): What all are labelled.

    Raises ValueError for settings out of range (HE004, HE078); when called, as
    ``load_segmenter`` does.
    """

    source: str = "lac"
    tags: Tuple[str, ...] = ()
    max_words: int = 1
    min_chars: int = 2
    model: str = ""
    min_nouns: int = 1
    max_tokens: int = 250
    label: str = ENTITY

    def __post_init__(self) -> None:
        check_choice("source", self.source, list(SEGMENTERS))
        for name in ("max_words", "min_chars"):
            check_count(name, getattr(self, name), 1)
        for name in ("min_nouns", "max_tokens"):
            check_count(name, getattr(self, name), 0)

    def __call__(self, records: Sequence[Record], counts: Counts) -> List[Record]:
        """The records with their nouns in place of their spans.

        Counts, under ``totals``, sentences and tokens read and sentences taken; under ``labels``
        the nouns; under ``dropped`` sentences and nouns that were left out, by cause.
        """
        totals, dropped = counts["totals"], counts["dropped"]
        short = [r for r in records if not 0 < self.max_tokens < len(r.tokens)]
        labelled = []
        for record, spans in zip(short, self._nouns(short, counts), strict=True):
            if len(spans) >= self.min_nouns:
                labelled.append(with_spans(record, spans))
                counts["labels"][self.label] += len(spans)
        totals["sentences read"] += len(records)
        totals["tokens read"] += sum(len(record.tokens) for record in records)
        totals["sentences taken"] += len(labelled)
        lost = {TOO_LONG: len(records) - len(short), FEW_NOUNS: len(short) - len(labelled)}
        dropped.update({cause: n for cause, n in lost.items() if n})
        return labelled

    def identity(self) -> Dict[str, Any]:
        """Its settings, the segmenter's model by its content."""
        return {**asdict(self), "model": identify(self.model) if self.model else ""}

    def _nouns(self, records: Sequence[Record], counts: Counts) -> List[List[LabelledSpan]]:
        propose, vocab = _proposer(self), Vocab()
        before = propose.dropped.copy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it tells what it left out, which is counted here
            docs = [Doc(vocab, words=r.tokens, spaces=r.spaces) for r in records]
            found = propose(docs)
        counts["dropped"].update(propose.dropped - before)
        return [
            in_document_order(LabelledSpan(start, end, self.label) for start, end in spans.tolist())
            for spans in found
        ]


@lru_cache(maxsize=2)
def _proposer(settings: NounEntities) -> NounCandidates:
    """One a process, for its segmenter takes a while to load."""
    return NounCandidates(
        settings.source,
        settings.tags or None,
        max_words=settings.max_words,
        min_chars=settings.min_chars,
        model=settings.model,
    )
