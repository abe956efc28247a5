"""Soft-NMS and what comes before it."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from util import span_array, spans_within

from spacy_hetner.spans.iou import iou
from spacy_hetner.spans.soft_nms import best_per_span, soft_nms

PRIMES = [p for p in range(2, 100) if all(p % d for d in range(2, p))]


def literal_soft_nms(spans, scores, overlap, decay, labels=None):
    """Algorithm 1 as it stands: the best of all remaining spans leaves, then decays the rest."""
    current, remaining, emitted = list(scores), list(range(len(spans))), []
    while remaining:
        best = max(remaining, key=lambda i: (current[i], -i))
        remaining.remove(best)
        emitted.append((best, current[best]))
        for i in remaining:
            if labels is not None and labels[i] != labels[best]:
                continue
            if iou(spans[i], spans[best]) >= overlap:
                current[i] *= decay
    return emitted


FEW_VALUES = st.sampled_from([0.0, 0.2, 0.5, 0.75, 0.9, 1.0])


@st.composite
def scored_spans(draw, values=FEW_VALUES):
    """Spans with scores (many ties, if not told otherwise) and labels."""
    spans = span_array(draw(spans_within(9, 14)))
    scores = numpy.array([draw(values) for _ in spans])
    labels = numpy.array([draw(st.integers(0, 1)) for _ in spans], dtype="int64")
    return spans, scores, labels


def distinct_scores(n):
    """n scores that no two products with powers of 0.9 make equal: prime hundredths."""
    return st.permutations(PRIMES).map(lambda primes: numpy.array(primes[:n]) / 100)


def test_golden(golden):
    """Ties, equality at k and at delta, cases that need the re-sort, decay within labels."""
    cases = golden("soft_nms")["cases"]
    assert len(cases) == 39
    for case in cases:
        spans = span_array(case["spans"])
        scores = numpy.array([item[3] for item in case["spans"]])
        names = sorted({item[2] for item in case["spans"]})
        labels = numpy.array([names.index(item[2]) for item in case["spans"]], dtype="int64")
        settings = {
            "overlap": case["k"],
            "decay": case["u"],
            "labels": labels if case["same_label_only"] else None,
        }
        for field, min_score in (("emission", -1.0), ("kept", case["delta"])):
            index, values = soft_nms(spans, scores, min_score=min_score, **settings)
            assert index.tolist() == [item["index"] for item in case[field]], case["name"]
            expected = [item["score"] for item in case[field]]
            numpy.testing.assert_allclose(values, expected, atol=1e-12, err_msg=case["name"])
        assert best_per_span(spans, scores).tolist() == case["dedupe_indices"], case["name"]


@given(scored_spans(), st.sampled_from([0.3, 0.5, 0.6, 1.0]), st.sampled_from([0.5, 0.9]))
def test_equals_the_algorithm_as_written(items, overlap, decay):
    """Working group by group changes nothing, ties and labels included."""
    spans, scores, labels = items
    for group in (None, labels):
        emitted = literal_soft_nms(spans, scores, overlap, decay, group)
        for min_score in (-1.0, 0.45):
            index, values = soft_nms(
                spans, scores, overlap=overlap, decay=decay, min_score=min_score, labels=group
            )
            expected = [item for item in emitted if item[1] > min_score]
            assert list(zip(index.tolist(), values.tolist(), strict=True)) == expected


@given(scored_spans(values=st.floats(0, 1)), st.floats(0, 1), st.floats(0, 1))
def test_scores_never_increase_and_fall_in_emission_order(items, overlap, decay):
    spans, scores, _ = items
    index, values = soft_nms(spans, scores, overlap=overlap, decay=decay, min_score=-1.0)
    assert sorted(index.tolist()) == list(range(len(spans)))
    assert (values <= scores[index]).all()
    assert (numpy.diff(values) <= 0).all()


@given(scored_spans(values=st.floats(0, 1)), st.floats(0, 1))
def test_no_decay_is_the_identity_up_to_the_threshold(items, min_score):
    """u = 1 decays by nothing; k > 1 is an overlap that no span reaches."""
    spans, scores, _ = items
    expected = numpy.flatnonzero(scores > min_score).tolist()
    for settings in ({"overlap": 0.3, "decay": 1.0}, {"overlap": 1.01, "decay": 0.1}):
        index, values = soft_nms(spans, scores, min_score=min_score, **settings)
        assert sorted(index.tolist()) == expected
        assert values.tolist() == scores[index].tolist()


@given(st.data())
def test_input_order_does_not_matter_when_scores_are_distinct(data):
    spans = span_array(data.draw(spans_within(9, 14)))
    scores = data.draw(distinct_scores(len(spans)))
    order = numpy.array(data.draw(st.permutations(range(len(spans)))), dtype="int64")
    settings = {"overlap": 0.4, "decay": 0.9, "min_score": 0.3}
    index, values = soft_nms(spans, scores, **settings)
    shuffled, same = soft_nms(spans[order], scores[order], **settings)
    assert order[shuffled].tolist() == index.tolist()
    assert same.tolist() == values.tolist()


def test_an_exact_duplicate_survives_decay_alone():
    """Why duplicates are removed first: at u = .9 both of these would stay."""
    spans, scores = span_array([(0, 2), (0, 2)]), numpy.array([0.95, 0.99])
    index, values = soft_nms(spans, scores, overlap=0.6, decay=0.9, min_score=0.55)
    assert index.tolist() == [1, 0] and values.tolist() == pytest.approx([0.99, 0.855])
    assert best_per_span(spans, scores).tolist() == [1]


@given(scored_spans())
def test_best_per_span(items):
    """One entry of each distinct span: its best, the first of equals, in input order."""
    spans, scores, _ = items
    best = best_per_span(spans, scores).tolist()
    places = {}
    for i, span in enumerate(map(tuple, spans.tolist())):
        if span not in places or scores[i] > scores[places[span]]:
            places[span] = i
    assert best == sorted(places.values())


def test_spans_without_a_common_token_never_decay_each_other():
    spans, scores = span_array([(0, 2), (2, 4), (1, 3)]), numpy.array([0.9, 0.8, 0.7])
    index, values = soft_nms(spans, scores, overlap=0.0, decay=0.5, min_score=-1.0)
    assert index.tolist() == [0, 1, 2]
    assert values.tolist() == pytest.approx([0.9, 0.8, 0.175])
