"""The two-layer head that scores spans; filter, regressor and classifier are all of this kind."""

from typing import Tuple

import torch
from torch import Tensor, nn

from ..validation import check_count, check_range
from .pooling import RangeMax

OUTER_BOUNDARIES = ("sentinel", "clamp")


class SpanHead(nn.Module):
    """Linear(3d, h) - GELU - Linear(h, out) over [pooled; left; right] (spec 1.5).

    The first layer is factored: what the left and right words contribute is computed once a
    token, not once a span, which equals the product with the concatenation. Dropout is drawn for
    each pooled span, and for each token that is a left word or a right word.
    """

    def __init__(self, width: int, hidden_width: int, n_out: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.pooled = nn.Linear(width, hidden_width)
        self.left = nn.Linear(width, hidden_width, bias=False)
        self.right = nn.Linear(width, hidden_width, bias=False)
        self.output = nn.Linear(hidden_width, n_out)
        bound = (3 * width) ** -0.5  # the three are one Linear(3 * width, hidden_width)
        for layer in (self.pooled, self.left, self.right):
            nn.init.uniform_(layer.weight, -bound, bound)
        nn.init.uniform_(self.pooled.bias, -bound, bound)

    def forward(
        self, rows: Tensor, pooling: RangeMax, spans: Tensor, left: Tensor, right: Tensor
    ) -> Tensor:
        """Score spans.

        Shape: rows (n_rows, width), tokens and sentinels; spans (n_spans, 2), half-open; left,
        right (n_spans,), the rows of the boundary words. Returns (n_spans, n_out).
        """
        hidden = self.pooled(self.dropout(pooling(spans[:, 0], spans[:, 1])))
        hidden = hidden + _project(self.left, self.dropout(rows), left)
        hidden = hidden + _project(self.right, self.dropout(rows), right)
        return self.output(nn.functional.gelu(hidden))


def _project(layer: nn.Linear, rows: Tensor, index: Tensor) -> Tensor:
    """The chosen rows, projected: in whichever order the layer has fewer rows to work on."""
    return layer(rows[index]) if len(index) < len(rows) else layer(rows)[index]


def check_head(hidden_width: int, dropout: float) -> Tuple[int, float]:
    """The settings of a head; RAISES (ValueError): HE078, HE002 outside their range."""
    return check_count("hidden_width", hidden_width, 1), check_range("dropout", dropout, 0, 1)


def outer_words(
    spans: Tensor, bounds: Tensor, n_tokens: int, outer_boundary: str
) -> Tuple[Tensor, Tensor]:
    """Rows of the words just outside each span, within its sentence.

    At a sentence end that is the sentinel row (n_tokens on the left, n_tokens + 1 on the right),
    or the span's own last word where the boundary is "clamp" (the published code).
    Shape: spans, bounds (n_spans, 2); returns two (n_spans,).
    """
    left, right = spans[:, 0] - 1, spans[:, 1]
    low, high = bounds[:, 0], bounds[:, 1]
    if outer_boundary == "clamp":
        return torch.maximum(left, low), torch.minimum(right, high - 1)
    return (
        torch.where(left < low, n_tokens, left),
        torch.where(right >= high, n_tokens + 1, right),
    )
