"""Gold spans as layers of tags."""

import numpy
from hypothesis import given
from hypothesis import strategies as st
from util import span_array, spans_within

from spacy_hetner.labels.tagset import TagSet
from spacy_hetner.sequences.gold import gold_tags, layers_of
from spacy_hetner.types import GoldSpans

NESTED = [(0, 5, "ORG"), (0, 2, "GPE"), (3, 5, "GPE"), (1, 2, "PER"), (6, 7, "PER")]


def gold_of(spans):
    return GoldSpans(span_array(spans), [span[2] for span in spans])


def test_the_outermost_come_first():
    assert layers_of(gold_of(NESTED), 4) == [[0, 4], [1, 2], [3], []]
    assert layers_of(gold_of(NESTED), 1) == [[0, 4]]


def test_two_labels_of_one_span_take_two_layers():
    assert layers_of(gold_of([(0, 2, "A"), (0, 2, "B")]), 2) == [[0], [1]]


def test_tags_of_layers_and_what_they_do_not_say():
    tag_set = TagSet(["GPE", "ORG", "PER"], "BMES")
    tags, lost = gold_tags(gold_of(NESTED), numpy.array([[0, 8]]), tag_set, 2)
    assert tags.shape == (2, 8) and lost == 1
    assert tag_set.decode(tags[0]) == [(0, 5, "ORG"), (6, 7, "PER")]
    assert tag_set.decode(tags[1]) == [(0, 2, "GPE"), (3, 5, "GPE")]


def test_spans_across_sentences_are_lost():
    tag_set = TagSet(["X"], "BIO")
    gold = gold_of([(0, 2, "X"), (2, 4, "X"), (3, 5, "X"), (0, 5, "X")])
    tags, lost = gold_tags(gold, numpy.array([[0, 3], [3, 5]]), tag_set, 1)
    assert lost == 2 and tag_set.decode(tags[0]) == [(0, 2, "X"), (3, 5, "X")]


def test_a_doc_without_tokens():
    none = GoldSpans(span_array([]), [])
    tags, lost = gold_tags(none, numpy.zeros((0, 2), "int64"), TagSet(["X"], "BIO"), 2)
    assert tags.shape == (2, 0) and lost == 0


@given(spans_within(9), st.sampled_from(["BIO", "BMES", "BIOES"]))
def test_enough_layers_say_everything(spans, scheme):
    gold = gold_of([(*span, "X") for span in sorted(set(spans))])
    tag_set = TagSet(["X"], scheme)
    tags, lost = gold_tags(gold, numpy.array([[0, 9]]), tag_set, len(spans) or 1)
    assert lost == 0
    said = {span[:2] for layer in tags for span in tag_set.decode(layer, "strict")}
    assert said == set(spans)
