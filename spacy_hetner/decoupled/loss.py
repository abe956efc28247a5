"""Loss of the decoupled scorer."""

from torch import Tensor
from torch.nn.functional import cross_entropy


def decoupled_loss(
    both: Tensor, mention: Tensor, context: Tensor, labels: Tensor, alpha: float, beta: float
) -> Tensor:
    """Cross-entropy of the global classifier, plus alpha and beta times that of either part.

    Shape: logits (n, n_labels + 1), labels (n,) with 0 for none; returns (n,).
    """
    parts = ((1.0, both), (alpha, mention), (beta, context))
    losses = [weight * cross_entropy(logits, labels, reduction="none") for weight, logits in parts]
    return sum(losses[1:], losses[0])
