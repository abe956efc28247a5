"""Matching on characters: where the entries of a trie lie in texts, as arrays."""

from typing import Callable, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

import numpy

from .normalize import Normalizer
from .trie import Hits, Trie, code_points

_BATCH = 1 << 18  # characters of texts at a time: arrays that a processor's cache can hold
_WINDOW = 1 << 19  # places at a time: less than a batch has only where one text is longer


class Matches(NamedTuple):
    """Entries found in texts, ordered by text, start and end: int64 ``(n,)`` each.

    texts: The text's number; starts, ends: Characters of the text as it was given; entries: The
    entry's number.
    """

    texts: numpy.ndarray
    starts: numpy.ndarray
    ends: numpy.ndarray
    entries: numpy.ndarray


_Arrange = Callable[[Sequence[Hits], int], Matches]
"""Makes matches of hits, which come by length, those of one length by place."""


class Matcher:
    """Finds entries in texts.

    trie (Trie): The entries, normalised.
    normalizer (Normalizer): What is done to the texts.
    """

    def __init__(self, trie: Trie, normalizer: Normalizer) -> None:
        self._trie = trie
        self._codes = trie.codes[normalizer.table]

    def find_all(self, texts: Iterable[str]) -> Matches:
        """All entries in each text, those too that overlap or lie in one another."""
        return _concatenate(self.stream(texts, overlapping=True))

    def find_longest(self, texts: Iterable[str]) -> Matches:
        """From left to right the longest entry that begins first; it goes on after its end."""
        return _concatenate(self.stream(texts, overlapping=False))

    def stream(self, texts: Iterable[str], *, overlapping: bool) -> Iterator[Matches]:
        """The matches of a batch of texts at a time, in memory that does not grow with them.

        The texts are numbered through; the matches are those of ``find_all`` or ``find_longest``.
        """
        first = 0
        arrange = _in_order if overlapping else _longest_at_each_start
        for batch in _batches(texts):
            joined, bounds = join(batch)
            found = self._find(joined, bounds, _windows(len(joined)), arrange)
            if not overlapping:
                found = select(found, leftmost_longest(found.starts, found.ends))
            yield _by_text(found, bounds, first)
            first += len(batch)

    def find_at(self, joined: str, bounds: numpy.ndarray, places: numpy.ndarray) -> Matches:
        """All entries that begin at some places of texts that were put together by ``join``.

        places: int64 ``(n,)``, ascending, characters of the joined texts, as are the matches found.
        """
        parts = (places[start : start + _WINDOW] for start in range(0, len(places), _WINDOW))
        return self._find(joined, bounds, parts, _in_order)

    def _find(
        self,
        joined: str,
        bounds: numpy.ndarray,
        windows: Iterable[numpy.ndarray],
        arrange: _Arrange,
    ) -> Matches:
        codes = self._codes[code_points(joined)]
        codes[bounds[1:] - 1] = 0  # no entry goes over the end of a text
        return _concatenate(
            arrange(list(self._trie.walk(codes, places)), int(places[0])) for places in windows
        )


def join(texts: Sequence[str]) -> Tuple[str, numpy.ndarray]:
    """Put texts together, with one character after each.

    RETURNS: The joined text, and where each text begins in it, int64 ``(n + 1,)``, the end last.
    """
    lengths = numpy.fromiter(map(len, texts), dtype="int64", count=len(texts))
    return "\n".join([*texts, ""]), numpy.append(0, numpy.cumsum(lengths + 1))


def leftmost_longest(starts: numpy.ndarray, ends: numpy.ndarray) -> numpy.ndarray:
    """Choose matches from left to right, the longest where several begin, none that overlap.

    starts, ends: int64 ``(n,)``, ordered by start, then end.
    RETURNS: int64 ``(m,)``: the numbers of those chosen, ascending.
    """
    if not starts.size:
        return numpy.zeros(0, dtype="int64")
    longest = numpy.flatnonzero(numpy.append(starts[1:] != starts[:-1], True))
    starts, ends = starts[longest], ends[longest]
    # Where no match reaches over a start, the choice begins anew, whatever was chosen before: so
    # all these places are gone on from at once.
    reach = numpy.maximum.accumulate(ends)
    heads = numpy.append(True, starts[1:] >= reach[:-1])
    chosen = heads.copy()
    after = numpy.append(numpy.searchsorted(starts, ends), len(starts))
    heads = numpy.append(heads, True)
    current = after[numpy.flatnonzero(chosen)]
    while True:
        current = current[~heads[current]]
        if not current.size:
            return longest[chosen]
        chosen[current] = True
        current = after[current]


def select(matches: Matches, chosen: numpy.ndarray) -> Matches:
    """Some of the matches, by number or by a bool each."""
    return Matches(*(column[chosen] for column in matches))


def _batches(texts: Iterable[str]) -> Iterator[List[str]]:
    batch: List[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _windows(size: int) -> Iterator[numpy.ndarray]:
    for start in range(0, size, _WINDOW):
        yield numpy.arange(start, min(start + _WINDOW, size))


def _in_order(hits: Sequence[Hits], first: int) -> Matches:
    """Bring hits into the order of their starts by counting, which is faster than sorting.

    The hits come by length, and those of one length have each another start.
    """
    counts = numpy.zeros(_reach(hits, first), dtype="int64")
    for group in hits:
        counts[group.starts - first] += 1
    places = numpy.cumsum(counts)
    n = int(counts.sum())
    places -= counts
    starts, ends, entries = (numpy.empty(n, dtype="int64") for _ in range(3))
    for group in hits:
        local = group.starts - first
        rows = places[local]
        starts[rows], ends[rows], entries[rows] = (
            group.starts,
            group.starts + group.length,
            group.entries,
        )
        places[local] += 1
    return Matches(numpy.zeros(n, dtype="int64"), starts, ends, entries)


def _longest_at_each_start(hits: Sequence[Hits], first: int) -> Matches:
    """Of the hits that begin at one place the longest, which comes last."""
    lengths, entries = numpy.zeros((2, _reach(hits, first)), dtype="int64")
    for group in hits:
        lengths[group.starts - first] = group.length
        entries[group.starts - first] = group.entries
    local = numpy.flatnonzero(lengths)
    starts = local + first
    return Matches(numpy.zeros_like(local), starts, starts + lengths[local], entries[local])


def _reach(hits: Sequence[Hits], first: int) -> int:
    """How many places from ``first`` on include all starts."""
    return max((int(group.starts[-1]) - first + 1 for group in hits), default=0)


def _by_text(found: Matches, bounds: numpy.ndarray, first: int) -> Matches:
    """Turn offsets in a batch into offsets in its texts, which are numbered from ``first``."""
    counts = numpy.diff(numpy.searchsorted(found.starts, bounds))
    texts = numpy.repeat(numpy.arange(len(counts)), counts)
    base = bounds[texts]
    return Matches(texts + first, found.starts - base, found.ends - base, found.entries)


def _concatenate(parts: Iterable[Matches]) -> Matches:
    columns = list(zip(*parts, strict=True))
    if not columns:
        return Matches(*(numpy.zeros(0, dtype="int64") for _ in Matches._fields))
    return Matches(*map(numpy.concatenate, columns))
