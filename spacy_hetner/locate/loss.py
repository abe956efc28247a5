"""Losses of the filter and the boundary regressor (Locate and Label, section 2.5)."""

from typing import Optional

import torch
from torch import Tensor


def focal_loss(logits: Tensor, positive: Tensor, weights: Tensor, gamma: float) -> Tensor:
    """Weighted binary focal loss of each example (Eq 12, both terms under the minus).

    -w [y (1-p)^gamma log p + (1-y) p^gamma log(1-p)], p = sigmoid(logit).
    Shape: all (n,); returns (n,).
    """
    sign = torch.where(positive, 1.0, -1.0)
    log_likelihood = torch.nn.functional.logsigmoid(sign * logits)
    # The wrong answer's probability, 1 - p for positives and p for negatives, to the power gamma.
    # As a logarithm, since the gradient of wrong**gamma at 0 is infinite for gamma < 1.
    log_wrong = torch.nn.functional.logsigmoid(-sign * logits)
    return -weights * torch.exp(gamma * log_wrong) * log_likelihood


def smooth_l1_loss(offsets: Tensor, targets: Tensor) -> Tensor:
    """Smooth L1 (beta 1) of both boundaries, summed (Eq 14). Shape: (n, 2) to (n,)."""
    return torch.nn.functional.smooth_l1_loss(offsets, targets, reduction="none").sum(1)


def overlap_loss(seeds: Tensor, offsets: Tensor, gold: Tensor) -> Tensor:
    """1 - overlap / hull of the un-rounded adjusted span and its gold span (Eq 15).

    Half-open ends, so that a perfect single token is 0 and not 0/0; disjoint spans give more than
    1. The un-rounded offsets are used, since rounding has no gradient.
    Shape: all (n, 2); returns (n,).
    """
    spans = seeds + offsets
    shared = torch.minimum(spans[:, 1], gold[:, 1]) - torch.maximum(spans[:, 0], gold[:, 0])
    hull = torch.maximum(spans[:, 1], gold[:, 1]) - torch.minimum(spans[:, 0], gold[:, 0])
    return 1.0 - shared / hull


def regression_loss(
    seeds: Tensor, offsets: Tensor, gold: Tensor, weights: Optional[Tensor] = None
) -> Tensor:
    """Smooth L1 plus overlap loss (Eq 13); ``weights`` scale the smooth L1 term only.

    Shape: (n, 2) each, weights (n,); returns (n,).
    """
    l1 = smooth_l1_loss(offsets, gold - seeds)
    if weights is not None:
        l1 = l1 * weights
    return l1 + overlap_loss(seeds, offsets, gold)
