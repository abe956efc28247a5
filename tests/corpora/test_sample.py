"""Nested samples: which records are drawn, and how many."""

import numpy
import pytest

from spacy_hetner.corpora.sample import nested_order, sample_size

IDS = [f"doc-{i}" for i in range(200)]


def drawn(ids, n, seed=0):
    return {ids[place] for place in nested_order(ids, seed=seed)[:n]}


def test_the_order_has_each_place_once():
    order = nested_order(IDS, seed=3)
    assert order.dtype == "int64" and sorted(order) == list(range(len(IDS)))
    assert nested_order([], seed=0).shape == (0,)


def test_seeds_draw_differently_and_each_the_same_again():
    assert drawn(IDS, 50) == drawn(IDS, 50) != drawn(IDS, 50, seed=1)


def test_what_is_drawn_does_not_depend_on_the_order_of_the_records():
    shuffled = [IDS[i] for i in numpy.random.default_rng(0).permutation(len(IDS))]
    for n in (1, 10, 77):
        assert drawn(shuffled, n) == drawn(IDS, n)


def test_each_record_is_as_likely_as_any():
    """4000 samples of a quarter: each record is in 1000 of them, to within 5 sigma of 27."""
    times = numpy.zeros(40)
    for seed in range(4000):
        times[nested_order(IDS[:40], seed=seed)[:10]] += 1
    assert times.sum() == 40000 and (abs(times - 1000) < 137).all()


@pytest.mark.parametrize("ids", [[""] * 100, ["same"] * 100, ["a", "", "b", ""] * 25])
def test_records_without_an_id_of_their_own_are_drawn_independently(ids):
    """They are told apart by their place among their like, so that they do not come in a row."""
    order = nested_order(ids, seed=0)
    assert sorted(order) == list(range(100))
    steps = numpy.diff(order)
    assert (steps == 1).sum() < 10 and (steps < 0).sum() > 30


@pytest.mark.parametrize(
    "total,share,size",
    [
        (100, 0.145, 15),  # 14.5, of which the binary fraction falls short
        (100, 0.144, 14),
        (10, 0.25, 3),
        (10, 0.35, 4),
        (30, 0.01, 1),
        (3821, 0.01, 38),
        (7, 1.0, 7),
        (7, 1, 7),
    ],
)
def test_shares_are_rounded_half_up(total, share, size):
    assert sample_size(total, share=share) == size


def test_counts_are_exact():
    assert [sample_size(20, count=n) for n in (1, 19, 20)] == [1, 19, 20]


@pytest.mark.parametrize(
    "settings,message",
    [
        ({"count": 21}, r"HE215.*sample of 21 .*there are 20"),
        ({"count": 5, "share": 0.5}, r"HE216.*sample_count = 5 .*sample_share = 0\.5"),
        ({"share": 0.0}, r"HE217.*got 0\.0"),
        ({"share": 1.5}, r"HE217.*got 1\.5"),
        ({"share": float("nan")}, "HE217.*nan"),
        ({"count": -1}, r"HE078.*sample_count.*-1"),
        ({"count": 2.5}, r"HE078.*sample_count.*2\.5"),
    ],
)
def test_sizes_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        sample_size(20, **settings)
