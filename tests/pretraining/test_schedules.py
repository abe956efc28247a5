"""Schedules by hand, against those of transformers, and for every step there may be."""

import math
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import optimization

from spacy_hetner.pretraining.schedules import (
    SchedulePart,
    WarmupConstant,
    WarmupCosine,
    WarmupLinear,
    make_schedule_part,
    make_warmup_constant,
    make_warmup_cosine,
    make_warmup_linear,
)

shares = st.floats(0, 1)
schedules = st.one_of(
    st.builds(WarmupConstant, shares),
    st.builds(WarmupLinear, shares, shares),
    st.builds(WarmupCosine, shares, shares),
)


@pytest.mark.parametrize(
    "schedule,expected",
    [
        (make_warmup_constant(0.2), [0, 0.5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        (
            make_warmup_linear(0.2),
            [0, 0.5, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8, 0, 0],
        ),
        (make_warmup_linear(0.0, 0.5), [1 - step / 20 for step in range(11)] + [0.5]),
        (
            make_warmup_cosine(0.2, 0.1),
            [0, 0.5, *(0.55 + 0.45 * math.cos(math.pi * k / 8) for k in range(9)), 0.1],
        ),
    ],
)
def test_by_hand(schedule, expected):
    assert [schedule(step, 10) for step in range(12)] == pytest.approx(expected)


def test_warmup_alone_ends_at_the_final_factor():
    assert [WarmupLinear(1.0, 0.3)(step, 4) for step in range(6)] == [0, 0.25, 0.5, 0.75, 0.3, 0.3]
    assert [WarmupConstant(1.0)(step, 4) for step in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]


@pytest.mark.parametrize(
    "schedule,theirs",
    [
        (WarmupConstant(0.2), optimization.get_constant_schedule_with_warmup),
        (WarmupLinear(0.2), optimization.get_linear_schedule_with_warmup),
        (WarmupCosine(0.2), optimization.get_cosine_schedule_with_warmup),
    ],
)
def test_as_in_transformers(schedule, theirs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    total = {} if "constant" in theirs.__name__ else {"num_training_steps": 50}
    scheduler = theirs(optimizer, num_warmup_steps=10, **total)
    for step in range(50):
        assert schedule(step, 50) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


@given(schedules, st.integers(1, 300))
def test_rises_then_falls_within_bounds(schedule, total):
    factors = [schedule(step, total) for step in range(total + 3)]
    assert all(0 <= factor <= 1 for factor in factors)
    first_after = next(step for step in range(total + 1) if step >= schedule.warmup * total)
    rise, fall = factors[:first_after], factors[first_after:]
    assert rise == sorted(rise)
    assert fall == sorted(fall, reverse=True)
    assert factors[total:] == [getattr(schedule, "final", 1.0)] * 3


@given(schedules)
def test_nothing_but_settings(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule


@pytest.mark.parametrize(
    "make,settings",
    [
        (make_warmup_constant, {"warmup": -0.1}),
        (make_warmup_linear, {"warmup": 1.1}),
        (make_warmup_linear, {"final": 2}),
        (make_warmup_cosine, {"final": float("nan")}),
    ],
)
def test_bad_settings(make, settings):
    with pytest.raises(ValueError, match=r"HE002.*(warmup|final)"):
        make(**settings)


@given(schedules, st.integers(1, 5), st.integers(1, 60))
def test_parts_are_the_whole(schedule, parts, steps):
    found = [
        make_schedule_part(schedule, part, parts)(step, steps)
        for part in range(parts)
        for step in range(steps)
    ]
    assert found == [schedule(step, parts * steps) for step in range(parts * steps)]
    assert make_schedule_part(schedule, parts, parts)(0, steps) == schedule(parts, parts)


@pytest.mark.parametrize("part, parts", [(-1, 2), (0, 0)])
def test_parts_that_make_no_sense(part, parts):
    with pytest.raises(ValueError, match="HE078"):
        SchedulePart(WarmupLinear(), part, parts)
