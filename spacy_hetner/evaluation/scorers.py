"""From spaCy's examples to counts, and the registered scorers.

Spans are compared by character offsets, so that a predicted span whose tokens do not fit the
reference's counts as wrong. spaCy's own ``Scorer.score_spans`` leaves such a span out, which
raises precision.
"""

from functools import partial
from typing import Any, Callable, Dict, Iterable, List, Optional, Set

import numpy
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..errors import Errors
from ..types import SpanArray
from .metrics import (
    PRF,
    CandidateScores,
    DocumentSpans,
    LabelledOffsets,
    score_candidates,
    score_spans,
)

Scorer = Callable[..., Dict[str, Any]]


def make_entity_spans_scorer(spans_key: Optional[str] = None) -> Scorer:
    """Build the scorer of labelled, nested spans: ``spacy_hetner.entity_spans_scorer.v1``.

    The scorer gives, for documents whose reference has the group (all ``None`` if none has it,
    or neither side has a span):

    - ``spans_{key}_p``, ``_r``, ``_f``: strict, in micro-average;
    - ``spans_{key}_per_type``: the same for each label;
    - ``spans_{key}_unlabelled_f``: labels ignored;
    - ``spans_{key}_by_length``: p, r, f by length in tokens of the reference, each span counted
      under its own length;
    - ``spans_{key}_by_depth``: p, r, f by depth of nesting, a gold span's among the gold spans, a
      predicted one's among the predictions.

    spans_key (Optional[str]): The group in ``doc.spans`` of both reference and prediction; by
        default the one that the component writes, outside of a component ``"entities"``.
    RETURNS (Callable): The scorer, ``examples -> scores``.
    """
    return partial(score_entity_spans, spans_key)


def make_candidates_scorer(
    spans_key: Optional[str] = None, gold_key: Optional[str] = None
) -> Scorer:
    """Build the scorer of unlabelled candidates: ``spacy_hetner.candidates_scorer.v1``.

    The scorer gives, for documents whose reference has the gold group (all ``None`` if there is
    no gold span):

    - ``{key}_recall``: gold spans, labels ignored, that are among the candidates;
    - ``{key}_per_gold``: candidates for each gold span;
    - ``{key}_per_token``: candidates for each token of the reference.

    spans_key (Optional[str]): The candidates' group in the predicted ``doc.spans``; by default the
        one that the component writes, outside of a component ``"candidates"``.
    gold_key (Optional[str]): The gold group in the reference's; by default the one that the
        component learns from, outside of a component ``"entities"``.
    RETURNS (Callable): The scorer, ``examples -> scores``.
    """
    return partial(score_candidate_spans, spans_key, gold_key)


# A component names its groups by entities_key and candidates_key. The configured keys are
# positional only, since spaCy hands a spans_key to all scorers that may mean another group.


def score_entity_spans(
    spans_key: Optional[str],
    examples: Iterable[Example],
    /,
    *,
    entities_key: str = "entities",
    **_settings: Any,
) -> Dict[str, Any]:
    """Score labelled spans; see ``make_entity_spans_scorer``."""
    spans_key = spans_key or entities_key
    scores = score_spans(_paired_groups(examples, spans_key, spans_key))
    scored = bool(scores.strict.precision.total or scores.strict.recall.total)
    overall: Dict[str, Any] = dict(scores.strict.to_dict())
    overall["per_type"] = _ratios(scores.per_label)
    overall["unlabelled_f"] = scores.unlabelled.f
    overall["by_length"] = _ratios(scores.by_length)
    overall["by_depth"] = _ratios(scores.by_depth)
    return {f"spans_{spans_key}_{name}": overall[name] if scored else None for name in overall}


def score_candidate_spans(
    spans_key: Optional[str],
    gold_key: Optional[str],
    examples: Iterable[Example],
    /,
    *,
    candidates_key: str = "candidates",
    entities_key: str = "entities",
    **_settings: Any,
) -> Dict[str, Any]:
    """Score candidates; see ``make_candidates_scorer``."""
    spans_key, gold_key = spans_key or candidates_key, gold_key or entities_key
    scores: CandidateScores = score_candidates(_paired_groups(examples, spans_key, gold_key))
    scored = bool(scores.recall.total)
    return {
        f"{spans_key}_recall": scores.recall.value if scored else None,
        f"{spans_key}_per_gold": scores.per_gold if scored else None,
        f"{spans_key}_per_token": scores.per_token if scored else None,
    }


def pair_spans(
    predicted: Doc,
    reference: Doc,
    predicted_spans: Iterable[Span],
    gold_spans: Iterable[Span],
) -> DocumentSpans:
    """Bring the spans of two docs of one text to common character offsets.

    Where the texts differ in whitespace, as after tokenising anew a text whose spaces are
    unknown, offsets count the other characters only.

    RAISES: HE091 if the texts differ in more than whitespace.
    """
    if predicted.text == reference.text:
        places_predicted = places_reference = None
    else:
        places_predicted = _solid_places(predicted.text)
        places_reference = _solid_places(reference.text)
        _check_same_solid_text(predicted.text, reference.text)
    return DocumentSpans(
        gold=_labelled_offsets(gold_spans, places_reference),
        predicted=_labelled_offsets(predicted_spans, places_predicted),
        tokens=_token_offsets(reference, places_reference),
        predicted_tokens=_token_offsets(predicted, places_predicted),
    )


def get_group(doc: Doc, key: str) -> List[Span]:
    """The spans of a group; none if the doc has no such group."""
    return list(doc.spans[key]) if key in doc.spans else []


def _paired_groups(
    examples: Iterable[Example], predicted_key: str, gold_key: str
) -> Iterable[DocumentSpans]:
    for example in examples:
        predicted, reference = example.predicted, example.reference
        if gold_key in reference.spans:
            yield pair_spans(
                predicted,
                reference,
                get_group(predicted, predicted_key),
                get_group(reference, gold_key),
            )


def _ratios(scores: Dict[str, PRF]) -> Dict[str, Dict[str, float]]:
    return {name: prf.to_dict() for name, prf in scores.items()}


def _solid_places(text: str) -> numpy.ndarray:
    """How many characters other than whitespace precede each position: int ``(len + 1,)``."""
    solid = [not character.isspace() for character in text]
    return numpy.concatenate([[0], numpy.cumsum(solid, dtype="int64")])


def _check_same_solid_text(predicted: str, reference: str) -> None:
    ours, theirs = "".join(predicted.split()), "".join(reference.split())
    if ours == theirs:
        return
    pairs = enumerate(zip(ours, theirs, strict=False))
    offset = next((i for i, (a, b) in pairs if a != b), min(len(ours), len(theirs)))
    window = slice(offset, offset + 20)
    raise ValueError(
        Errors.HE091.format(offset=offset, predicted=ours[window], reference=theirs[window])
    )


def _labelled_offsets(
    spans: Iterable[Span], places: Optional[numpy.ndarray]
) -> Set[LabelledOffsets]:
    offsets = [(span.start_char, span.end_char, span.label_) for span in spans]
    if places is None:
        return set(offsets)
    return {(int(places[start]), int(places[end]), label) for start, end, label in offsets}


def _token_offsets(doc: Doc, places: Optional[numpy.ndarray]) -> SpanArray:
    starts = doc.to_array("IDX").astype("int64").reshape(-1)
    ends = starts + doc.to_array("LENGTH").astype("int64").reshape(-1)
    offsets = numpy.stack([starts, ends], axis=1)
    return offsets if places is None else places[offsets]
