"""N-grams, noun chunks, other components' spans and their near misses."""

import numpy
import pytest
import spacy
from spacy.tokens import Doc, Span
from util import make_doc, span_array

from spacy_hetner.candidates.proposer import check_candidates, sort_spans, within_sentences
from spacy_hetner.candidates.structure import (
    NearMissCandidates,
    SpanGroupCandidates,
    make_ngram_candidates,
    make_noun_chunk_candidates,
)

WORDS = ["a", "b", "c", "d", "e"]


def lists(found):
    for spans in found:
        assert spans.dtype == "int64" and spans.shape[1:] == (2,)
    return [spans.tolist() for spans in found]


def test_ngrams_stay_within_sentences(nlp):
    docs = [
        make_doc(nlp, WORDS[:3]),
        make_doc(nlp, WORDS[:3], sentence_starts=[0, 2]),
        make_doc(nlp, WORDS[:1]),
        make_doc(nlp, []),
    ]
    found = lists(make_ngram_candidates([2, 1])(docs))
    assert found[0] == [[0, 1], [0, 2], [1, 2], [1, 3], [2, 3]]
    assert found[1] == [[0, 1], [0, 2], [1, 2], [2, 3]]
    assert found[2:] == [[[0, 1]], []]


def test_ngrams_of_some_lengths(nlp):
    assert lists(make_ngram_candidates([4])([make_doc(nlp, WORDS)])) == [[[0, 4], [1, 5]]]
    for wrong in ([], [0], [1, -2]):
        with pytest.raises(ValueError, match=r"\[HE001\]"):
            make_ngram_candidates(wrong)


def parsed(nlp, sent_starts=None):
    """The old dog saw a cat in town"""
    return Doc(
        nlp.vocab,
        words=["The", "old", "dog", "saw", "a", "cat", "in", "town"],
        pos=["DET", "ADJ", "NOUN", "VERB", "DET", "NOUN", "ADP", "NOUN"],
        deps=["det", "amod", "nsubj", "ROOT", "det", "dobj", "prep", "pobj"],
        heads=[2, 2, 3, 3, 5, 3, 3, 6],
    )


def test_noun_chunks(nlp):
    found = make_noun_chunk_candidates()([parsed(nlp), make_doc(nlp, [])])
    assert lists(found) == [[[0, 3], [4, 6], [7, 8]], []]


def test_noun_chunks_need_a_parse(nlp):
    with pytest.raises(ValueError, match=r"\[HE172\] The doc 'a b.*it is not parsed.*a parser"):
        make_noun_chunk_candidates()([make_doc(nlp, WORDS)])


def test_noun_chunks_need_a_language_that_has_them():
    with pytest.raises(ValueError, match=r"\[HE172\].*the language 'zh'"):
        make_noun_chunk_candidates()([parsed(spacy.blank("zh"))])


def test_spans_of_a_group(nlp):
    doc = make_doc(nlp, WORDS, [(3, 5, "B"), (0, 2, "A"), (0, 2, "B")], key="found")
    doc.spans["found"].append(Span(doc, 2, 2))
    assert lists(SpanGroupCandidates("found")([doc, make_doc(nlp, [])])) == [[[0, 2], [3, 5]], []]


def test_spans_of_doc_ents(nlp):
    doc = make_doc(nlp, WORDS)
    doc.ents = [Span(doc, 1, 3, label="A")]
    assert lists(SpanGroupCandidates(None)([doc])) == [[[1, 3]]]


def test_lost_spans_are_counted_and_told_once(nlp):
    """Spans over the end of a sentence, and docs that the other component has not seen."""
    crossing = make_doc(nlp, WORDS, [(0, 3, "A"), (0, 2, "A")], sentence_starts=[0, 2])
    propose = SpanGroupCandidates("entities")
    with pytest.warns(UserWarning, match=r"\[HW170\].*1 docs without.*; 1 spans that cross"):
        assert lists(propose([crossing, make_doc(nlp, WORDS)])) == [[[0, 2]], []]
    assert lists(propose([crossing])) == [[[0, 2]]]
    assert propose.dropped == {
        "docs without the span group 'entities'": 1,
        "spans that cross the end of a sentence": 2,
    }


def test_near_misses_of_a_group(nlp):
    doc = make_doc(nlp, list("我在北京大学学习"), [(2, 6, "ORG")])
    assert lists(NearMissCandidates("entities")([doc])) == [[[1, 6], [2, 5], [2, 7], [3, 6]]]
    assert lists(NearMissCandidates("entities", max_distance=0)([doc])) == [[]]
    with pytest.raises(ValueError, match=r"\[HE078\] max_distance"):
        NearMissCandidates("entities", max_distance=-1)


def test_sorting():
    spans = span_array([(2, 3), (0, 9), (0, 1), (2, 3), (1, 2)])
    assert sort_spans(spans).tolist() == [[0, 1], [0, 9], [1, 2], [2, 3]]
    assert sort_spans(span_array([])).shape == (0, 2)


def test_within_sentences(nlp):
    doc = make_doc(nlp, WORDS, sentence_starts=[0, 2])
    spans = span_array([(0, 2), (1, 3), (2, 5), (0, 5), (4, 5)])
    assert within_sentences(doc, spans).tolist() == [True, False, True, False, True]
    assert within_sentences(make_doc(nlp, []), span_array([])).shape == (0,)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ([], "0 arrays"),
        ([numpy.zeros((1, 3), "int64")], r"shape \(1, 3\)"),
        ([numpy.zeros((1, 2))], "of float64"),
        ([[(1, 1)]], "empty"),
        ([[(-1, 1)]], "begin before"),
        ([[(0, 1), (3, 6)]], "ends at 6 of 5"),
    ],
)
def test_what_a_proposer_may_not_give(nlp, found, problem):
    with pytest.raises(ValueError, match=rf"\[HE176\] The proposer 'own'.*{problem}"):
        check_candidates("own", [make_doc(nlp, WORDS)], found)


def test_what_a_proposer_may_give(nlp):
    docs = [make_doc(nlp, WORDS), make_doc(nlp, WORDS)]
    assert lists(check_candidates("own", docs, [[(2, 3), (0, 1), (2, 3)], []])) == [
        [[0, 1], [2, 3]],
        [],
    ]
