"""The decoupled scorer as torch modules: an encoder of single pieces, and three classifiers."""

from collections import OrderedDict
from typing import Any, Callable, Hashable, List, NamedTuple, cast

import numpy
import torch
from torch import Tensor, nn

from ..encoders.module import PieceEncoder

Encode = Callable[["PieceRows"], Tensor]


class PieceRows(NamedTuple):
    """Rows of piece ids, int64 each, and of each the place whose vector is wanted, int64 (n,).

    lasting: whether the same rows are to be expected again, in another batch.
    """

    rows: List[numpy.ndarray]
    places: numpy.ndarray
    lasting: bool = False


class RowEncoder(PieceEncoder):
    """An encoder that gives one vector a row, that of a piece.

    cache_size: how many vectors of lasting rows are kept, when it is not trained.
    """

    def __init__(self, *, cache_size: int, **settings: Any) -> None:
        super().__init__(layers=1, **settings)
        self.cache = VectorCache(cache_size)

    def forward(self, batch: PieceRows) -> Tensor:
        """Shape: returns float32 (n_rows, width)."""
        if self.training or not batch.lasting:
            return self._vectors(batch)
        return self.cache.fetch(batch, self._vectors, self.revision)

    def _vectors(self, batch: PieceRows) -> Tensor:
        if not batch.rows:
            width = cast(Any, self.transformer).config.hidden_size
            return torch.zeros(0, width, device=self.device)
        order: List[numpy.ndarray] = []
        vectors: List[Tensor] = []
        for bucket, states in self.encode(batch.rows):
            rows = torch.arange(len(bucket), device=states.device)
            vectors.append(states[rows, torch.from_numpy(batch.places[bucket]).to(states.device)])
            order.append(bucket)
        place = torch.from_numpy(numpy.argsort(numpy.concatenate(order)))
        joined = torch.cat(vectors)
        return joined[place.to(joined.device)]


class VectorCache:
    """The vectors of the rows that were asked for last: exact, bounded, of one state of an encoder.

    size: the most rows. asked, hits: how many distinct rows were asked for, and were there.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked = 0
        self.hits = 0
        self._slots: OrderedDict[Hashable, int] = OrderedDict()
        self._table = torch.empty(0)
        self._revision = -1

    def __len__(self) -> int:
        return len(self._slots)

    def clear(self) -> None:
        """Forget all vectors."""
        self._slots.clear()
        self._table = torch.empty(0)

    def fetch(self, batch: PieceRows, encode: Encode, revision: int) -> Tensor:
        """The vectors of distinct rows, (n, width); ``encode`` is asked for those not known.

        revision: of the encoder's weights. Vectors of another one are forgotten.
        """
        if revision != self._revision:
            self.clear()
            self._revision = revision
        keys = [
            (place, row.tobytes())
            for place, row in zip(batch.places.tolist(), batch.rows, strict=True)
        ]
        slots = [self._slots.get(key, -1) for key in keys]
        known = [i for i, slot in enumerate(slots) if slot >= 0]
        new = [i for i, slot in enumerate(slots) if slot < 0]
        self.asked += len(keys)
        self.hits += len(known)
        # Taken out before others take their places.
        kept = self._table[[slots[i] for i in known]] if known else None
        for i in known:
            self._slots.move_to_end(keys[i])
        if kept is not None and not new:
            return kept
        fresh = encode(PieceRows([batch.rows[i] for i in new], batch.places[new]))
        self._store([keys[i] for i in new], fresh.detach())
        if kept is None:
            return fresh
        vectors = fresh.new_empty(len(keys), fresh.shape[1])
        vectors[known], vectors[new] = kept, fresh
        return vectors

    def _store(self, keys: List[Hashable], vectors: Tensor) -> None:
        """Keep the last vectors, (n, width), in the place of those not asked for the longest."""
        if not self.size:
            return
        keys, vectors = keys[-self.size :], vectors[-self.size :]
        if not self._slots:
            self._table = vectors.new_empty(self.size, vectors.shape[1])
        slots = []
        for key in keys:
            full = len(self._slots) == self.size
            slot = self._slots.popitem(last=False)[1] if full else len(self._slots)
            self._slots[key] = slot
            slots.append(slot)
        self._table[slots] = vectors


class Logits(NamedTuple):
    """What the classifiers say of n regions, none at 0: (n, n_labels + 1) each."""

    both: Any
    mention: Any
    context: Any


class DecoupledHead(nn.Module):
    """A classifier of mention and context, and for either alone one without a bias."""

    def __init__(
        self, mention_width: int, context_width: int, n_labels: int, dropout: float
    ) -> None:
        super().__init__()
        self.settings = {
            "mention_width": mention_width,
            "context_width": context_width,
            "n_labels": n_labels,
            "dropout": dropout,
        }
        self.dropout = nn.Dropout(dropout)
        self.both = nn.Linear(mention_width + context_width, n_labels + 1)
        self.mention = nn.Linear(mention_width, n_labels + 1, bias=False)
        self.context = nn.Linear(context_width, n_labels + 1, bias=False)

    def forward(self, mentions: Tensor, contexts: Tensor) -> Logits:
        """Shape: mentions (n, mention_width), contexts (n, context_width)."""
        mentions, contexts = self.dropout(mentions), self.dropout(contexts)
        both = self.both(torch.cat((mentions, contexts), dim=1))
        return Logits(both, self.mention(mentions), self.context(contexts))
