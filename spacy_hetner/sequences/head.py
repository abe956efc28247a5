"""From token vectors to the scores of a linear chain, as a torch module."""

from typing import Tuple

import torch
from torch import Tensor, nn

from ..validation import check_count, check_range

ChainScores = Tuple[Tensor, Tensor, Tensor, Tensor]
"""emissions (layers, n_tokens, n_tags); start (layers, n_tags); transitions (layers, n_tags,
n_tags); end (layers, n_tags)."""


def check_chain(layers: int, transition_rate: float) -> Tuple[int, float]:
    """The settings of a head; RAISES (ValueError): HE002, HE078 outside their range."""
    rate = check_range("transition_rate", transition_rate, 0, float("inf"))
    return check_count("layers", layers, 1), rate


class ChainHead(nn.Module):
    """Linear(width, n_tags) for each layer of tags, and the scores of a CRF's transitions.

    crf: off for a softmax tagger, all of whose transitions score 0. transition_rate: the learned
    values are multiplied by it, so that they learn so many times as fast as the rest: a CRF with
    the encoder's small rate hardly moves from where it started.
    """

    def __init__(
        self, width: int, n_tags: int, layers: int, crf: bool, transition_rate: float
    ) -> None:
        super().__init__()
        self.transition_rate = transition_rate
        self.emissions = nn.ModuleList(nn.Linear(width, n_tags) for _ in range(layers))
        self.start = _learned(crf, layers, n_tags)
        self.transitions = _learned(crf, layers, n_tags, n_tags)
        self.end = _learned(crf, layers, n_tags)

    def forward(self, tokens: Tensor) -> ChainScores:
        """Shape: tokens (n_tokens, width)."""
        rate = self.transition_rate
        return (
            torch.stack([layer(tokens) for layer in self.emissions]),
            self.start * rate,
            self.transitions * rate,
            self.end * rate,
        )


def _learned(trained: bool, *shape: int) -> Tensor:
    """Zeros: a parameter where they are trained."""
    return nn.Parameter(torch.zeros(*shape), requires_grad=trained)
