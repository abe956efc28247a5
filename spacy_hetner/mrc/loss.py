"""Losses of the query-based tagger: sums, to be divided by the number of their terms."""

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

UNSAID = -1
"""The label of a token of which nothing is known."""


def boundary_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the tokens of texts, of "no" and "yes": L_start, or L_end, times n.

    The paper's formula, y log P with y in {0, 1}, would drop every "no"; it is the cross-entropy
    that is meant. Logits are of the tokens of the text alone, so the query counts for nothing.

    Shape: logits (n, 2), labels int64 (n,), 0, 1 or ``UNSAID``; returns a scalar.
    """
    return cross_entropy(logits, labels, ignore_index=UNSAID, reduction="sum")


def match_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy over pairs of a start and an end.

    Shape: logits (p,), labels (p,), 0 or 1; returns a scalar.
    """
    return binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum")
