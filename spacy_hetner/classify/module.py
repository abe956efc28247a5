"""The span classifier as a torch module."""

from torch import Tensor, nn

from ..spans.head import SpanHead
from ..spans.pooling import pool_for


class SpanClassifier(nn.Module):
    """Locate and Label's second stage: a label, or none (index 0), for each candidate.

    Spans are given over the concatenated tokens of a batch, so there is no padding.
    """

    def __init__(self, width: int, hidden_width: int, n_labels: int, dropout: float) -> None:
        super().__init__()
        self.settings = {
            "width": width,
            "hidden_width": hidden_width,
            "n_labels": n_labels,
            "dropout": dropout,
        }
        self.head = SpanHead(width, hidden_width, n_labels + 1, dropout)

    def forward(self, tokens: Tensor, spans: Tensor, bounds: Tensor) -> Tensor:
        """Shape: tokens (n_tokens, width), spans (n_spans, 2), half-open; bounds are not used.
        Returns logits (n_spans, n_labels + 1)."""
        pooling = pool_for(tokens, spans)
        return self.head(tokens, pooling, spans, spans[:, 0], spans[:, 1] - 1)
