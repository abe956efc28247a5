"""The resolver: writes ``doc.ents`` from spans that may nest and cross."""

import warnings
from typing import Callable, List, Optional

import numpy
from spacy.language import Language
from spacy.pipeline import Pipe
from spacy.tokens import Doc, Span

from ..errors import Warnings
from ..spans.groups import group_scores
from ..spans.resolve import ORDERS, resolve_overlaps
from ..types import SpanArray
from ..validation import check_choice, check_range

LEAVE = "none"
POLICIES = (*ORDERS, LEAVE)


@Language.factory(
    "hetner_resolver",
    assigns=["doc.ents"],
    requires=["doc.spans"],
    default_config={
        "spans_key": "entities",
        "policy": "score",
        "min_score": 0.0,
        "overwrite": True,
        "scorer": {"@scorers": "spacy.ner_scorer.v1"},
    },
    default_score_weights={"ents_f": 1.0, "ents_p": 0.0, "ents_r": 0.0, "ents_per_type": None},
)
def make_resolver(
    nlp: Language,
    name: str,
    spans_key: str,
    policy: str,
    min_score: float,
    overwrite: bool,
    scorer: Optional[Callable],
) -> "Resolver":
    """Build the component that writes ``doc.ents``; see ``Resolver`` for the settings.

    nlp (Language): The pipeline.
    name (str): The component's name in it.
    """
    return Resolver(
        name,
        spans_key=spans_key,
        policy=policy,
        min_score=min_score,
        overwrite=overwrite,
        scorer=scorer,
    )


class Resolver(Pipe):
    """Write the spans of a group that do not overlap into ``doc.ents``; the group stays whole.

    The component holds nothing but its settings, so a pipeline's config is all that is saved.

    name (str): The component's name, for its messages.
    spans_key (str): The group in ``doc.spans``. Its flat ``attrs["scores"]`` are the scores of
        its spans; without them every span counts as 1.0.
    policy (str): Who wins where spans overlap: ``score``, ``longest``, ``longest_split``,
        ``outermost`` or ``innermost``, see ``spans.resolve.resolve_overlaps``; ``none`` leaves
        ``doc.ents`` alone.
    min_score (float): Spans that score less, in [0, 1], are not considered.
    overwrite (bool): Whether the entities that a doc already has are replaced. If not, they all
        stay, and spans that overlap one of them are not considered.
    scorer (Optional[Callable]): The scoring method.
    RAISES: HE002 for a score outside [0, 1], HE004 for an unknown policy.
    """

    def __init__(
        self,
        name: str = "hetner_resolver",
        *,
        spans_key: str = "entities",
        policy: str = "score",
        min_score: float = 0.0,
        overwrite: bool = True,
        scorer: Optional[Callable] = None,
    ) -> None:
        self.name = name
        self.spans_key = spans_key
        self.policy = check_choice("policy", policy, POLICIES)
        self.min_score = check_range("min_score", min_score, 0, 1)
        self.overwrite = overwrite
        self.scorer = scorer

    def __call__(self, doc: Doc) -> Doc:
        """Set ``doc.ents`` of one document.

        A doc without the group keeps its entities, with the warning HW090; spans without a label
        cannot be entities and are passed over, with the warning HW091.

        doc (Doc): The document, changed in place.
        RETURNS (Doc): The same document.
        RAISES: HE090 if the group has scores, but not one for each span.
        """
        if self.policy == LEAVE:
            return doc
        if self.spans_key not in doc.spans:
            warnings.warn(Warnings.HW090.format(name=self.name, key=self.spans_key), stacklevel=2)
            return doc
        group = doc.spans[self.spans_key]
        members = list(group)
        spans = _offsets(members)
        scores = group_scores(group)
        existing = [] if self.overwrite else list(doc.ents)
        labelled = numpy.array([span.label != 0 for span in members], dtype=bool)
        if not labelled.all():
            warnings.warn(Warnings.HW091.format(name=self.name, key=self.spans_key), stacklevel=2)
        eligible = (
            labelled
            & (spans[:, 0] < spans[:, 1])
            & (scores >= numpy.float32(self.min_score))
            & ~_overlap_any(spans, _offsets(existing))
        ).nonzero()[0]
        labels = [members[index].label_ for index in eligible.tolist()]
        kept = eligible[resolve_overlaps(spans[eligible], scores[eligible], self.policy, labels)]
        doc.set_ents([*existing, *(members[index] for index in kept.tolist())])
        return doc


def _offsets(spans: List[Span]) -> SpanArray:
    return numpy.array([(span.start, span.end) for span in spans], "int64").reshape(-1, 2)


def _overlap_any(spans: SpanArray, entities: SpanArray) -> numpy.ndarray:
    """Which spans overlap any of some disjoint, sorted entities: bool ``(n,)``."""
    # Entities that start before the span's end, less those that end before it starts.
    begun = numpy.searchsorted(entities[:, 0], spans[:, 1], side="left")
    over = numpy.searchsorted(entities[:, 1], spans[:, 0], side="right")
    return begun > over
