"""The record: one annotated sentence (or text), whatever format it came from.

Every reader yields records and every store takes them, so each format is written once.
"""

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Iterable, List, Optional, Sequence

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

from ..errors import Errors
from ..types import LabelledSpan

SPANS_KEY = "entities"
UNKNOWN = "unknown"
"""The key in ``Record.meta`` of the token spans of which the source does not say what they are."""
NON_ENTITIES = "non_entities"
"""The key of sampled spans ``[start, end]`` that touch no mention."""
CLUSTERS = "clusters"
"""The key of the cluster of each span, in the order of the spans."""
OF_SPANS = (UNKNOWN, NON_ENTITIES, CLUSTERS)
"""What ``Record.meta`` says that belongs to the spans, and goes with them."""


@dataclass(frozen=True)
class Record:
    """One sentence or text with its entities.

    tokens (List[str]): At least one character each.
    spans (List[LabelledSpan]): Half-open token spans in document order, an outer before an inner
        one; they may nest and cross, none occurs twice.
    spaces (Optional[List[bool]]): Whether a blank follows, for each token. None where the source
        does not say; the text then has a blank after every token.
    id, doc_id (str): Names of the sentence and of the document it is part of, where there are any.
    meta (Dict[str, Any]): Whatever else the source says of it; JSON values. Under ``UNKNOWN`` the
        spans ``[start, end]`` that may hold entities or not, as a dictionary leaves them.
    """

    tokens: List[str]
    spans: List[LabelledSpan]
    spaces: Optional[List[bool]] = None
    id: str = ""
    doc_id: str = ""
    meta: Dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The text, whose character offsets are those of the Doc made from this record."""
        if self.spaces is None:
            return "".join(f"{token} " for token in self.tokens)
        pairs = zip(self.tokens, self.spaces, strict=True)
        return "".join(f"{token} " if space else token for token, space in pairs)


class Ledger:
    """What a reader could not take over as it stands: counted by cause, told once at the end.

    inconsistent (Counter): Spans whose tags break their scheme, by cause. Kept or dropped as the
        decoding says.
    dropped (Counter): Spans that did not make it into a record, by cause.

    With ``strict`` the first of either is an error (ValueError HE074) that names file and line.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.inconsistent: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()

    def add_inconsistent(self, cause: str, place: str, detail: str) -> None:
        """Count a span whose tags break their scheme."""
        self._count(self.inconsistent, cause, place, detail)

    def add_dropped(self, cause: str, place: str, detail: str) -> None:
        """Count a span that is lost."""
        self._count(self.dropped, cause, place, detail)

    def _count(self, counter: "Counter[str]", cause: str, place: str, detail: str) -> None:
        if self.strict:
            raise ValueError(Errors.HE074.format(place=place, cause=cause, detail=detail))
        counter[cause] += 1


def with_spans(
    record: Record, spans: List[LabelledSpan], meta: Optional[Dict[str, Any]] = None
) -> Record:
    """A record with other spans; what its meta said of those before is gone with them.

    meta (Optional[Dict[str, Any]]): What is to be said of the new ones.
    """
    kept = {key: value for key, value in record.meta.items() if key not in OF_SPANS}
    return replace(record, spans=spans, meta={**kept, **(meta or {})})


def in_document_order(spans: Iterable[LabelledSpan]) -> List[LabelledSpan]:
    """Sort by start, an outer span before those in it; repeated spans once."""
    return sorted(set(spans), key=lambda span: (span.start, -span.end, span.label))


def runs(flags: Sequence[bool]) -> List[List[int]]:
    """The spans ``[start, end]`` of tokens that are flagged, each as long as can be."""
    padded = [False, *flags, False]
    borders = [index for index in range(len(flags) + 1) if padded[index] != padded[index + 1]]
    return [list(run) for run in zip(borders[::2], borders[1::2], strict=True)]


def count_nested(spans: Iterable[LabelledSpan]) -> int:
    """How many spans lie inside a longer one. Labels do not matter."""
    nested = furthest = 0
    previous = (-1, -1)
    reach = 0  # how far the spans reach that come before all those with these bounds
    for start, end, _ in in_document_order(spans):
        if (start, end) != previous:
            # In document order everything that contains a span comes before it.
            previous, reach = (start, end), furthest
            furthest = max(furthest, end)
        nested += end <= reach
    return nested


def outermost_spans(spans: Iterable[LabelledSpan]) -> List[LabelledSpan]:
    """Spans that do not overlap and lie in no other: what ``doc.ents`` can hold of nested gold.

    Of spans that cross the longest is kept, of equal ones the first; of several labels on one
    span the first in the alphabet.
    """
    outer: List[LabelledSpan] = []
    furthest = 0
    for span in in_document_order(spans):
        # In document order everything that contains a span comes before it.
        if span.end > furthest:
            outer.append(span)
            furthest = span.end
    kept: List[LabelledSpan] = []
    for span in sorted(outer, key=lambda span: (span.start - span.end, span.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept)


def record_to_doc(record: Record, vocab: Vocab, spans_key: str = SPANS_KEY) -> Doc:
    """Make the gold Doc of a record.

    All spans go to ``doc.spans[spans_key]``, the outermost to ``doc.ents``; ids and meta, where
    there are any, to ``doc.user_data``. Tokens of unknown spans have no ``ent_iob``, which is how
    spaCy says that an annotation is missing.
    """
    doc = Doc(vocab, words=record.tokens, spaces=record.spaces)
    doc.spans[spans_key] = [Span(doc, start, end, label) for start, end, label in record.spans]
    doc.set_ents(
        [Span(doc, *span) for span in outermost_spans(record.spans)],
        missing=[Span(doc, start, end) for start, end in record.meta.get(UNKNOWN, ())],
    )
    names = {"id": record.id, "doc_id": record.doc_id, "meta": record.meta}
    doc.user_data.update({key: value for key, value in names.items() if value})
    return doc


def doc_to_record(doc: Doc, spans_key: str = SPANS_KEY) -> Record:
    """The inverse of ``record_to_doc``. A Doc without any span group gives its ``doc.ents``.

    Raises ValueError (HE084) for a Doc that has other span groups only.
    """
    if doc.spans and spans_key not in doc.spans:
        groups = ", ".join(doc.spans)
        raise ValueError(Errors.HE084.format(text=doc.text[:40], groups=groups, key=spans_key))
    spans = doc.spans.get(spans_key, doc.ents)
    return Record(
        tokens=[token.text for token in doc],
        spans=in_document_order(LabelledSpan(s.start, s.end, s.label_) for s in spans),
        spaces=[bool(token.whitespace_) for token in doc],
        id=doc.user_data.get("id", ""),
        doc_id=doc.user_data.get("doc_id", ""),
        # A DocBin makes tuples of lists, which JSON turns back.
        meta=json.loads(json.dumps(doc.user_data.get("meta", {}))),
    )
