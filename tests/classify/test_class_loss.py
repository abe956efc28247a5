"""Loss of the span classifier."""

import pytest
import torch
from torch.autograd import gradcheck

from spacy_hetner.classify.loss import class_loss


def random_batch():
    torch.manual_seed(0)
    logits = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    return logits, torch.tensor([0, 1, 2, 3, 0]), torch.rand(5, dtype=torch.float64)


def test_cross_entropy():
    logits, labels, weights = random_batch()
    expected = torch.nn.functional.cross_entropy(logits, labels, reduction="none") * weights
    torch.testing.assert_close(class_loss(logits, labels, weights), expected)


def test_focal():
    logits, labels, weights = random_batch()
    p = torch.softmax(logits, 1)[range(5), labels]
    expected = -weights * (1 - p) ** 2 * p.log()
    torch.testing.assert_close(class_loss(logits, labels, weights, 2.0), expected)
    assert gradcheck(lambda z: class_loss(z, labels, weights, 2.0), logits)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_sure_examples_are_finite(gamma):
    """p rounds to 1 in float32 long before training ends."""
    logits = torch.tensor([[200.0, 0.0], [200.0, 0.0]], requires_grad=True)
    each = class_loss(logits, torch.tensor([0, 1]), torch.ones(2), gamma)
    assert each.detach().tolist() == pytest.approx([0.0, 200.0])
    (gradient,) = torch.autograd.grad(each.sum(), logits)
    assert gradient.flatten().tolist() == pytest.approx([0.0, 0.0, 1.0, -1.0])


def test_no_candidates():
    each = class_loss(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    assert each.shape == (0,)
