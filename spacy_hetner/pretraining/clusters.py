"""Fine types by clustering (CoFEE, EMNLP 2020, section 3.4): the vectors of all mentions, some
millions of them, in a file that is mapped into memory and read in chunks.

Mini-batches find where the clusters are, and exact steps of Lloyd's algorithm end it.
"""

from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple

import numpy
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.spatial.distance import cdist
from sklearn.cluster import MiniBatchKMeans

from ..errors import Errors
from ..files import replacing
from ..types import PathLike
from ..validation import check_choice, check_count

FEATURES = ("raw", "l2", "whitened")
WEIGHTS = ("paper", "mean_softmax", "inverse", "none")
EPS = 1e-6
"""The variance of clusters that have none, such as those of one mention."""
_CHUNK_BYTES = 2**22
_BATCH = 4096


class Clustering(NamedTuple):
    """What belongs together.

    assignments: int32 ``(m,)``, the cluster of each vector, its nearest; centres: float64 ``(k,
    d)``; counts: int64 ``(k,)``; inertias: the sum of squared distances after each assignment.
    """

    assignments: numpy.ndarray
    centres: numpy.ndarray
    counts: numpy.ndarray
    inertias: List[float]


def cluster(
    vectors: numpy.ndarray,
    clusters: int,
    *,
    seed: int = 0,
    steps: int = 100,
    tolerance: float = 2e-4,
) -> Clustering:
    """k-means: mini-batches (Sculley 2010), then Lloyd's algorithm to its end.

    vectors: float ``(m, d)``, best a memory map; beyond it, memory is that of some chunks.
    clusters: K; where there are fewer vectors, as many as there are.
    steps, tolerance: See ``lloyd``.
    RAISES (ValueError): HE288 without vectors, HE078 for a number below 1.
    """
    k = min(check_count("clusters", clusters, 1), len(vectors))
    if not k:
        raise ValueError(Errors.HE288)
    batches = MiniBatchKMeans(
        k,
        init="k-means++",
        n_init=3,
        batch_size=_BATCH,
        compute_labels=False,
        random_state=seed,
    ).fit(vectors)
    return lloyd(vectors, batches.cluster_centers_, steps=steps, tolerance=tolerance)


def lloyd(
    vectors: numpy.ndarray, centres: numpy.ndarray, *, steps: int = 100, tolerance: float = 0.0
) -> Clustering:
    """Lloyd's algorithm, exact, in chunks.

    A vector belongs to the nearest centre, of equally near ones to the first. A cluster that has
    none keeps its centre.

    centres: ``(k, d)``, to begin with.
    steps (int): How often centres are moved, at most.
    tolerance (float): End also where a step lowers the inertia by less than this share of it. 0:
        only when no vector changes its cluster.
    """
    centres = numpy.asarray(centres, dtype="float64")
    assignments, sums, counts, inertia = _assign(vectors, centres)
    inertias = [inertia]
    for _ in range(steps):
        centres = numpy.where(counts[:, None], sums / numpy.maximum(counts, 1)[:, None], centres)
        before = assignments
        assignments, sums, counts, inertia = _assign(vectors, centres)
        inertias.append(inertia)
        gain = inertias[-2] - inertia
        if gain < tolerance * inertias[-2] or numpy.array_equal(assignments, before):
            break
    return Clustering(assignments, centres, counts, inertias)


def cluster_means(
    vectors: numpy.ndarray, assignments: numpy.ndarray, clusters: int
) -> numpy.ndarray:
    """The mean of each cluster's vectors: float64 ``(k, d)``, nan where it has none."""
    counts = numpy.bincount(assignments, minlength=clusters)
    sums = sum(
        _sum_up(chunk, assignments[rows], clusters).astype("float64")
        for rows, chunk in _chunks(vectors)
    )
    with numpy.errstate(invalid="ignore"):
        return sums / counts[:, None]


def cluster_variances(
    vectors: numpy.ndarray,
    assignments: numpy.ndarray,
    centres: numpy.ndarray,
    *,
    mean: bool = False,
) -> numpy.ndarray:
    """The sum of squared distances to the centre, or their mean: float64 ``(k,)``.

    Of a cluster without vectors it is nan.
    """
    k = len(centres)
    total = numpy.zeros(k)
    for rows, chunk in _chunks(vectors):
        found = assignments[rows]
        squares = numpy.square(chunk - centres[found]).sum(axis=1)
        total += numpy.bincount(found, squares, minlength=k)
    counts = numpy.bincount(assignments, minlength=k)
    with numpy.errstate(invalid="ignore"):
        return total / counts if mean else numpy.where(counts, total, numpy.nan)


def softmax_of_inverse(variances: numpy.ndarray, *, eps: float = EPS) -> numpy.ndarray:
    """CoFEE's weights of clusters, softmax(1 / V): float64 ``(k,)``, 0 for one without vectors.

    Finite for any V: one below ``eps`` counts as that, or rounding would decide between clusters
    of equal vectors; and the greatest 1 / V, which may be millions, is taken off before it becomes
    an exponent.
    """
    inverse = _inverse(variances, eps)
    powers = numpy.exp(inverse - inverse.max())
    return powers / powers.sum()


def cluster_weights(
    kind: str, vectors: numpy.ndarray, assignments: numpy.ndarray, centres: numpy.ndarray
) -> numpy.ndarray:
    """How much each cluster counts in the loss: float64 ``(k,)``, 0 for one without vectors.

    kind (str): ``paper``: softmax of 1 / V, where V is the sum of squared distances. Of hundreds of
        mentions that sum is so large that all weights are about 1 / K. ``mean_softmax``: V is their
        mean, which says something where vectors have length 1. ``inverse``: 1 / V of means, without
        softmax, scaled so that the mean over all mentions is 1, as in the weighted mean of the
        published code. ``none``: 1.
    RAISES (ValueError): HE004 for another kind.
    """
    check_choice("weights", kind, WEIGHTS)
    counts = numpy.bincount(assignments, minlength=len(centres))
    if kind == "none":
        return (counts > 0).astype("float64")
    variances = cluster_variances(vectors, assignments, centres, mean=kind != "paper")
    if kind != "inverse":
        return softmax_of_inverse(variances)
    inverse = numpy.maximum(_inverse(variances, EPS), 0.0)
    return inverse * counts.sum() / (inverse * counts).sum()


def match_clusters(centres: numpy.ndarray, earlier: numpy.ndarray) -> numpy.ndarray:
    """New numbers for clusters, so that each has that of the earlier one it most likely is.

    The sum of squared distances between those of one number is the smallest there is (the Hungarian
    algorithm). Clusters with a nan in their centre, on either side, take what is left.

    centres, earlier: ``(k, d)``.
    RETURNS: int64 ``(k,)``, a permutation: cluster i is to be ``numbers[i]``.
    """
    costs = cdist(centres, earlier, "sqeuclidean")
    known = costs[numpy.isfinite(costs)]
    costs = numpy.nan_to_num(costs, nan=known.max() * len(costs) + 1 if known.size else 1.0)
    return linear_sum_assignment(costs)[1]


def write_features(
    vectors: numpy.ndarray, path: PathLike, kind: str, *, dims: int = 128
) -> numpy.ndarray:
    """What is clustered, as a file that is mapped into memory.

    kind (str): ``l2``: vectors of length 1. ``whitened``: their ``dims`` greatest principal
        components, each divided by its spread, then of length 1, as in CoFEE's code.
    dims (int): At most so many; fewer where vectors spread in fewer directions.
    RETURNS: float32 ``(m, d)``, read-only.
    RAISES (ValueError): HE004 for another kind, HE078 for dims < 1.
    """
    check_choice("features", kind, FEATURES[1:])
    shift, project = None, None
    if kind == "whitened":
        shift, project = _whitening(vectors, check_count("dims", dims, 1))
    width = vectors.shape[1] if project is None else project.shape[1]
    with replacing(path) as partial:
        features = numpy.memmap(partial, "float32", "w+", shape=(len(vectors), width))
        for rows, chunk in _chunks(vectors):
            if project is not None:
                chunk = (chunk - shift) @ project
            lengths = numpy.linalg.norm(chunk, axis=1, keepdims=True)
            features[rows] = chunk / numpy.where(lengths, lengths, 1.0)
        features.flush()
        del features
    return read_vectors(path, width)


def read_vectors(path: PathLike, width: int) -> numpy.ndarray:
    """A file of float32 numbers as ``(m, width)``, mapped into memory, read-only.

    RAISES (ValueError): HE288 for an empty file.
    """
    if not Path(path).stat().st_size:
        raise ValueError(Errors.HE288)
    return numpy.memmap(path, "float32", "r").reshape(-1, width)


def _assign(
    vectors: numpy.ndarray, centres: numpy.ndarray
) -> Tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray, float]:
    """The nearest centre of each vector; sums and counts of the vectors of each; the inertia."""
    # Vectors of an encoder have much in common. Taken off, less of the numbers is lost in rounding.
    origin = centres.mean(axis=0).astype(vectors.dtype)
    moved = centres - origin
    towards = (-2 * moved.T).astype(vectors.dtype)
    norms = numpy.square(moved).sum(axis=1).astype(vectors.dtype)
    k = len(centres)
    assignments = numpy.empty(len(vectors), dtype="int32")
    sums = numpy.zeros(centres.shape)
    inertia = 0.0
    for rows, chunk in _chunks(vectors, origin):
        costs = chunk @ towards
        costs += norms
        found = costs.argmin(axis=1)
        nearest = costs[numpy.arange(len(chunk)), found] + numpy.einsum("ij,ij->i", chunk, chunk)
        inertia += float(numpy.maximum(nearest, 0).sum(dtype="float64"))
        sums += _sum_up(chunk, found, k)
        assignments[rows] = found
    counts = numpy.bincount(assignments, minlength=k)
    return assignments, sums + counts[:, None] * origin.astype("float64"), counts, inertia


def _sum_up(chunk: numpy.ndarray, assignments: numpy.ndarray, clusters: int) -> numpy.ndarray:
    """The sum of the vectors of each cluster: ``(k, d)``."""
    n = len(chunk)
    ones = numpy.ones(n, dtype=chunk.dtype)
    members = csr_matrix((ones, assignments, numpy.arange(n + 1)), shape=(n, clusters))
    return members.T @ chunk


def _chunks(
    vectors: numpy.ndarray, origin: Optional[numpy.ndarray] = None
) -> Iterator[Tuple[slice, numpy.ndarray]]:
    """Some vectors after the other, ``origin`` taken off, and which they are."""
    step = max(1, _CHUNK_BYTES // (vectors.shape[1] * vectors.itemsize))
    for start in range(0, len(vectors), step):
        rows = slice(start, start + step)
        chunk = numpy.asarray(vectors[rows])
        yield rows, chunk if origin is None else chunk - origin


def _inverse(variances: numpy.ndarray, eps: float) -> numpy.ndarray:
    """1 / V; -inf where there is no V."""
    known = numpy.nan_to_num(variances, nan=numpy.inf)
    return numpy.where(numpy.isnan(variances), -numpy.inf, 1 / numpy.maximum(known, eps))


def _whitening(vectors: numpy.ndarray, dims: int) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """The mean ``(d,)``, and the projection ``(d, dims)`` onto the principal components."""
    total = sum(chunk.sum(axis=0, dtype="float64") for _, chunk in _chunks(vectors))
    mean = total / len(vectors)
    width = vectors.shape[1]
    covariance = numpy.zeros((width, width))
    for _, chunk in _chunks(vectors, mean.astype(vectors.dtype)):
        covariance += chunk.T @ chunk
    spreads, components = numpy.linalg.eigh(covariance / len(vectors))
    spreads, components = spreads[::-1][:dims], components[:, ::-1][:, :dims]
    real = spreads > 1e-6 * max(spreads[0], 1e-30)
    real[0] = True
    scale = 1 / numpy.sqrt(numpy.maximum(spreads[real], 1e-30))
    return mean.astype("float32"), (components[:, real] * scale).astype("float32")
