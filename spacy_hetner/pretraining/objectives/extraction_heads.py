"""What tells spans from the vectors of tokens: two heads under a query, or tags; and clusters."""

from typing import Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from ...encoders.module import tells_parts_apart
from ...labels.codecs import BEGIN, END, SCHEMES, SINGLE
from ...labels.tagset import TagSet
from ...mrc.loss import UNSAID, boundary_loss
from ...mrc.module import BoundaryHead
from ...spans.pairing import above, flat_spans
from .extraction_task import ENDS, SCHEME, STARTS
from .objective import Learner

SPANS, CLUSTERS = "spans", "clusters"
"""The losses."""

_YES = 0.5

Found = Tuple[int, int, int]
"""A half-open span of rows and its label."""


class EdgeProbabilities(NamedTuple):
    """How probable it is that a span begins, and ends, at each of n tokens: float32 ``(n, K)``, for
    the K labels that a window tells apart."""

    starts: Tensor
    ends: Tensor


class QueryHead(BoundaryHead):
    """``start`` and ``end``, under the query of one label; ``clusters``, if there are any."""

    def __init__(self, width: int, n_clusters: int = 0) -> None:
        super().__init__(width)
        # After the others, which so begin with the same weights, with clusters and without.
        self.clusters = nn.Linear(width, n_clusters) if n_clusters else None

    def loss(self, vectors: Tensor, tags: Tensor) -> Tensor:
        """L_start + L_end, summed over the tokens whose tag is known."""
        starts, ends = self.start(vectors).float(), self.end(vectors).float()
        return boundary_loss(starts, _bit(tags, STARTS)) + boundary_loss(ends, _bit(tags, ENDS))

    def probabilities(self, vectors: Tensor) -> EdgeProbabilities:
        """Of the one label that is asked for, so ``(n, 1)``."""
        logits = self.start(vectors), self.end(vectors)
        starts, ends = (scores.float().softmax(1)[:, 1:] for scores in logits)
        return EdgeProbabilities(starts, ends)

    def find(self, vectors: Tensor, known: Tensor, sizes: Sequence[int]) -> Iterator[Found]:
        """The spans of windows of so many tokens: nearest ends, flat, each window alone."""
        starts, ends = (
            torch.where(known, p[:, 0], 0.0).detach().cpu().numpy()
            for p in self.probabilities(vectors)
        )
        for first, stop in _ranges(sizes):
            begins, closes = (above(p[first:stop], _YES) for p in (starts, ends))
            for start, end in flat_spans(begins, closes).tolist():
                yield first + start, first + end, 0


class TagHead(nn.Module):
    """``tags``, a softmax over the BMES tags of all labels; ``clusters``, if there are any."""

    def __init__(self, width: int, labels: Sequence[str], n_clusters: int = 0) -> None:
        super().__init__()
        self.tag_set = TagSet(labels, SCHEME)
        self.numbers = {label: number for number, label in enumerate(labels)}
        self.tags = nn.Linear(width, len(self.tag_set))
        self.clusters = nn.Linear(width, n_clusters) if n_clusters else None

    def loss(self, vectors: Tensor, tags: Tensor) -> Tensor:
        """Cross-entropy, summed over the tokens whose tag is known."""
        return cross_entropy(self.tags(vectors).float(), tags, ignore_index=UNSAID, reduction="sum")

    def probabilities(self, vectors: Tensor) -> EdgeProbabilities:
        """See ``edge_probabilities``."""
        return edge_probabilities(self.tags(vectors).float())

    def find(self, vectors: Tensor, known: Tensor, sizes: Sequence[int]) -> Iterator[Found]:
        """The spans that the best tag of each token spells, of windows of so many tokens."""
        tags = torch.where(known, self.tags(vectors).argmax(1), 0).tolist()
        for first, stop in _ranges(sizes):
            for start, end, label in self.tag_set.decode(tags[first:stop]):
                yield first + start, first + end, self.numbers[label]


ExtractionHead = Union[QueryHead, TagHead]


def edge_probabilities(logits: Tensor) -> EdgeProbabilities:
    """From the tags of K labels, ``(n, 4 K + 1)``: P(B) + P(S), and P(E) + P(S), of each label."""
    roles = list(SCHEMES[SCHEME].roles.values())
    tags = logits.softmax(1)[:, 1:].unflatten(1, (-1, len(roles)))
    begin, end, single = (tags[..., roles.index(role)] for role in (BEGIN, END, SINGLE))
    return EdgeProbabilities(begin + single, end + single)


class ExtractionLearner(Learner):
    """An encoder, and a head over the vectors of the first pieces of tokens.

    cluster_weights (Optional[Tensor]): float32 ``(K,)``, of each cluster in its loss; None: no
        clusters are taught.
    """

    head: ExtractionHead
    cluster_weights: Tensor

    def __init__(
        self,
        transformer: nn.Module,
        head: ExtractionHead,
        dropout: float = 0.0,
        cluster_weights: Optional[Tensor] = None,
    ) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = head
        self.dropout = dropout
        self.has_types = tells_parts_apart(transformer)
        self.register_buffer("cluster_weights", cluster_weights, persistent=False)

    def vectors(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """Of each token that is labelled, the vector of its first piece: ``(n, width)``."""
        types = {}
        if self.has_types and "token_type_ids" in tensors:
            types["token_type_ids"] = tensors["token_type_ids"]
        states = self.transformer(
            input_ids=tensors["input_ids"],
            attention_mask=tensors["attention_mask"],
            return_dict=True,
            **types,
        ).last_hidden_state
        return states.flatten(0, 1)[tensors["rows"]]

    def forward(self, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """``SPANS``, summed over tokens, and ``CLUSTERS``, over spans; shapes as of ``collate``."""
        vectors = self.vectors(tensors)
        dropped = dropout(vectors, self.dropout, self.training)
        losses = {SPANS: self.head.loss(dropped, tensors["tags"])}
        if self.head.clusters is not None:
            start, end, _, cluster = tensors["spans"][tensors["spans"][:, 3] >= 0].unbind(1)
            sums = sum_spans(vectors, start, end)
            logits = self.head.clusters(dropout(sums, self.dropout, self.training)).float()
            losses[CLUSTERS] = cluster_loss(logits, cluster, self.cluster_weights)
        return losses

    def measure(self, tensors: Dict[str, Tensor]) -> Tensor:
        """How many spans are predicted rightly, predicted, and gold: float64 ``(3,)``."""
        vectors, known = self.vectors(tensors), tensors["tags"] != UNSAID
        predicted = set(self.head.find(vectors, known, tensors["sizes"].tolist()))
        gold = {(start, end, label) for start, end, label, _ in tensors["spans"].tolist()}
        total = len(gold) + int(tensors["missed"].sum())
        return torch.tensor([len(gold & predicted), len(predicted), total], dtype=torch.float64)


def sum_spans(vectors: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """The sum, not the mean, of the vectors of each half-open span: float32 ``(m, width)``.

    vectors: ``(n, width)``; starts, ends: int64 ``(m,)``.
    """
    lengths = ends - starts
    spans = torch.arange(len(lengths), device=lengths.device)
    owner = spans.repeat_interleave(lengths)
    first = lengths.cumsum(0) - lengths
    member = torch.arange(len(owner), device=owner.device) + (starts - first)[owner]
    sums = vectors.new_zeros(len(lengths), vectors.shape[1], dtype=torch.float32)
    return sums.index_add(0, owner, vectors[member].float())


def cluster_loss(logits: Tensor, clusters: Tensor, weights: Tensor) -> Tensor:
    """M times the paper's equation 9: a weighted *sum*, to be divided by the number of spans.

    torch's own class weights would divide by the sum of the weights instead, in which any common
    factor of them cancels out.

    logits: ``(M, K)``; clusters: int64 ``(M,)``; weights: ``(K,)``.
    """
    return (weights[clusters] * cross_entropy(logits, clusters, reduction="none")).sum()


def _bit(tags: Tensor, bit: int) -> Tensor:
    """Whether a bit of each tag is set, 0 or 1; ``UNSAID`` stays."""
    return torch.where(tags == UNSAID, UNSAID, (tags & bit).ne(0).long())


def _ranges(sizes: Sequence[int]) -> List[Tuple[int, int]]:
    """The rows of each window."""
    stops = numpy.cumsum(sizes).tolist()
    return [(stop - size, stop) for size, stop in zip(sizes, stops, strict=True)]
