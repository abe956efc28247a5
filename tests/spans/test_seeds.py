"""The windows that stage one starts from."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.spans.seeds import check_lengths, enumerate_seeds

LENGTHS = [1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15]


def test_golden(golden):
    for case in golden("seed_spans")["enumeration"]:
        seeds = enumerate_seeds(case["n"], case["lengths"])
        assert seeds.dtype == "int64"
        assert len(seeds) == case["count"]
        if case["spans"] is not None:
            assert seeds.tolist() == case["spans"]


@pytest.mark.parametrize(("n", "count"), [(0, 0), (1, 1), (8, 35), (20, 155)])
def test_counts(n, count):
    assert enumerate_seeds(n, LENGTHS).shape == (count, 2)


@given(st.integers(0, 30), st.lists(st.integers(1, 20), min_size=1, unique=True), st.booleans())
def test_no_seed_leaves_the_sentence(n, lengths, clip_at_end):
    """Each seed is one of the lengths, or cut by the sentence end, and occurs once."""
    seeds = enumerate_seeds(n, lengths, clip_at_end=clip_at_end)
    if not clip_at_end:
        assert len(seeds) == sum(max(0, n - w + 1) for w in lengths)
    assert len(numpy.unique(seeds, axis=0)) == len(seeds)
    for start, end in seeds:
        assert 0 <= start < end <= n
        assert end - start in lengths or (clip_at_end and end == n)


def test_clipping_adds_suffixes():
    """The published code's 34 windows of a sentence of 8 tokens, where 32 lie inside."""
    published = [1, 2, 3, 4, 5, 7, 9, 11, 13, 15]
    inside = enumerate_seeds(8, published)
    clipped = enumerate_seeds(8, published, clip_at_end=True)
    assert (len(inside), len(clipped)) == (32, 34)
    added = set(map(tuple, clipped.tolist())) - set(map(tuple, inside.tolist()))
    assert added == {(0, 8), (2, 8)}


@pytest.mark.parametrize("lengths", [[], [0], [-1], [1, 0], [1.5], [True], ["3"]])
def test_bad_lengths(lengths):
    with pytest.raises(ValueError, match=r"\[HE001\]"):
        check_lengths(lengths)


def test_lengths_are_sorted_and_distinct():
    assert check_lengths([5, 1, 3, 1]) == [1, 3, 5]
