"""Classification Attention as a torch module (spec 4.2-4.4)."""

import math
from typing import Optional

import torch
from torch import Tensor, nn

from ..sequences.head import ChainHead, ChainScores

MERGES = ("concat", "sum", "mean", "max")
AXES = ("position", "class")
EPS = 1e-12


class ClassAttentionTagger(nn.Module):
    """The attention block over class embeddings, then a linear layer and a CRF."""

    def __init__(
        self,
        width: int,
        n_tags: int,
        n_classes: int,
        layers: int,
        crf: bool,
        transition_rate: float,
        heads: int,
        merge: str,
        axis: str,
        rescale: bool,
        trained_classes: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.settings = {
            "width": width,
            "n_tags": n_tags,
            "n_classes": n_classes,
            "layers": layers,
            "crf": crf,
            "transition_rate": transition_rate,
            "heads": heads,
            "merge": merge,
            "axis": axis,
            "rescale": rescale,
            "trained_classes": trained_classes,
            "dropout": dropout,
        }
        self.classes = nn.Parameter(torch.zeros(n_classes, width), requires_grad=trained_classes)
        self.block = ClassAttentionBlock(width, n_classes, heads, merge, axis, rescale, dropout)
        self.dropout = nn.Dropout(dropout)
        self.head = ChainHead(width, n_tags, layers, crf, transition_rate)

    def forward(self, tokens: Tensor, pieces: Tensor, bounds: Tensor) -> ChainScores:
        """Shape: tokens (n_tokens, width); pieces (n_pieces, 2), half-open, all tokens in order:
        what is attended to at once; bounds are not used."""
        return self.head(self.dropout(self.block(tokens, self.classes, pieces)))


class ClassAttentionBlock(nn.Module):
    """A transformer layer in which the classes are the keys and the positions are weighed.

    For each class and head the weights are a softmax over the positions of the sentence (a softmax
    over the keys, one a class, would always be 1), and each position's value is multiplied by its
    own weight. The results of all classes are merged, and the rest is as in BERT.
    """

    def __init__(
        self,
        width: int,
        n_classes: int,
        heads: int,
        merge: str,
        axis: str,
        rescale: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.heads, self.merge, self.axis, self.rescale = heads, merge, axis, rescale
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.project: Optional[nn.Linear] = None
        if merge == "concat":
            self.project = nn.Linear(n_classes * width, width)
        self.dense = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width, eps=EPS)
        self.widen = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)
        self.output_norm = nn.LayerNorm(width, eps=EPS)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, classes: Tensor, pieces: Tensor) -> Tensor:
        """Shape: tokens (n_tokens, width), classes (n_classes, width), pieces (n_pieces, 2).
        Returns (n_tokens, width)."""
        weights = self.dropout(self.attend(tokens, classes, pieces))
        merged = self.merge_classes(weights, self.value(tokens))
        attended = self.attention_norm(tokens + self.dropout(self.dense(merged)))
        narrowed = self.narrow(nn.functional.gelu(self.widen(attended)))
        return self.output_norm(attended + self.dropout(narrowed))

    def attend(self, tokens: Tensor, classes: Tensor, pieces: Tensor) -> Tensor:
        """Attention weights (n_tokens, n_classes, heads): of each class and head they sum to one
        over a piece, or to its length where they are rescaled."""
        queries = self.query(tokens).unflatten(1, (self.heads, -1))
        keys = self.key(classes).unflatten(1, (self.heads, -1))
        logits = torch.einsum("nhk,chk->nch", queries, keys) / math.sqrt(keys.shape[2])
        lengths = pieces[:, 1] - pieces[:, 0]
        if self.axis == "class":
            return logits.softmax(1)
        weights = softmax_within(logits, lengths)
        return (
            weights * _of_each_token(lengths, lengths)[:, None, None] if self.rescale else weights
        )

    def merge_classes(self, weights: Tensor, values: Tensor) -> Tensor:
        """Shape: weights (n_tokens, n_classes, heads), values (n_tokens, width).

        The value of a class is a weight times the token's own value, so that all merges but
        "concat" come down to one weight a head, and no (n_tokens, n_classes, width) is made.
        """
        n_classes = weights.shape[1]
        if self.project is not None:
            parts = self.project.weight.split(values.shape[1], dim=1)
            merged: Tensor = self.project.bias
            for number, part in enumerate(parts):
                merged = merged + nn.functional.linear(
                    self._weighed(weights[:, number], values), part
                )
            return merged
        if self.merge == "max":
            largest = self._weighed(weights.amax(1), values)
            return torch.where(values >= 0, largest, self._weighed(weights.amin(1), values))
        total = weights.sum(1)
        return self._weighed(total / n_classes if self.merge == "mean" else total, values)

    def _weighed(self, weights: Tensor, values: Tensor) -> Tensor:
        """Shape: weights (n_tokens, heads), values (n_tokens, width)."""
        return (values.unflatten(1, (self.heads, -1)) * weights[:, :, None]).flatten(1)


def softmax_within(logits: Tensor, lengths: Tensor) -> Tensor:
    """Softmax over the rows of each piece: logits (n_tokens, ...), lengths (n_pieces,)."""
    flat = logits.flatten(1)
    piece = _of_each_token(torch.arange(len(lengths), device=lengths.device), lengths)
    index = piece[:, None].expand_as(flat)
    shape = (len(lengths), flat.shape[1])
    # The shift changes nothing, so that no gradient flows through it.
    peaks = flat.new_zeros(shape).scatter_reduce(
        0, index, flat.detach(), "amax", include_self=False
    )
    exponents = (flat - peaks[piece]).exp()
    sums = flat.new_zeros(shape).index_add(0, piece, exponents)
    return (exponents / sums[piece]).view_as(logits)


def _of_each_token(values: Tensor, lengths: Tensor) -> Tensor:
    """A value a piece as a value a token: (n_pieces,) to (n_tokens,)."""
    return values.repeat_interleave(lengths)
