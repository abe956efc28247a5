"""Windows over long texts: nothing is lost, and context is used as far as it fits."""

from itertools import pairwise
from typing import List, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_hetner.encoders.windows import Window, sentence_windows, strided_windows

capacities = st.integers(1, 40).flatmap(
    lambda capacity: st.tuples(st.just(capacity), st.integers(0, capacity - 1))
)


def kept(windows: List[Window]) -> List[int]:
    return [piece for window in windows for piece in range(window.keep_start, window.keep_end)]


def margin(window: Window, piece: int, start: int, end: int) -> float:
    """How far a piece lies from an edge of its window at which text was cut off."""
    left = piece - window.start if window.start > start else float("inf")
    right = window.end - 1 - piece if window.end < end else float("inf")
    return min(left, right)


@given(st.integers(0, 50), st.integers(0, 300), capacities)
def test_strided_windows_cover_every_piece_once(
    start: int, length: int, sizes: Tuple[int, int]
) -> None:
    capacity, overlap = sizes
    end = start + length
    windows = strided_windows(start, end, capacity, overlap)
    assert kept(windows) == list(range(start, end))
    for window in windows:
        assert start <= window.start <= window.keep_start < window.keep_end <= window.end <= end
        assert window.end - window.start == min(capacity, length)
    for left, right in pairwise(windows):
        assert left.end - right.start >= overlap
        assert left.start < right.start
    for window in windows:
        for piece in range(window.keep_start, window.keep_end):
            elsewhere = [w for w in windows if w.start <= piece < w.end]
            best = max(margin(w, piece, start, end) for w in elsewhere)
            assert margin(window, piece, start, end) == best


def test_strided_windows_by_hand() -> None:
    assert strided_windows(0, 10, 10, 4) == [Window(0, 10, 0, 10)]
    assert strided_windows(0, 11, 10, 4) == [Window(0, 10, 0, 5), Window(1, 11, 5, 11)]
    assert strided_windows(100, 116, 10, 4) == [
        Window(100, 110, 100, 108),
        Window(106, 116, 108, 116),
    ]
    assert strided_windows(7, 7, 10, 4) == []


lengths = st.lists(st.integers(0, 30), max_size=8)


def as_bounds(sizes: List[int]) -> List[Tuple[int, int]]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return [(end - size, end) for end, size in zip(ends, sizes, strict=True)]


@given(lengths, st.integers(0, 4), capacities)
def test_sentence_windows_hold_their_sentence_and_what_fits_of_its_neighbours(
    sizes: List[int], neighbours: int, window_sizes: Tuple[int, int]
) -> None:
    capacity, overlap = window_sizes
    bounds = as_bounds(sizes)
    windows = sentence_windows(bounds, neighbours, capacity, overlap)
    assert kept(windows) == list(range(sum(sizes)))
    assert all(window.end - window.start <= capacity for window in windows)
    for i, (start, end) in enumerate(bounds):
        own = [w for w in windows if start <= w.keep_start and w.keep_end <= end]
        if end - start > capacity:
            assert own == strided_windows(start, end, capacity, overlap)
            continue
        if start == end:
            continue
        (window,) = own
        assert (window.keep_start, window.keep_end) == (start, end)
        first = bounds[max(0, i - neighbours)][0]
        last = bounds[min(len(bounds) - 1, i + neighbours)][1]
        assert first <= window.start <= start and end <= window.end <= last
        left, right = start - window.start, window.end - end
        if last - first <= capacity:
            assert (window.start, window.end) == (first, last)
        else:
            assert window.end - window.start == capacity
            # Cut evenly: the side with less was cut only where there is no more of it.
            assert abs(left - right) <= 1 or (
                window.start == first if left < right else window.end == last
            )


def test_sentence_windows_by_hand() -> None:
    bounds = [(0, 4), (4, 4), (4, 10), (10, 13)]
    assert sentence_windows(bounds, 0, 8, 2) == [
        Window(0, 4, 0, 4),
        Window(4, 10, 4, 10),
        Window(10, 13, 10, 13),
    ]
    # A sentence without pieces is a neighbour too, though it has nothing to give.
    assert sentence_windows(bounds, 1, 10, 2) == [
        Window(0, 4, 0, 4),
        Window(4, 13, 4, 10),
        Window(4, 13, 10, 13),
    ]
    assert sentence_windows(bounds, 2, 10, 2)[1] == Window(2, 12, 4, 10)


@pytest.mark.parametrize("overlap", [-1, 8, 9])
def test_an_overlap_that_leaves_no_step_is_an_error(overlap: int) -> None:
    with pytest.raises(ValueError, match=rf"\[HE032\].* 8 pieces .* {overlap}"):
        strided_windows(0, 100, 8, overlap)
