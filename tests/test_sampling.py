"""Draws: pure functions of seed, salt and id; of the right distribution."""

import hashlib
import math

import numpy
import pytest

from spacy_hetner.sampling import poisson, uniform

IDS = [f"record-{number}" for number in range(20_000)]


@pytest.mark.parametrize(
    "identity, seed, salt, hashed, expected",
    [
        ("Q42", 7, "balance", b'[7, "balance"]Q42', 0.787476661503418),
        ("\u5317\u4eac", 0, "", b'[0, ""]\xe5\x8c\x97\xe4\xba\xac', 0.7779639489464543),
        ("", -1, "a\u00e9", b'[-1, "a\\u00e9"]', 0.7531737949122435),
    ],
)
def test_known_values_stay(identity, seed, salt, hashed, expected):
    """Another hash or another layout would silently draw other samples from the same seed."""
    number = int(hashlib.blake2b(hashed, digest_size=8).hexdigest(), 16)
    assert number // 2**11 / 2**53 == expected
    assert uniform([identity], seed=seed, salt=salt).tolist() == [expected]


def test_neither_order_nor_company_matters():
    together = uniform(IDS, seed=1, salt="s")
    order = numpy.random.default_rng(0).permutation(len(IDS))
    shuffled = uniform([IDS[index] for index in order], seed=1, salt="s")
    assert (shuffled == together[order]).all()
    assert uniform(iter(IDS[:3]), seed=1, salt="s").tolist() == together[:3].tolist()
    assert (
        numpy.concatenate(
            [
                uniform(IDS[start : start + 999], seed=1, salt="s")
                for start in range(0, len(IDS), 999)
            ]
        ).tolist()
        == together.tolist()
    )


def test_shape_type_and_range():
    drawn = uniform(IDS, seed=1, salt="s")
    assert drawn.dtype == "float64" and drawn.shape == (len(IDS),)
    assert (drawn >= 0).all() and (drawn < 1).all()
    assert uniform([], seed=1, salt="s").shape == (0,)
    assert uniform(["\ud800"], seed=1, salt="s").shape == (1,)  # half a surrogate pair


def test_uniform():
    # 200 bins of 100 expected: chi-square has mean 199 and standard deviation 20.
    counts, _ = numpy.histogram(uniform(IDS, seed=1, salt="s"), bins=200, range=(0, 1))
    assert 199 - 5 * 20 < ((counts - 100) ** 2 / 100).sum() < 199 + 5 * 20


@pytest.mark.parametrize("other", [{"seed": 2, "salt": "s"}, {"seed": 1, "salt": "t"}])
def test_other_seeds_and_salts_draw_independently(other):
    one, two = uniform(IDS, seed=1, salt="s"), uniform(IDS, **other)
    # A correlation of independent draws has standard deviation 1 / sqrt(n) = 0.007.
    assert abs(numpy.corrcoef(one, two)[0, 1]) < 0.035
    assert (one != two).all()


def test_seed_salt_and_id_are_not_mixed_up():
    drawn = [
        uniform(["1"], seed=1, salt=""),
        uniform([""], seed=1, salt="1"),
        uniform([""], seed=11, salt=""),
        uniform(["b"], seed=1, salt="a"),
        uniform(["ab"], seed=1, salt=""),
        uniform(['"]b'], seed=1, salt="a"),
        uniform(["b"], seed=1, salt='a"]'),
    ]
    assert len({float(value[0]) for value in drawn}) == len(drawn)


@pytest.mark.parametrize("rate", [1e-9, 0.1, 1.0, 3.7, 50.0, 745.0, 5000.0])
def test_poisson_is_the_inverse_of_its_distribution(rate):
    u = numpy.linspace(0, 1, 400, endpoint=False)
    drawn = poisson(rate, u)
    assert drawn.dtype == "int64"
    terms = [
        math.exp(k * math.log(rate) - rate - math.lgamma(k + 1)) for k in range(drawn.max() + 1)
    ]
    cumulated = [math.fsum(terms[: k + 1]) for k in sorted(set(drawn.tolist()))]
    expected = dict(zip(sorted(set(drawn.tolist())), cumulated, strict=True))
    for k, value in zip(drawn.tolist(), u.tolist(), strict=True):
        assert value < expected[k] + 1e-9
        assert value >= expected[k] - terms[k] - 1e-9


def test_poisson_has_its_mean_and_variance():
    u = uniform(IDS, seed=3, salt="poisson")
    drawn = poisson(2.5, u)
    # The mean has standard deviation sqrt(2.5 / 20000) = 0.011, the variance about 0.027.
    assert abs(drawn.mean() - 2.5) < 0.055
    assert abs(drawn.var() - 2.5) < 0.14


def test_poisson_of_single_rates():
    rates = numpy.array([0.0, 0.5, 2.0, 0.0, 30.0, 800.0])
    u = numpy.array([0.99, 0.7, 0.5, 0.0, 0.5, 0.5])
    # Cumulated: exp(-0.5) = 0.607 and 0.910 for 0 and 1; 0.406 and 0.677 for 1 and 2 of rate 2.
    # The median lies within [rate - ln 2, rate + 1/3].
    assert poisson(rates, u).tolist() == [0, 1, 2, 0, 30, 800]
    alone = [
        int(poisson(float(rate), numpy.array(value))) for rate, value in zip(rates, u, strict=True)
    ]
    assert alone == poisson(rates, u).tolist()
    assert poisson(rates.reshape(2, 3), u.reshape(2, 3)).tolist() == [[0, 1, 2], [0, 30, 800]]
    assert poisson(1.0, numpy.zeros(0)).shape == (0,)


@pytest.mark.parametrize("rate", [0.3, 20.0, 1000.0])
def test_poisson_ends_at_the_largest_number_below_one(rate):
    largest = numpy.array([1 - 2.0**-53])
    drawn = int(poisson(rate, largest)[0])
    assert rate < drawn < rate + 10 * math.sqrt(rate) + 20


@pytest.mark.parametrize(
    "rate, u, name",
    [
        (-0.1, 0.5, "rate.*-0.1"),
        (math.inf, 0.5, "rate.*inf"),
        (math.nan, 0.5, "rate.*nan"),
        (1.0, 1.0, "u .*1.0"),
        (1.0, -0.5, "u .*-0.5"),
    ],
)
def test_poisson_refuses_what_is_no_rate_and_no_draw(rate, u, name):
    with pytest.raises(ValueError, match=f"HE139.*{name}"):
        poisson(numpy.array([1.0, rate]), numpy.array([0.5, u]))
