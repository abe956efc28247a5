"""Maxima over many token ranges at once, without a [spans, words, hidden] tensor."""

from typing import List

import torch
from torch import Tensor


class RangeMax:
    """Elementwise maxima over ranges of rows, by a sparse table.

    Level k holds the maxima of all runs of 2^k rows; a range is the maximum of two such runs that
    overlap. Memory is linear in tokens (times log2 of the longest range), whatever the number and
    length of the spans, and gradients flow to the maximal rows.
    """

    def __init__(self, rows: Tensor, longest: int) -> None:
        """rows: (n, width); longest: the longest range that will be asked for."""
        self.levels: List[Tensor] = [rows]
        run = 1
        while run * 2 <= min(longest, len(rows)):
            level = self.levels[-1]
            self.levels.append(torch.maximum(level[:-run], level[run:]))
            run *= 2

    def __call__(self, starts: Tensor, ends: Tensor) -> Tensor:
        """Maxima of rows [starts, ends), non-empty, int64 (n_spans,). Shape: (n_spans, width)."""
        # frexp(x) = m * 2^e with m in [.5, 1), hence floor(log2(x)) = e - 1, exactly.
        level_of_span = torch.frexp((ends - starts).double()).exponent - 1
        result = self.levels[0].new_empty(len(starts), self.levels[0].shape[1])
        pieces: List[Tensor] = []
        places: List[Tensor] = []
        for k, level in enumerate(self.levels):
            here = (level_of_span == k).nonzero().squeeze(1)
            if len(here):
                left = level[starts[here]]
                pieces.append(left if k == 0 else torch.maximum(left, level[ends[here] - (1 << k)]))
                places.append(here)
        if not pieces:
            return result
        if len(pieces) == 1:
            return pieces[0]
        # Undo the grouping by level with one gather.
        return torch.cat(pieces)[torch.cat(places).argsort()]


def pool_for(rows: Tensor, spans: Tensor) -> RangeMax:
    """A table just large enough for the given spans, int64 (n_spans, 2)."""
    longest = int((spans[:, 1] - spans[:, 0]).max()) if len(spans) else 1
    return RangeMax(rows, longest)
