"""Linear-chain conditional random fields over tags: likelihood, best tags, marginals.

A *chain* scores a sentence's tags by its emissions (a score for each token and tag), transitions
(for each pair of neighbouring tags), and scores of the first and the last tag. -inf forbids. With
transitions of 0 it is a softmax over each token's tags, so that both kinds of tagger share this
code.

Several layers of tags over the same tokens, each with transitions of its own, are one more
dimension of every array: they cost one pass. Sentences of a batch are not padded but packed by
time, as recurrent networks take them: the first tokens of all sentences, then the second ones, the
longest sentence first.

The partition function is computed by the forward algorithm on probabilities that are scaled to
sum to one at each token (Rabiner, 1989, section V.A) in float64, and its gradient is the marginal
probabilities of the backward algorithm: two short loops, no graph.
"""

from functools import cached_property
from typing import Any, List, NamedTuple, Sequence, Tuple

import numpy
import torch
from torch import Tensor


class Packing:
    """How the tokens of a batch of sentences are ordered by time.

    lengths (Sequence[int]): Tokens of each sentence, none 0.

    order: int64 ``(n_tokens,)``, the token in each row; sizes: sentences that reach each time;
    sentence: int64 ``(n_tokens,)``, the sentence in each row; rows: int64 ``(n_tokens,)``, the
    row of each token.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        length = numpy.asarray(lengths, dtype="int64").reshape(-1)
        by_length = numpy.argsort(-length, kind="stable")
        starts = (numpy.cumsum(length) - length)[by_length]
        times = numpy.arange(length.max(initial=0))
        # How many sentences are longer than each time.
        self.sizes: List[int] = (
            len(length) - numpy.searchsorted(numpy.sort(length), times, side="right")
        ).tolist()
        parts = [(by_length[:size], starts[:size] + t) for t, size in enumerate(self.sizes)]
        self.sentence = torch.from_numpy(_joined([part[0] for part in parts]))
        self.order = torch.from_numpy(_joined([part[1] for part in parts]))
        self.n_sentences = len(length)

    @cached_property
    def rows(self) -> Tensor:
        rows = torch.empty_like(self.order)
        rows[self.order] = torch.arange(len(self.order))
        return rows

    @cached_property
    def offsets(self) -> List[int]:
        """The first row of each time, and the number of rows."""
        return numpy.cumsum([0, *self.sizes]).tolist()

    @cached_property
    def first(self) -> Tensor:
        """The row of each sentence's first token, int64 ``(n_sentences,)``."""
        return self._row_of_sentence(range(min(len(self.sizes), 1)))

    @cached_property
    def last(self) -> Tensor:
        """The row of each sentence's last token, int64 ``(n_sentences,)``."""
        return self._row_of_sentence(range(len(self.sizes)))

    @cached_property
    def previous(self) -> Tensor:
        """For every row but the first ones the row of the token before it."""
        parts = [
            torch.arange(start, start + size)
            for start, size in zip(self.offsets, self.sizes[1:], strict=False)
        ]
        return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.int64)

    def _row_of_sentence(self, times: Sequence[int]) -> Tensor:
        rows = torch.zeros(self.n_sentences, dtype=torch.int64)
        for time in times:
            start, end = self.offsets[time], self.offsets[time + 1]
            rows[self.sentence[start:end]] = torch.arange(start, end)
        return rows


class Chain(NamedTuple):
    """The scores of a batch: emissions (layers, n_tokens, n_tags), rows as packed; start, end
    (layers, n_tags); transitions (layers, n_tags, n_tags), from a tag (row) to the next (column).
    """

    emissions: Tensor
    start: Tensor
    transitions: Tensor
    end: Tensor


def negative_log_likelihood(chain: Chain, tags: Tensor, packing: Packing) -> Tensor:
    """-log p(tags) of every layer and sentence.

    Shape: tags (layers, n_tokens), rows as packed. Returns (layers, n_sentences).
    """
    return log_partition(chain, packing) - score_tags(chain, tags, packing)


def score_tags(chain: Chain, tags: Tensor, packing: Packing) -> Tensor:
    """Unnormalised scores of given tags; shapes as in ``negative_log_likelihood``."""
    layer = torch.arange(len(tags), device=tags.device)[:, None]
    each = chain.emissions.gather(2, tags[:, :, None])[:, :, 0]
    following, preceding = tags[:, packing.sizes[0] :], tags[:, packing.previous]
    each = torch.cat(
        [
            each[:, : packing.sizes[0]],
            each[:, packing.sizes[0] :] + chain.transitions[layer, preceding, following],
        ],
        dim=1,
    )
    sums = _sum_by_sentence(each, packing)
    ends = chain.start[layer, tags[:, packing.first]] + chain.end[layer, tags[:, packing.last]]
    return sums + ends


def log_partition(chain: Chain, packing: Packing) -> Tensor:
    """log of the sum over all tag sequences: (layers, n_sentences). Differentiable, once."""
    return _LogPartition.apply(*chain, packing)


def best_tags(chain: Chain, packing: Packing) -> Tensor:
    """The tags of highest score (Viterbi): int64 (layers, n_tokens), rows as packed."""
    emissions, start, transitions, end = chain
    offsets, sizes = packing.offsets, [*packing.sizes, 0]
    back = emissions.new_empty(emissions.shape, dtype=torch.int64)
    last = emissions.new_empty(emissions.shape[:2], dtype=torch.int64)
    score = start[:, None]
    for time, size in enumerate(packing.sizes):
        rows = slice(offsets[time], offsets[time + 1])
        if time:
            # (layers, sentences, from, to)
            score, back[:, rows] = (score[:, :size, :, None] + transitions[:, None]).max(2)
        score = score + emissions[:, rows]
        ending = slice(sizes[time + 1], size)
        last[:, rows][:, ending] = (score[:, ending] + end[:, None]).argmax(2)
    tags = last
    for time in range(len(packing.sizes) - 2, -1, -1):
        reached = slice(offsets[time + 1], offsets[time + 2])
        following = tags[:, reached, None]
        tags[:, offsets[time] : offsets[time] + sizes[time + 1]] = back[:, reached].gather(
            2, following
        )[:, :, 0]
    return tags


class Marginals:
    """What the forward and the backward algorithm say of a batch, without gradients."""

    def __init__(self, chain: Chain, packing: Packing) -> None:
        self.packing = packing
        self._forward = _Forward(chain, packing)
        self._betas = _backward(self._forward, packing)
        joint = self._forward.alphas * self._betas
        self._mass = joint.sum(2)  # the same for all tokens of a sentence
        self.probabilities = joint / self._mass[:, :, None]
        """Of each tag at each token, float64 (layers, n_tokens, n_tags), rows as packed."""

    def span_probabilities(
        self, tags: Tensor, spans: Tensor, layers: Tensor, continuations: Tensor
    ) -> Tensor:
        """p(the tags of a span are just these), for spans of tagged sentences.

        Where the scheme does not mark the end of a span, the probability that the next tag draws
        it out is taken off.

        Shape: tags (layers, n_tokens), the tokens in their own order; spans (n_spans, 2), half-open
        offsets into the tokens, each within a sentence; layers (n_spans,), the layer of each;
        continuations (n_tags,), see ``TagSet.continuations``. Returns float64 (n_spans,).
        """
        rows = self.packing.rows
        seen, scale = self._forward.seen[:, rows], self._forward.scale[:, rows]
        alphas, betas, mass = (a[:, rows] for a in (self._forward.alphas, self._betas, self._mass))
        layer = torch.arange(len(tags))[:, None]
        token = torch.arange(tags.shape[1])
        step = self._forward.step
        moves = seen[layer, token, tags] / scale
        moves[:, 1:] *= step[layer, tags[:, :-1], tags[:, 1:]]
        # Of a sentence's first token it is never used, and may be 0 there.
        log_moves = moves.clamp(min=torch.finfo(moves.dtype).tiny).log().cumsum(1)
        first, final = spans[:, 0], spans[:, 1] - 1
        path = (log_moves[layers, final] - log_moves[layers, first]).exp()
        path = path * alphas[layers, first, tags[layers, first]]
        last_tag = tags[layers, final]
        exact = path * betas[layers, final, last_tag]
        more = continuations[last_tag]
        after = (final + 1).clamp(max=tags.shape[1] - 1)
        sentence = self.packing.sentence[rows]
        longer = (more >= 0) & (final + 1 < tags.shape[1]) & (sentence[after] == sentence[final])
        drawn_out = (
            path
            * step[layers, last_tag, more]
            * seen[layers, after, more]
            / scale[layers, after]
            * betas[layers, after, more]
        )
        return (exact - torch.where(longer, drawn_out, 0.0)) / mass[layers, final]


class _Forward:
    """Scaled forward probabilities.

    seen: exp(emissions), the largest of each token 1; alphas: p(tag, tokens so far), scaled to sum
    to one; scale: what that took, times the largest exp(emission) exp(peak).
    """

    def __init__(self, chain: Chain, packing: Packing) -> None:
        emissions = chain.emissions.double()
        self.peaks = emissions.amax(2)
        self.seen = (emissions - self.peaks[:, :, None]).exp_()
        self.start, self.step, self.end = (part.double().exp() for part in chain[1:])
        self.alphas = torch.empty_like(self.seen)
        self.scale = torch.empty_like(self.peaks)
        alpha = self.start[:, None]
        for time, size in enumerate(packing.sizes):
            rows = slice(packing.offsets[time], packing.offsets[time + 1])
            if time:
                alpha = torch.bmm(alpha[:, :size], self.step)
            alpha = alpha * self.seen[:, rows]
            total = alpha.sum(2, keepdim=True)
            alpha = alpha / total
            self.alphas[:, rows] = alpha
            self.scale[:, rows] = total[:, :, 0]

    def log_partition(self, packing: Packing) -> Tensor:
        ending = (self.alphas[:, packing.last] * self.end[:, None]).sum(2)
        return ending.log() + _sum_by_sentence(self.scale.log() + self.peaks, packing)


def _backward(forward: _Forward, packing: Packing) -> Tensor:
    """Scaled backward probabilities (layers, n_tokens, n_tags): the sum of alpha * beta is the same
    at every token of a sentence."""
    betas = torch.empty_like(forward.alphas)
    sizes = [*packing.sizes, 0]
    carried = forward.seen / forward.scale[:, :, None]
    back = forward.step.transpose(1, 2)
    for time in range(len(packing.sizes) - 1, -1, -1):
        start, going_on = packing.offsets[time], sizes[time + 1]
        betas[:, start + going_on : start + sizes[time]] = forward.end[:, None]
        if going_on:
            rows = slice(packing.offsets[time + 1], packing.offsets[time + 2])
            betas[:, start : start + going_on] = torch.bmm(carried[:, rows] * betas[:, rows], back)
    return betas


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        *scores, packing = inputs
        chain = Chain(*scores)
        ctx.result = _Forward(chain, packing)
        ctx.packing = packing
        return ctx.result.log_partition(packing).to(chain.emissions.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tuple[Any, ...]:
        (d_log_partition,) = gradients  # (layers, n_sentences)
        packing, result = ctx.packing, ctx.result
        betas = _backward(result, packing)
        weight = d_log_partition.double()
        joint = result.alphas * betas
        mass = joint.sum(2, keepdim=True)
        d_emissions = joint * (weight[:, packing.sentence, None] / mass)
        n_first = packing.sizes[0]
        arriving = result.seen * betas * (weight[:, packing.sentence] / result.scale)[:, :, None]
        arriving = (arriving / mass)[:, n_first:]
        leaving = result.alphas[:, packing.previous]
        d_transitions = result.step * torch.bmm(leaving.transpose(1, 2), arriving)
        d_start = d_emissions[:, packing.first].sum(1)
        ending = result.alphas[:, packing.last] * result.end[:, None]
        d_end = (ending * (weight / ending.sum(2))[:, :, None]).sum(1)
        parts = (d_emissions, d_start, d_transitions, d_end)
        dtype = d_log_partition.dtype
        return (*(part.to(dtype) for part in parts), None)


def _sum_by_sentence(values: Tensor, packing: Packing) -> Tensor:
    """Shape: values (layers, n_tokens), rows as packed; returns (layers, n_sentences)."""
    sums = values.new_zeros(len(values), packing.n_sentences)
    return sums.index_add(1, packing.sentence, values)


def _joined(parts: List[numpy.ndarray]) -> numpy.ndarray:
    return numpy.concatenate(parts) if parts else numpy.zeros(0, dtype="int64")
