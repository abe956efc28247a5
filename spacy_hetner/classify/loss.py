"""Loss of the span classifier (Locate and Label, Eq 16)."""

import torch
from torch import Tensor


def class_loss(logits: Tensor, labels: Tensor, weights: Tensor, gamma: float = 0.0) -> Tensor:
    """Weighted cross-entropy of each candidate, focal where ``gamma`` > 0.

    Shape: logits (n, n_labels + 1), labels (n,) with 0 for none, weights (n,); returns (n,).
    """
    log_p = torch.log_softmax(logits, dim=1).gather(1, labels[:, None]).squeeze(1)
    # Never 0, where the gradient of a power below 1 is infinite.
    wrong = (1.0 - log_p.exp()).clamp(min=torch.finfo(log_p.dtype).eps)
    return -weights * wrong**gamma * log_p
