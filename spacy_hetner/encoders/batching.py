"""Batches of sequences of similar length: what keeps an encoder from computing on padding."""

from typing import List

import numpy

from ..validation import check_range


def length_buckets(
    lengths: numpy.ndarray, min_density: float, max_items: int
) -> List[numpy.ndarray]:
    """Group sequences so that every padded batch is mostly real.

    lengths: int ``(n,)``, each >= 1. In every bucket, real items / padded items >= ``min_density``
    and padded items <= ``max_items`` (a longer sequence is a bucket of its own), hence the same
    density holds over all buckets.

    RETURNS: index arrays that partition ``range(n)``, longest sequences first.
    RAISES (ValueError): HE002 where ``min_density`` is outside [0, 1].
    """
    check_range("min_density", min_density, 0, 1)
    order = numpy.argsort(-lengths, kind="stable")
    buckets: List[numpy.ndarray] = []
    begin = 0
    real = 0
    for i, index in enumerate(order):
        longest = lengths[order[begin]]
        padded = longest * (i - begin + 1)
        real += int(lengths[index])
        if i > begin and (padded > max_items or real < min_density * padded):
            buckets.append(order[begin:i])
            begin = i
            real = int(lengths[index])
    if len(order):
        buckets.append(order[begin:])
    return buckets


def grouped_buckets(
    lengths: numpy.ndarray, groups: numpy.ndarray, min_density: float, max_items: int
) -> List[numpy.ndarray]:
    """As ``length_buckets``, but the sequences of a group are one bucket, whatever its density, if
    their padded items are at most ``max_items``.

    groups: int ``(n,)``, the group of each sequence.
    """
    buckets: List[numpy.ndarray] = []
    others: List[numpy.ndarray] = []
    for group in numpy.unique(groups):
        members = numpy.flatnonzero(groups == group)
        members = members[numpy.argsort(-lengths[members], kind="stable")]
        fits = len(members) * lengths[members[0]] <= max_items
        (buckets if fits else others).append(members)
    if others:
        rest = numpy.concatenate(others)
        buckets += [
            rest[bucket] for bucket in length_buckets(lengths[rest], min_density, max_items)
        ]
    return buckets
