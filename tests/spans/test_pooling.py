"""Maxima over token ranges."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from util import span_array, spans_within

from spacy_hetner.spans.pooling import RangeMax, pool_for


def brute_force(rows, spans):
    return torch.stack([rows[start:end].amax(0) for start, end in spans])


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), spans_within(n))))
def test_equals_the_maximum_of_each_range(case):
    """Values and gradients; rows are distinct, so that each maximum has one row to flow to."""
    n, spans = case
    generator = torch.Generator().manual_seed(n)
    rows = torch.stack([torch.randperm(n, generator=generator) for _ in range(3)], 1).double()
    rows.requires_grad_()
    table = pool_for(rows, torch.from_numpy(span_array(spans)))
    bounds = torch.from_numpy(span_array(spans))
    found = table(bounds[:, 0], bounds[:, 1])
    assert found.shape == (len(spans), 3)
    if not spans:
        return
    expected = brute_force(rows, spans)
    assert torch.equal(found, expected)
    upstream = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(found, rows, upstream)
    (same,) = torch.autograd.grad(expected, rows, upstream)
    torch.testing.assert_close(gradient, same)


@pytest.mark.parametrize("longest", [1, 2, 3, 4, 7, 8, 9, 16, 100])
def test_every_length_up_to_the_longest(longest):
    """Powers of two and their neighbours, where a level too few would show."""
    rows = torch.randn(20, 2, generator=torch.Generator().manual_seed(longest))
    spans = [(s, s + w) for w in range(1, min(longest, 20) + 1) for s in range(20 - w + 1)]
    starts, ends = torch.tensor(spans).unbind(1)
    assert torch.equal(RangeMax(rows, longest)(starts, ends), brute_force(rows, spans))


def test_levels_are_linear_in_the_tokens():
    levels = RangeMax(torch.zeros(1000, 4), 15).levels
    assert [len(level) for level in levels] == [1000, 999, 997, 993]
