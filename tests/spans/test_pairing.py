"""Spans from starts and ends, against golden numbers and against plain definitions."""

from itertools import pairwise
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.spans.pairing import (
    above,
    flat_spans,
    nearest_ends,
    nested_spans,
    pick_spans,
    possible_spans,
    span_scores,
)

Pairs = List[Tuple[int, int]]

PLACES = st.lists(st.integers(0, 15), max_size=10, unique=True).map(sorted)


def inclusive(spans: numpy.ndarray) -> List[List[int]]:
    """Half-open spans as golden files have them."""
    assert spans.dtype == "int64" and spans.shape == (len(spans), 2)
    return (spans - (0, 1)).tolist()


def half_open(pairs: Sequence[Sequence[int]]) -> numpy.ndarray:
    return numpy.array(pairs, dtype="int64").reshape(-1, 2) + numpy.array([0, 1])


def test_golden_cases(golden: Callable[[str], Any]) -> None:
    cases = golden("mrc_matching")["cases"]
    assert any("nested" in case for case in cases)
    for case in cases:
        starts, ends = numpy.array(case["starts"]), numpy.array(case["ends"])
        assert inclusive(nearest_ends(starts, ends)) == case["nearest_end_pairs"], case["name"]
        assert inclusive(flat_spans(starts, ends)) == case["flat"], case["name"]
        if "nested" in case:
            found = nested_spans(starts, ends, half_open(case["match"]))
            assert inclusive(found) == case["nested"], case["name"]


def test_golden_self_picking(golden: Callable[[str], Any]) -> None:
    """Strictly more than delta; what is picked is all that there is: nothing is left of before."""
    for case in golden("mrc_matching")["self_picking"]["cases"]:
        p_start, p_end = numpy.array(case["p_start"]), numpy.array(case["p_end"])
        assert above(p_start, case["delta"]).tolist() == case["starts"]
        assert above(p_end, case["delta"]).tolist() == case["ends"]
        picked = pick_spans(p_start, p_end, case["delta"])
        assert inclusive(picked.spans) == case["spans"]
        labels = numpy.zeros((2, len(p_start)), dtype=int)
        labels[0, picked.spans[:, 0]] = labels[1, picked.spans[:, 1] - 1] = 1
        assert labels.tolist() == [case["new_start_labels"], case["new_end_labels"]]
        expected = [p_start[start] * p_end[end] for start, end in case["spans"]]
        numpy.testing.assert_allclose(picked.scores, expected)


def test_golden_self_picking_of_a_tagger(golden: Callable[[str], Any]) -> None:
    for case in golden("tagger_self_picking")["cases"]:
        picked = pick_spans(case["p_start"], case["p_end"], case["delta"])
        assert inclusive(picked.spans) == case["spans_inclusive"]


def test_a_lower_delta_finds_all_starts_of_a_higher_one(golden: Callable[[str], Any]) -> None:
    """And more spans, on the same probabilities."""
    by_probabilities: Dict[str, Dict[float, Any]] = {}
    for case in golden("mrc_matching")["self_picking"]["cases"]:
        picked = pick_spans(case["p_start"], case["p_end"], case["delta"])
        of = by_probabilities.setdefault(str(case["p_start"]), {})
        of[case["delta"]] = set(picked.spans[:, 0].tolist())
    assert by_probabilities
    for of in by_probabilities.values():
        assert of[0.5] <= of[0.1]
    totals = [sum(len(of[delta]) for of in by_probabilities.values()) for delta in (0.1, 0.5)]
    assert totals[0] > totals[1]


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=20),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_starts_at_a_higher_delta_are_a_subset(
    probabilities: Pairs, one: float, other: float
) -> None:
    p = numpy.array(probabilities, dtype="float64").reshape(-1, 2)
    low, high = (
        set(pick_spans(p[:, 0], p[:, 1], delta).spans[:, 0]) for delta in sorted((one, other))
    )
    assert high <= low


def test_more_than_the_threshold_is_strict() -> None:
    assert above(numpy.array([0.5, 0.500001, 0.4]), 0.5).tolist() == [1]
    assert pick_spans(numpy.array([0.1]), numpy.array([1.0]), 0.1).spans.shape == (0, 2)


def test_a_shared_end_does_not_move_later_spans() -> None:
    """Paired by their places in flat lists, (6, 7) would become (2, 7) (trap of the code)."""
    found = nearest_ends(numpy.array([0, 2, 6]), numpy.array([3, 7]))
    assert inclusive(found) == [[0, 3], [2, 3], [6, 7]]


@given(PLACES, PLACES)
def test_pairs_by_definition(starts: List[int], ends: List[int]) -> None:
    arrays = numpy.array(starts, dtype="int64"), numpy.array(ends, dtype="int64")
    nearest = [
        [start, min(end for end in ends if end >= start)]
        for start in starts
        if any(end >= start for end in ends)
    ]
    assert inclusive(nearest_ends(*arrays)) == nearest
    possible = [[start, end] for start in starts for end in ends if start <= end]
    assert inclusive(possible_spans(*arrays)) == possible
    assert inclusive(nested_spans(*arrays, half_open(possible))) == possible
    assert nested_spans(*arrays, half_open([])).shape == (0, 2)
    flat = inclusive(flat_spans(*arrays))
    assert all(pair in nearest for pair in flat)
    assert all(one[1] < other[0] for one, other in pairwise(flat))
    kept = {start for start, _ in flat}
    for start, _ in nearest:
        assert start in kept or any(s < start <= e for s, e in flat), "skipped only inside one"


def test_scores_are_products() -> None:
    p_start, p_end = numpy.array([0.5, 0.25, 1.0]), numpy.array([0.0, 0.5, 0.1])
    found = span_scores(p_start, p_end, numpy.array([[0, 2], [1, 2], [2, 3]]))
    assert found.tolist() == pytest.approx([0.25, 0.125, 0.1])
    assert span_scores(p_start, p_end, half_open([])).shape == (0,)
