"""Gold spans as layers of tags."""

import numpy
from hypothesis import given
from hypothesis import strategies as st
from util import span_array, spans_within

from spacy_hetner.labels.tagset import TagSet
from spacy_hetner.sequences.gold import layer_tags, layers_of
from spacy_hetner.types import GoldSpans

NESTED = [(0, 5, "ORG"), (0, 2, "GPE"), (3, 5, "GPE"), (1, 2, "PER"), (6, 7, "PER")]


def gold_of(spans):
    return GoldSpans(span_array(spans), [span[2] for span in spans])


def one_sentence(n):
    return numpy.array([[0, n]])


def test_the_outermost_come_first():
    assert layers_of(gold_of(NESTED), one_sentence(8), 4) == ([[0, 4], [1, 2], [3], []], 0, 0)
    assert layers_of(gold_of(NESTED), one_sentence(8), 1) == ([[0, 4]], 0, 3)


def test_two_labels_of_one_span_take_two_layers():
    gold = gold_of([(0, 2, "A"), (0, 2, "B")])
    assert layers_of(gold, one_sentence(2), 2).layers == [[0], [1]]


def test_tags_of_layers():
    tag_set, gold = TagSet(["GPE", "ORG", "PER"], "BMES"), gold_of(NESTED)
    tags = layer_tags(gold, layers_of(gold, one_sentence(8), 2).layers, tag_set, 8)
    assert tags.shape == (2, 8)
    assert tag_set.decode(tags[0]) == [(0, 5, "ORG"), (6, 7, "PER")]
    assert tag_set.decode(tags[1]) == [(0, 2, "GPE"), (3, 5, "GPE")]


def test_losses_by_cause():
    """A span across sentences takes no layer from those that it overlaps."""
    gold = gold_of([(0, 2, "X"), (0, 5, "X"), (2, 4, "X"), (3, 5, "X"), (4, 5, "X")])
    found = layers_of(gold, numpy.array([[0, 3], [3, 5]]), 1)
    assert found == ([[0, 3]], 2, 1)


def test_a_doc_without_tokens():
    none, tag_set = GoldSpans(span_array([]), []), TagSet(["X"], "BIO")
    found = layers_of(none, numpy.zeros((0, 2), "int64"), 2)
    assert found == ([[], []], 0, 0)
    assert layer_tags(none, found.layers, tag_set, 0).shape == (2, 0)


@given(spans_within(9), st.sampled_from(["BIO", "BMES", "BIOES"]))
def test_enough_layers_say_everything(spans, scheme):
    gold = gold_of([(*span, "X") for span in sorted(set(spans))])
    tag_set = TagSet(["X"], scheme)
    layers, crossing, overlapping = layers_of(gold, one_sentence(9), len(spans) or 1)
    assert crossing == overlapping == 0
    tags = layer_tags(gold, layers, tag_set, 9)
    said = {span[:2] for layer in tags for span in tag_set.decode(layer, "strict")}
    assert said == set(spans)
