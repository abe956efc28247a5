"""Titles as numbers, so that tables of some ten million pages are arrays."""

import hashlib
from typing import Iterable

import numpy


def hash_titles(titles: Iterable[str]) -> numpy.ndarray:
    """Two independent hashes of each title, the same on every machine.

    The first is the key that tables are sorted by. Of n titles, some n²/2⁶⁵ pairs share it by
    chance (one in a hundred thousand tables of 20 million); the second shows where that happens.

    RETURNS (numpy.ndarray): uint64 ``(n, 2)``.
    """
    digests = bytearray()
    for title in titles:
        digests += hashlib.blake2b(title.encode("utf8"), digest_size=16).digest()
    return numpy.frombuffer(bytes(digests), dtype="<u8").astype("uint64", copy=False).reshape(-1, 2)


def find_keys(table: numpy.ndarray, keys: numpy.ndarray) -> numpy.ndarray:
    """Where keys stand in a sorted table without repetitions.

    table: uint64 ``(m,)``; keys: uint64 ``(n,)``.
    RETURNS (numpy.ndarray): int64 ``(n,)``, -1 for a key that the table lacks.
    """
    if not len(table):
        return numpy.full(len(keys), -1, dtype="int64")
    places = numpy.minimum(numpy.searchsorted(table, keys), len(table) - 1)
    return numpy.where(table[places] == keys, places, -1)
