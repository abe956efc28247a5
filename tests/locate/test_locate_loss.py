"""Losses of the filter and the boundary regressor."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck

from spacy_hetner.locate.loss import focal_loss, overlap_loss, regression_loss, smooth_l1_loss


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_focal_golden(golden):
    for case in golden("focal_loss")["cases"]:
        found = focal_loss(
            doubles(case["logit"]), torch.tensor([case["y"] == 1]), doubles(1.0), case["gamma"]
        )
        assert found.item() == pytest.approx(case["loss"], abs=1e-9), case


def test_focal_golden_batch(golden):
    batch = golden("focal_loss")["weighted_batch"]
    logits, labels, weights = zip(
        *((item["logit"], item["y"] == 1, item["w"]) for item in batch["items"]), strict=True
    )
    each = focal_loss(doubles(*logits), torch.tensor(labels), doubles(*weights), batch["gamma"])
    assert each.sum().item() == pytest.approx(batch["sum"], abs=1e-9)
    assert each.mean().item() == pytest.approx(batch["mean"], abs=1e-9)


def test_focal_loss_of_sure_examples_is_finite():
    """Neither p = 0 nor p = 1 in float32 gives infinities, right or wrong."""
    logits = torch.tensor([200.0, -200.0, 200.0, -200.0], requires_grad=True)
    positive = torch.tensor([True, False, False, True])
    for gamma in (0.0, 0.5, 1.0, 2.0):
        each = focal_loss(logits, positive, torch.ones(4), gamma)
        assert each.detach().tolist() == pytest.approx([0.0, 0.0, 200.0, 200.0])
        (gradient,) = torch.autograd.grad(each.sum(), logits)
        assert gradient.tolist() == pytest.approx([0.0, 0.0, 1.0, -1.0])


def test_regression_golden(golden):
    cases = golden("regression_loss")
    seeds = doubles(*(c["seed"] for c in cases["cases"]))
    offsets = doubles(*(c["pred_offset"] for c in cases["cases"]))
    gold = doubles(*(c["gt"] for c in cases["cases"]))
    expected_l1 = doubles(*(c["smooth_l1"] for c in cases["cases"]))
    expected_overlap = doubles(*(c["overlap_loss"] for c in cases["cases"]))
    close = {"rtol": 0, "atol": 1e-9}
    torch.testing.assert_close(smooth_l1_loss(offsets, gold - seeds), expected_l1, **close)
    torch.testing.assert_close(overlap_loss(seeds, offsets, gold), expected_overlap, **close)
    each = regression_loss(seeds, offsets, gold)
    assert each.sum().item() == pytest.approx(cases["totals"]["L_reg_sum"], abs=1e-9)
    assert each.mean().item() == pytest.approx(cases["totals"]["L_reg_mean"], abs=1e-9)
    assert expected_overlap.max() > 1, "the golden cases have disjoint spans"


@pytest.mark.parametrize(
    ("difference", "expected"),
    [(0.0, 0.0), (0.5, 0.125), (1.0, 0.5), (-1.0, 0.5), (1.5, 1.0), (-3.0, 2.5)],
)
def test_smooth_l1_kink(difference, expected):
    """Quadratic within one token, linear beyond, and one value at the kink."""
    found = smooth_l1_loss(doubles([difference, 0.0]), doubles([0.0, 0.0]))
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("seed", "offsets", "gold", "expected"),
    [
        ([4.0, 5.0], [0.0, 0.0], [4.0, 5.0], 0.0),  # 0/0 with inclusive ends
        ([0.0, 5.0], [0.0, 0.0], [0.0, 10.0], 0.5),
        ([0.0, 2.0], [0.0, 0.0], [3.0, 5.0], 1.2),  # disjoint: more than 1
        ([0.0, 2.0], [0.0, 0.0], [2.0, 4.0], 1.0),
    ],
)
def test_overlap_loss_by_hand(seed, offsets, gold, expected):
    offsets = doubles(offsets).requires_grad_()
    found = overlap_loss(doubles(seed), offsets, doubles(gold))
    assert found.item() == pytest.approx(expected)
    (gradient,) = torch.autograd.grad(found.sum(), offsets)
    assert torch.isfinite(gradient).all()
    if expected > 0:
        assert gradient.abs().sum() > 0, "what does not match must be told where to move"


@given(
    st.tuples(st.integers(0, 9), st.integers(1, 9)),
    st.tuples(st.integers(0, 9), st.integers(1, 9)),
    st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
)
def test_overlap_loss_is_finite_and_not_negative(seed, gold, offsets):
    """Inverted predictions too; below 2 where the prediction is a span at all."""
    seed, gold = ([start, start + length] for start, length in (seed, gold))
    found = overlap_loss(doubles(seed), doubles(offsets), doubles(gold)).item()
    assert 0 <= found < float("inf")
    if seed[0] + offsets[0] < seed[1] + offsets[1]:
        assert found < 2


def test_gradients():
    torch.manual_seed(0)
    seeds, gold = doubles([2, 5], [0, 4], [7, 9]), doubles([3, 9], [0, 3], [1, 2])
    offsets = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    weights = doubles(0.2, 0.9, 0.5)
    assert gradcheck(lambda t: regression_loss(seeds, t, gold, weights), offsets)
    logits = torch.randn(3, dtype=torch.float64, requires_grad=True)
    positive = torch.tensor([True, False, True])
    assert gradcheck(lambda z: focal_loss(z, positive, weights, 2.0), logits)


def test_weights_scale_the_smooth_l1_term_only():
    seeds, offsets, gold = doubles([2, 5]), doubles([0.0, 1.0]), doubles([1, 8])
    l1, overlap = smooth_l1_loss(offsets, gold - seeds), overlap_loss(seeds, offsets, gold)
    found = regression_loss(seeds, offsets, gold, doubles(0.25))
    torch.testing.assert_close(found, 0.25 * l1 + overlap)
