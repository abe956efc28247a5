"""Class embeddings: one vector a class, from the mentions of the training part (spec 4.1).

Let M hold the vectors of a class's mentions, each the mean over the mention's characters, and u be
the first left singular vector of M, which is not centred. The class embedding is the mean over
the mentions after the part along u is taken off with weight alpha; since that is linear, it is
(I - alpha u u^T) mean(M). u is the first eigenvector of M M^T, a sum over mentions, so that
the mentions themselves are never kept.
"""

from typing import List, Sequence, Set

import numpy

from ..types import SpanArray

SCOPES = ("class", "shared")


class ClassEmbeddings:
    """Sums over mentions that are seen one batch after the other.

    labels: the classes. width: of the token vectors. scope: "class" for a u of each class, as the
    paper says, or "shared" for one u of all mentions. A u of its own is close to the class's mean,
    so that alpha shrinks the class embedding more than it turns it; what the classes share is
    taken off by the shared one. unique: count each mention text of a class once.
    """

    def __init__(self, labels: Sequence[str], width: int, scope: str, unique: bool = False) -> None:
        self.labels = list(labels)
        self.scope = scope
        self.counts = numpy.zeros(len(labels), dtype="int64")
        self._sums = numpy.zeros((len(labels), width))
        n_grams = len(labels) if scope == "class" else 1
        self._grams = numpy.zeros((n_grams, width, width))
        self._seen: List[Set[str]] | None = [set() for _ in labels] if unique else None

    def add(self, label: str, vectors: numpy.ndarray, texts: Sequence[str]) -> None:
        """Count mentions of a class: vectors (n_mentions, width), and the text of each."""
        number = self.labels.index(label)
        if self._seen is not None:
            seen, fresh = self._seen[number], []
            for place, text in enumerate(texts):
                if text not in seen:
                    fresh.append(place)
                    seen.add(text)
            vectors = vectors[fresh]
        vectors = vectors.astype("float64")
        self.counts[number] += len(vectors)
        self._sums[number] += vectors.sum(axis=0)
        self._grams[number if self.scope == "class" else 0] += vectors.T @ vectors

    def first_directions(self) -> numpy.ndarray:
        """u of each class, (n_labels, width), unit length; zero for a class without mentions."""
        # One after the other: all eigenvectors of all classes would be kept at once.
        directions = numpy.stack([numpy.linalg.eigh(gram)[1][:, -1] for gram in self._grams])
        directions = numpy.broadcast_to(directions, self._sums.shape)
        return numpy.where(self.counts[:, None] > 0, directions, 0.0)

    def embeddings(self, alpha: float) -> numpy.ndarray:
        """The class embeddings, float64 (n_labels, width); zero for a class without mentions."""
        means = self._sums / numpy.maximum(self.counts, 1)[:, None]
        if not alpha:
            return means
        u = self.first_directions()
        return means - alpha * (means * u).sum(axis=1, keepdims=True) * u


def mention_vectors(tokens: numpy.ndarray, spans: SpanArray) -> numpy.ndarray:
    """Mean token vectors of spans: tokens (n_tokens, width), spans (n, 2); returns (n, width)."""
    sums = numpy.concatenate(
        [numpy.zeros((1, tokens.shape[1])), tokens.astype("float64").cumsum(0)]
    )
    return (sums[spans[:, 1]] - sums[spans[:, 0]]) / (spans[:, 1] - spans[:, 0])[:, None]
