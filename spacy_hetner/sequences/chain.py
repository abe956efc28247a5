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
probabilities of the backward algorithm: two short loops, no graph. Where scores lie so far apart
that probabilities could vanish, the same is done on logarithms.
"""

from functools import cached_property
from typing import Any, List, NamedTuple, Sequence, Tuple

import numpy
import torch
from torch import Tensor

LARGEST_SPREAD = 500
"""float64 holds exp(-708) to exp(709); what is left is for products of two probabilities."""
FORBIDDEN = -1e100
"""In place of -inf, whose differences are not a number."""


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
    if _spread(chain) < LARGEST_SPREAD:
        return _LogPartition.apply(*chain, packing)
    finite = _finite(chain)
    ending = _log_forward(finite, packing)[:, packing.last] + finite.end[:, None]
    return ending.logsumexp(2).to(chain.emissions.dtype)


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
        self._chain = _finite(chain)
        if _spread(chain) < LARGEST_SPREAD:
            forward = _Forward(chain, packing)
            self._alphas, self._betas = forward.alphas.log(), _backward(forward, packing).log()
            self._scale = forward.scale.log() + forward.peaks
        else:
            self._alphas = _log_forward(self._chain, packing)
            self._betas = _log_backward(self._chain, packing)
            self._scale = torch.zeros_like(self._alphas[:, :, 0])
        joint = self._alphas + self._betas
        self._mass = joint.logsumexp(2)  # the same for all tokens of a sentence
        self.probabilities = (joint - self._mass[:, :, None]).exp()
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
        packing, transitions = self.packing, self._chain.transitions
        rows, sentence = packing.rows, packing.sentence[packing.rows]
        emissions = self._chain.emissions[:, rows] - self._scale[:, rows, None]
        alphas, betas = self._alphas[:, rows], self._betas[:, rows]
        layer = torch.arange(len(tags))[:, None]
        moves = emissions.gather(2, tags[:, :, None])[:, :, 0]
        moves[:, 1:] += transitions[layer, tags[:, :-1], tags[:, 1:]]
        # No span uses a move between sentences, which may be forbidden.
        moves[:, packing.order[packing.first]] = 0
        ways = moves.cumsum(1)
        first, final = spans[:, 0], spans[:, 1] - 1
        path = (
            alphas[layers, first, tags[layers, first]]
            + ways[layers, final]
            - ways[layers, first]
            - self._mass[:, rows][layers, final]
        )
        last_tag = tags[layers, final]
        exact = (path + betas[layers, final, last_tag]).exp()
        more = continuations[last_tag]
        after = (final + 1).clamp(max=tags.shape[1] - 1)
        longer = (more >= 0) & (final + 1 < tags.shape[1]) & (sentence[after] == sentence[final])
        drawn_out = (
            path
            + transitions[layers, last_tag, more]
            + emissions[layers, after, more]
            + betas[layers, after, more]
        ).exp()
        return exact - torch.where(longer, drawn_out, 0.0)


def _spread(chain: Chain) -> float:
    """Above -log of the smallest probability that decides anything: how far apart the scores are
    on the way to any tag, which takes three steps in a tag scheme (I, E, B, I)."""
    emissions = chain.emissions.detach()
    if not emissions.numel():
        return 0.0
    step = (emissions.amax(2) - emissions.amin(2)).max().item()
    start, transitions, end = (_width(part.detach()) for part in chain[1:])
    return 3 * (step + transitions) + start + end


def _width(scores: Tensor) -> float:
    allowed = scores[scores.isfinite()]
    return (allowed.max() - allowed.min()).item()


def _finite(chain: Chain) -> Chain:
    return Chain(*(part.double().clamp(min=FORBIDDEN) for part in chain))


def _log_forward(chain: Chain, packing: Packing) -> Tensor:
    """log of the summed scores of all ways to each tag, its emission included: (layers, n_tokens,
    n_tags), rows as packed."""
    score, parts = chain.start[:, None], [chain.emissions[:, :0]]
    for time, emissions in enumerate(chain.emissions.split(packing.sizes, 1)):
        if time:
            ways = score[:, : packing.sizes[time], :, None] + chain.transitions[:, None]
            score = ways.logsumexp(2)  # (layers, sentences, from, to)
        score = score + emissions
        parts.append(score)
    return torch.cat(parts, 1)


def _log_backward(chain: Chain, packing: Packing) -> Tensor:
    """The same of all ways on from each tag to the end of its sentence."""
    betas = torch.empty_like(chain.emissions)
    offsets, sizes = packing.offsets, [*packing.sizes, 0]
    for time in range(len(packing.sizes) - 1, -1, -1):
        start, going_on = offsets[time], sizes[time + 1]
        betas[:, start + going_on : start + sizes[time]] = chain.end[:, None]
        if going_on:
            rows = slice(offsets[time + 1], offsets[time + 2])
            ahead = (chain.emissions[:, rows] + betas[:, rows])[:, :, None]
            ways = chain.transitions[:, None] + ahead  # (layers, sentences, from, to)
            betas[:, start : start + going_on] = ways.logsumexp(3)
    return betas


class _Forward:
    """Scaled forward probabilities.

    seen, start, step, end: exp(scores), divided by the largest of each token or layer; alphas:
    p(tag, tokens so far), scaled to sum to one; scale: what that took; peaks, ends: log of what
    everything was divided by, of each token with the transition to it, and of each layer.
    """

    def __init__(self, chain: Chain, packing: Packing) -> None:
        emissions = chain.emissions.double()
        self.peaks = emissions.amax(2)
        self.seen = (emissions - self.peaks[:, :, None]).exp_()
        start, transitions, end = (part.double() for part in chain[1:])
        n_first, largest = packing.n_sentences, transitions.amax((1, 2), keepdim=True)
        self.peaks[:, n_first:] += largest[:, 0]
        self.ends = start.amax(1, keepdim=True) + end.amax(1, keepdim=True)
        self.start = (start - start.amax(1, keepdim=True)).exp_()
        self.step = (transitions - largest).exp_()
        self.end = (end - end.amax(1, keepdim=True)).exp_()
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
        return ending.log() + self.ends + _sum_by_sentence(self.scale.log() + self.peaks, packing)


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
