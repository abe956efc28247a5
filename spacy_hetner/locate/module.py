"""The trained proposer as a torch module: a filter and a boundary regressor over one table."""

from typing import Tuple

import torch
from torch import Tensor, nn

from ..spans.head import SpanHead, outer_words
from ..spans.pooling import RangeMax, pool_for


class SpanProposer(nn.Module):
    """Locate and Label's first stage (section 2.3).

    filter: is the seed close to an entity, from its inner boundary words; regressor: how far its
    boundaries are off, from the words just outside. Spans are given over the concatenated tokens
    of a batch, each with the bounds of its sentence, so there is no padding.
    """

    def __init__(
        self,
        width: int,
        hidden_width: int,
        filter_width: int,
        dropout: float,
        outer_boundary: str,
        chunk: int = 8192,
    ) -> None:
        """hidden_width, filter_width: hidden units of the regressor and of the filter; chunk: most
        spans that the filter scores at once in ``propose``."""
        super().__init__()
        self.settings = {
            "width": width,
            "hidden_width": hidden_width,
            "filter_width": filter_width,
            "dropout": dropout,
            "outer_boundary": outer_boundary,
            "chunk": chunk,
        }
        self.filter = SpanHead(width, filter_width, 1, dropout)
        self.regressor = SpanHead(width, hidden_width, 2, dropout)
        self.sentinels = nn.Parameter(torch.zeros(2, width))
        self.outer_boundary = outer_boundary
        self.chunk = chunk

    def forward(self, tokens: Tensor, spans: Tensor, bounds: Tensor) -> Tuple[Tensor, Tensor]:
        """Both heads on the same spans, for training.

        Shape: tokens (n_tokens, width); spans (n_spans, 2); bounds (n_spans, 2), the sentence of
        each span. Returns filter logits (n_spans,) and offsets (n_spans, 2), left and right.
        """
        pooling = pool_for(tokens, spans)
        return (
            self._filter(tokens, pooling, spans),
            self._regress(tokens, pooling, spans, bounds),
        )

    def propose(
        self, tokens: Tensor, spans: Tensor, bounds: Tensor, min_logit: float
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Filter all spans, in chunks so that memory is bounded, and regress what is kept.

        Shape: as forward. Returns the kept indices (n_kept,), their filter logits (n_kept,) and
        offsets (n_kept, 2).
        """
        pooling = pool_for(tokens, spans)
        logits = torch.cat(
            [self._filter(tokens, pooling, part) for part in spans.split(self.chunk)]
        )
        kept = (logits >= min_logit).nonzero().squeeze(1)
        offsets = self._regress(tokens, pooling, spans[kept], bounds[kept])
        return kept, logits[kept], offsets

    def _filter(self, tokens: Tensor, pooling: RangeMax, spans: Tensor) -> Tensor:
        return self.filter(tokens, pooling, spans, spans[:, 0], spans[:, 1] - 1).squeeze(1)

    def _regress(self, tokens: Tensor, pooling: RangeMax, spans: Tensor, bounds: Tensor) -> Tensor:
        rows = torch.cat((tokens, self.sentinels))  # (n_tokens + 2, width)
        left, right = outer_words(spans, bounds, len(tokens), self.outer_boundary)
        return self.regressor(rows, pooling, spans, left, right)
