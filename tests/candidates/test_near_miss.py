"""Regions by edit distance, against golden numbers and a plain dynamic program."""

from itertools import pairwise

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from util import make_doc, span_array

from spacy_hetner.candidates.near_miss import near_miss_regions, near_misses, window_distances


def levenshtein(a, b):
    """The textbook's table, two rows of it."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x != y)))
    return row[-1]


def slow_regions(tokens, mentions, max_distance, bounds):
    found = set()
    for start, end in bounds:
        inside = [(a, b) for a, b in mentions if start <= a and b <= end]
        for a in range(start, end):
            for b in range(a + 1, end + 1):
                distances = (levenshtein(tokens[x:y], tokens[a:b]) for x, y in inside)
                if min(distances, default=max_distance + 1) <= max_distance:
                    found.add((a, b))
    return sorted(found - set(mentions))


def codes(text):
    return numpy.array([ord(c) for c in text], dtype="int64")


def test_golden_distances(golden):
    for case in golden("decoupled")["levenshtein"]:
        a, b, limit = case["a"], case["b"], max(len(case["a"]), len(case["b"]))
        distances = window_distances(codes(a), codes(b), limit)
        assert distances[0, len(b) - len(a) + limit] == case["d"] == levenshtein(a, b)


@pytest.mark.parametrize("distance", [0, 1, 2])
def test_golden_regions(golden, distance):
    case = golden("decoupled")["near_miss_regions"]
    found = near_miss_regions(case["sentence"], span_array(case["mentions"]), max_distance=distance)
    expected = case["by_max_distance"][str(distance)]
    assert found.tolist() == [region[:2] for region in expected]
    assert [case["sentence"][a:b] for a, b in found.tolist()] == [region[2] for region in expected]


@st.composite
def sentences_and_mentions(draw):
    lengths = draw(st.lists(st.integers(1, 7), max_size=3))
    ends = numpy.cumsum([0, *lengths]).tolist()
    bounds = list(pairwise(ends))
    tokens = draw(st.lists(st.sampled_from("abc"), min_size=ends[-1], max_size=ends[-1]))
    places = [(a, b) for a in range(ends[-1]) for b in range(a + 1, ends[-1] + 1)]
    mentions = draw(st.lists(st.sampled_from(places), max_size=3)) if places else []
    return tokens, mentions, bounds


@given(case=sentences_and_mentions(), max_distance=st.integers(0, 3))
def test_equals_the_plain_way(case, max_distance):
    tokens, mentions, bounds = case
    found = near_miss_regions(
        tokens, span_array(mentions), max_distance=max_distance, sentences=span_array(bounds)
    )
    assert found.dtype == "int64" and found.shape[1:] == (2,)
    assert [tuple(span) for span in found.tolist()] == slow_regions(
        tokens, mentions, max_distance, bounds
    )


@given(a=st.text("ab", max_size=6), b=st.text("ab", max_size=6), max_distance=st.integers(0, 4))
def test_the_band_is_exact_up_to_its_width(a, b, max_distance):
    distances = window_distances(codes(a), codes(b), max_distance)
    assert distances.shape == (len(b) + 1, 2 * max_distance + 1)
    for start in range(len(b) + 1):
        for column in range(2 * max_distance + 1):
            end = start + len(a) - max_distance + column
            exists = start <= end <= len(b)
            true = levenshtein(a, b[start:end]) if exists else max_distance + 1
            assert distances[start, column] == min(true, max_distance + 1)


def test_the_same_words_elsewhere_are_at_distance_0():
    assert near_miss_regions("京都京都", span_array([(0, 2)]), max_distance=0).tolist() == [[2, 4]]


def test_no_mention_is_among_the_regions():
    found = near_miss_regions("北京大学", span_array([(0, 4), (0, 3)]), max_distance=1).tolist()
    assert [0, 4] not in found and [0, 3] not in found and [0, 2] in found


def test_of_a_doc_within_its_sentences(nlp):
    words = list("在京都。京都好")
    doc = make_doc(nlp, words, sentence_starts=[0, 4])
    assert near_misses(doc, span_array([(1, 3)]), max_distance=0).tolist() == []
    crossing = near_misses(doc, span_array([(3, 5)]), max_distance=3)
    assert crossing.tolist() == []
    without = make_doc(nlp, words)
    assert near_misses(without, span_array([(1, 3)]), max_distance=0).tolist() == [[4, 6]]
    for empty in (make_doc(nlp, []), make_doc(nlp, ["a"])):
        assert near_misses(empty, span_array([])).shape == (0, 2)


def test_distance_below_0():
    with pytest.raises(ValueError, match=r"\[HE078\] max_distance"):
        near_miss_regions("ab", span_array([(0, 1)]), max_distance=-1)
