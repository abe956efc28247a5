"""Overlap of spans."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from util import span_array, spans_within

from spacy_hetner.spans.iou import iou

SPAN = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)


def test_golden(golden):
    cases = golden("iou")["cases"]
    found = iou(span_array(c["a"] for c in cases), span_array(c["b"] for c in cases))
    assert found.dtype == "float64"
    numpy.testing.assert_allclose(found, [c["iou"] for c in cases], atol=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 2), (1, 3), 1 / 3),
        ((0, 3), (3, 5), 0.0),
        ((0, 5), (1, 3), 2 / 5),
        ((0, 10), (0, 7), 0.7),
        ((4, 4), (4, 4), 0.0),
    ],
)
def test_by_hand(a, b, expected):
    """Exact equality: 7/10 must reach a threshold of 0.7, which a float32 does not."""
    assert iou(numpy.array(a), numpy.array(b)) == expected


@given(SPAN, SPAN)
def test_equals_counting_tokens(a, b):
    tokens_a, tokens_b = set(range(*a)), set(range(*b))
    union = tokens_a | tokens_b
    expected = len(tokens_a & tokens_b) / len(union) if tokens_a & tokens_b else 0.0
    assert iou(numpy.array(a), numpy.array(b)) == expected
    assert iou(numpy.array(b), numpy.array(a)) == expected


@given(spans_within(8, 5), spans_within(8, 5))
def test_broadcasting_gives_every_pair(a, b):
    found = iou(span_array(a)[:, None], span_array(b)[None])
    assert found.shape == (len(a), len(b))
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            assert found[i, j] == iou(numpy.array(one), numpy.array(other))
