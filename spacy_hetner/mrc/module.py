"""The query-based tagger as torch modules: an encoder of pairs, and the heads over its vectors."""

from typing import Any, ClassVar, Dict, List, NamedTuple, Optional, Tuple

import numpy
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from ..encoders.batching import grouped_buckets
from ..encoders.module import PieceEncoder
from ..spans.pairing import possible_spans, span_scores

_MATCHES_AT_ONCE = 1 << 16


class Pair(NamedTuple):
    """A query with a window of a text.

    ids: int64, all that the encoder reads; begin: how many of these come before the text: they
    are of the first type, the others of the second; tokens: int64 ``(k,)``, the tokens of the text
    that are judged here; rows: int64 ``(k,)``, the place of the first piece of each in ``ids``.
    """

    ids: numpy.ndarray
    begin: int
    tokens: numpy.ndarray
    rows: numpy.ndarray


class PairBatch(NamedTuple):
    """Pairs of a query and a window of a text.

    texts: int64 ``(n_pairs,)``, the text of each pair; groups: int64 ``(n_pairs,)``, which pairs
    may have a span in common, those of a group one after the other. gold: int64 ``(m, 2)``, first
    and last token of spans, counted over the judged tokens of all pairs; none in prediction.
    threshold: how probable starts and ends must be that a match head is asked about.
    """

    pairs: List[Pair]
    texts: numpy.ndarray
    groups: numpy.ndarray
    gold: numpy.ndarray
    threshold: float

    @property
    def token_groups(self) -> numpy.ndarray:
        """The group of each judged token, int64 ``(n_tokens,)``."""
        return numpy.repeat(self.groups, [len(pair.rows) for pair in self.pairs])


class PairEncoder(PieceEncoder):
    """An encoder of pairs that gives the vectors of the judged tokens, at their first pieces.

    together: encode the pairs of a text at once, if they fit in a batch.
    """

    def __init__(self, *, together: bool, **settings: Any) -> None:
        super().__init__(layers=1, **settings)
        self.together = together

    def forward(self, batch: PairBatch) -> Tensor:
        """Shape: returns float32 (n_tokens, width), in the order of pairs and of their tokens."""
        pairs = batch.pairs
        rows = [pair.ids for pair in pairs]
        begins = numpy.array([pair.begin for pair in pairs], dtype="int64")
        first_token = numpy.cumsum([0, *(len(pair.rows) for pair in pairs)])
        order: List[numpy.ndarray] = []
        vectors: List[Tensor] = []
        for bucket, states in self.encode(rows, begins, self._buckets(rows, batch.texts)):
            longest = states.shape[1]
            places = [row * longest + pairs[i].rows for row, i in enumerate(bucket.tolist())]
            index = torch.from_numpy(numpy.concatenate(places)).to(states.device)
            vectors.append(states.flatten(0, 1)[index])
            order += [numpy.arange(first_token[i], first_token[i + 1]) for i in bucket.tolist()]
        joined = torch.cat(vectors)
        return joined[torch.from_numpy(numpy.argsort(numpy.concatenate(order))).to(joined.device)]

    def _buckets(
        self, rows: List[numpy.ndarray], texts: numpy.ndarray
    ) -> Optional[List[numpy.ndarray]]:
        if not self.together:
            return None
        lengths = numpy.array([len(ids) for ids in rows], dtype="int64")
        return grouped_buckets(lengths, texts, self.min_density, self.max_batch_pieces)


class SpanLogits(NamedTuple):
    """What the heads say of n tokens, and of p pairs of them.

    start, end: ``(n, 2)``, that a span starts, or ends, with the token: no at 0, yes at 1; pairs:
    int64 ``(p, 2)``, first and last token; match: ``(p,)``, that a span lies between these.
    """

    start: Any
    end: Any
    pairs: Any
    match: Any


class BoundaryHead(nn.Module):
    """Linear(width, 2) for starts, and one for ends (CoFEE, section 3.1).

    match_width: of the hidden layer of a third head, MLP([start; end]), which judges pairs of a
        start and an end and so can tell nested spans apart (MRC-NER); 0 for none.
    match_candidates: most pairs of a group that it learns from, gold ones not counted; the surest.
    """

    of_config: ClassVar[Tuple[str, ...]] = ("dropout", "match_candidates")
    """Settings that are not saved with the weights; see ``deserialize_module``."""

    def __init__(
        self,
        width: int,
        match_width: int = 0,
        dropout: float = 0.0,
        match_candidates: int = 256,
    ) -> None:
        super().__init__()
        self.settings: Dict[str, Any] = {
            "width": width,
            "match_width": match_width,
            "dropout": dropout,
            "match_candidates": match_candidates,
        }
        self.dropout = nn.Dropout(dropout)
        self.start = nn.Linear(width, 2)
        self.end = nn.Linear(width, 2)
        self.match = MatchHead(width, match_width) if match_width else None
        self.match_candidates = match_candidates

    def forward(
        self,
        tokens: Tensor,
        groups: Optional[Tensor] = None,
        gold: Optional[Tensor] = None,
        threshold: float = 0.5,
    ) -> SpanLogits:
        """Judge tokens, and with a match head pairs of those that are judged to be ends.

        Shape: tokens (n, width); groups int64 (n,), equal ones side by side, tokens of others are
        never paired; gold int64 (m, 2), pairs that are judged anyway, for training; threshold:
        how probable an end must be to be one.
        """
        tokens = self.dropout(tokens)
        start, end = self.start(tokens), self.end(tokens)
        if self.match is None or groups is None:
            return SpanLogits(start, end, _no_pairs(tokens), tokens.new_zeros(0))
        known = _no_pairs(tokens) if gold is None else gold
        chosen = self._candidates(start, end, groups, known.cpu().numpy(), threshold)
        pairs = torch.from_numpy(chosen).to(tokens.device)
        return SpanLogits(start, end, pairs, self.match(tokens, pairs))

    def _candidates(
        self, start: Tensor, end: Tensor, groups: Tensor, gold: numpy.ndarray, threshold: float
    ) -> numpy.ndarray:
        """All pairs of a start and an end, predicted or gold, within groups: int64 (p, 2)."""
        p_start, p_end = (yes_probabilities(part) for part in (start, end))
        starts, ends = p_start > threshold, p_end > threshold
        starts[gold[:, 0]] = True
        ends[gold[:, 1]] = True
        group_of = groups.cpu().numpy()
        firsts, lasts = numpy.flatnonzero(starts), numpy.flatnonzero(ends)
        found = [numpy.zeros((0, 2), dtype="int64"), gold]
        for group in numpy.intersect1d(group_of[firsts], group_of[lasts]):
            own = possible_spans(firsts[group_of[firsts] == group], lasts[group_of[lasts] == group])
            if self.training:
                surest = numpy.argsort(-span_scores(p_start, p_end, own), kind="stable")
                own = own[numpy.sort(surest[: self.match_candidates])]
            found.append(own - numpy.array([0, 1]))
        return numpy.unique(numpy.concatenate(found), axis=0)


class MatchHead(nn.Module):
    """Linear(2 * width, hidden) - GELU - Linear(hidden, 1) over [first token; last token].

    The first layer is factored: each token is projected once, not once a pair.
    """

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, hidden_width)
        self.last = nn.Linear(width, hidden_width, bias=False)
        self.output = nn.Linear(hidden_width, 1)

    def forward(self, tokens: Tensor, pairs: Tensor) -> Tensor:
        """Shape: tokens (n, width), pairs int64 (p, 2); returns (p,)."""
        first, last = self.first(tokens), self.last(tokens)
        # A start and an end at every other token of a long text are many pairs.
        parts = [
            self.output(gelu(first[part[:, 0]] + last[part[:, 1]])).squeeze(1)
            for part in pairs.split(_MATCHES_AT_ONCE)
        ]
        return torch.cat(parts)


def yes_probabilities(logits: Tensor) -> numpy.ndarray:
    """The probability of "yes", float32 (n,), of logits (n, 2)."""
    return logits.detach().float().softmax(1)[:, 1].cpu().numpy()


def _no_pairs(tokens: Tensor) -> Tensor:
    return torch.zeros(0, 2, dtype=torch.int64, device=tokens.device)
