"""Shifted boundaries."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from util import span_array

from spacy_hetner.spans.adjust import adjust_spans


def adjust_one(seed, offset, low, high, illegal="clamp"):
    spans, legal = adjust_spans(
        numpy.array([seed]), numpy.array([offset]), low, high, illegal=illegal
    )
    return spans[0].tolist(), bool(legal[0])


def test_golden(golden):
    """Clamped to the sentence; empty or inverted spans are illegal."""
    cases = golden("boundary_adjust")["cases"]
    assert len(cases) > 20
    for case in cases:
        span, legal = adjust_one(case["seed"], case["offset"], 0, case["n"])
        assert span == case["clamped"], case
        assert legal == (case["status"] == "ok"), case


def test_golden_of_the_published_code(golden):
    """Reverting illegal spans to their seeds equals the published code where rounding does."""
    cases = [
        case
        for case in golden("boundary_adjust")["cases"]
        if case["rounded"] == case["reference"]["rounded_half_even"]
    ]
    assert {case["reference"]["illegal"] for case in cases} == {True, False}
    for case in cases:
        span, legal = adjust_one(case["seed"], case["offset"], 0, case["n"], "revert")
        assert span == case["reference"]["span"], case
        assert legal == (not case["reference"]["illegal"]), case


@pytest.mark.parametrize(
    ("offset", "shift"),
    [(0.5, 1), (1.5, 2), (2.5, 3), (-0.5, 0), (-1.5, -1), (-2.5, -2), (0.49, 0), (-0.51, -1)],
)
def test_halves_are_rounded_up(offset, shift):
    """floor(t + 1/2), not the rounding to even of numpy and torch."""
    assert adjust_one((10, 20), (offset, offset), 0, 40) == ([10 + shift, 20 + shift], True)


def test_bounds_are_those_of_the_sentence():
    """A boundary stops at the span's own sentence, not at the text's ends."""
    seeds = span_array([(5, 7), (12, 14)])
    offsets = numpy.array([[-9.0, 9.0], [-9.0, 9.0]])
    low, high = numpy.array([4, 10]), numpy.array([10, 16])
    spans, legal = adjust_spans(seeds, offsets, low, high)
    assert spans.tolist() == [[4, 10], [10, 16]]
    assert legal.all()
    spans, legal = adjust_spans(seeds, offsets, low, high, illegal="revert")
    assert spans.tolist() == seeds.tolist()
    assert not legal.any()


@given(
    st.integers(0, 9).flatmap(lambda s: st.tuples(st.just(s), st.integers(s + 1, 10))),
    st.tuples(st.floats(-30, 30), st.floats(-30, 30)),
    st.sampled_from(["clamp", "revert"]),
)
def test_legal_spans_are_inside_and_not_empty(seed, offset, illegal):
    (start, end), legal = adjust_one(seed, offset, 0, 10, illegal)
    if legal:
        assert 0 <= start < end <= 10
    elif illegal == "revert":
        assert (start, end) == seed


def test_no_spans():
    spans, legal = adjust_spans(span_array([]), numpy.zeros((0, 2)), 0, 5)
    assert spans.shape == (0, 2) and legal.shape == (0,)
