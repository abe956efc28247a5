"""Spans of a batch of docs, and groups of spans on docs."""

import numpy
import pytest
import spacy
from spacy.tokens import Doc
from thinc.api import Model
from util import group_of, make_doc, scores_of, span_array, words_of_length

from spacy_hetner.spans.batch import (
    concatenate_spans,
    sentence_bounds,
    split_by_doc,
    token_width,
)
from spacy_hetner.spans.groups import group_spans, make_span_group
from spacy_hetner.spans.handover import hand_over, handed_over
from spacy_hetner.types import PairedSpans


@pytest.fixture
def nlp():
    return spacy.blank("en")


def test_spans_are_counted_over_all_tokens():
    spans = [span_array([(0, 2), (1, 3)]), span_array([]), span_array([(0, 1)])]
    assert concatenate_spans(spans, [3, 0, 5]).tolist() == [[0, 2], [1, 3], [3, 4]]
    assert concatenate_spans([], []).shape == (0, 2)


def test_kept_spans_return_to_their_docs():
    parts = split_by_doc(numpy.array([0, 3, 4, 7]), [3, 0, 2, 3])
    assert [(part.rows.start, part.rows.stop) for part in parts] == [(0, 1), (1, 1), (1, 3), (3, 4)]
    assert [part.local.tolist() for part in parts] == [[0], [], [0, 1], [2]]
    nothing = split_by_doc(numpy.zeros(0, dtype="int64"), [3, 0])
    assert [part.local.tolist() for part in nothing] == [[], []]


def test_sentence_bounds(nlp):
    words = words_of_length(5)
    assert sentence_bounds(make_doc(nlp, words)).tolist() == [[0, 5]]
    split = make_doc(nlp, words, sentence_starts=[0, 2])
    assert sentence_bounds(split).tolist() == [[0, 2], [2, 5]]
    assert sentence_bounds(make_doc(nlp, [])).shape == (0, 2)


@pytest.mark.parametrize(("known", "width"), [(64, 64), (64, None), (None, 64)])
def test_token_width(known, width):
    layer = Model("layer", lambda *args: None, dims={"nO": known})
    assert token_width(layer, width) == 64


def test_token_width_is_told_when_missing_or_contradictory():
    layer = Model("layer", lambda *args: None, dims={"nO": None})
    with pytest.raises(ValueError, match=r"\[HE005\].*layer"):
        token_width(layer, None)
    layer.set_dim("nO", 64)
    with pytest.raises(ValueError, match=r"\[HE006\].*32.*64"):
        token_width(layer, 32)


def test_groups(nlp):
    """Labels and scores in the order given; none is (0, 2), never (0, 0)."""
    doc = make_doc(nlp, words_of_length(6))
    spans = span_array([(2, 4), (0, 6)])
    doc.spans["found"] = make_span_group(doc, "found", spans, numpy.array([0.5, 0.25]), ["A", "B"])
    assert group_of(doc, "found") == [(2, 4, "A"), (0, 6, "B")]
    assert scores_of(doc, "found").tolist() == [0.5, 0.25]
    assert group_spans(doc, "found").tolist() == spans.tolist()
    doc.spans["none"] = make_span_group(doc, "none", span_array([]), numpy.zeros(0))
    assert scores_of(doc, "none").shape == (0,)
    assert group_spans(doc, "none").shape == group_spans(doc, "missing").shape == (0, 2)


def test_scores_survive_serialization(nlp):
    doc = make_doc(nlp, words_of_length(3))
    doc.spans["found"] = make_span_group(doc, "found", span_array([(0, 2)]), numpy.array([0.5]))
    again = Doc(nlp.vocab).from_bytes(doc.to_bytes())
    assert scores_of(again, "found").tolist() == [0.5]


def test_handover(nlp):
    doc = make_doc(nlp, ["a"])
    assert handed_over(doc) is None
    candidates = PairedSpans(span_array([(0, 1)]), span_array([(0, 1)]), ["A"])
    hand_over(doc, candidates)
    assert handed_over(doc) is candidates
    assert handed_over(doc) is candidates, "a second classifier trains on them too"
