"""A trie of dictionary entries in three arrays, walked for all places of a text at once.

Each edge of the trie lies in one open-addressed hash table under (parent, character); the slot of
an edge is the number of the node that it leads to. A walk takes all places of a text one character
further at a time and drops those that begin no entry, so that it costs a few array operations for
each length, and almost nothing once few places are left.

Why not a library's Aho-Corasick automaton: those that can be had from Python hand out a tuple a
match, which costs more than to find it, and cannot be told where entries may begin, which tokens
do. Beside daachorse 0.5, the fastest of them, in one process on Chinese characters: 0.7 to 0.9
times as fast at 10 matches a hundred characters, 1.4 times at 90, 2.6 times once its matches are
arrays too (``benchmarks/gazetteer.py``). On English characters, most of which begin some name, it
is 2.5 times as fast as this; on English tokens, as names are looked for there, this is 1.4 times
as fast as it.
One trie serves both ways of matching, and there is nothing compiled to install.
"""

from typing import Dict, Iterator, NamedTuple, Sequence

import numpy

_FREE, _ROOT = -1, -2
_MULTIPLIER = numpy.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Fibonacci hashing
CODE_POINTS = 0x110000


class Hits(NamedTuple):
    """Entries of one length that begin at some places, in their order.

    length (int): In characters; starts: int64 ``(n,)``; entries: int32 ``(n,)``.
    """

    length: int
    starts: numpy.ndarray
    entries: numpy.ndarray


def code_points(text: str) -> numpy.ndarray:
    """The characters of a text as numbers, uint32 ``(n,)``; also halves of surrogate pairs."""
    return numpy.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


class Trie:
    """The entries of a dictionary, numbered in their order.

    Characters are given as codes: ``codes[code point]``, 0 for what is in no entry.

    alphabet: uint32 ``(n_codes - 1,)``, the code points that have a code, ascending.
    edges: int64 ``(size,)``, parent * n_codes + code of the edge in each slot.
    entries: int32 ``(size,)``, the entry that ends at each node, or -1.
    """

    def __init__(
        self, alphabet: numpy.ndarray, edges: numpy.ndarray, entries: numpy.ndarray
    ) -> None:
        self.alphabet = alphabet
        self.codes = numpy.zeros(CODE_POINTS, dtype="int32")
        self.codes[alphabet] = numpy.arange(1, len(alphabet) + 1)
        self._n_codes = len(alphabet) + 1
        self._edges = edges
        self._entries = entries
        self._shift = numpy.uint64(65 - len(edges).bit_length())
        root = numpy.zeros(self._n_codes, dtype="int64")
        self._first = self._children(root, numpy.arange(self._n_codes))

    @classmethod
    def build(cls, surfaces: Sequence[str]) -> "Trie":
        """Build the trie of entries that are unique, not empty and in ascending order."""
        flat = code_points("".join(surfaces))
        lengths = numpy.fromiter(map(len, surfaces), dtype="int64", count=len(surfaces))
        alphabet = numpy.unique(flat)
        codes = numpy.searchsorted(alphabet, flat) + 1
        starts = numpy.cumsum(lengths) - lengths
        shared = _shared_prefixes(codes, starts, lengths)
        # At most half full, so that few look-ups have to go on to a second slot.
        size = 1 << int(2 * (lengths - shared).sum() + 1).bit_length()
        edges = numpy.full(size, _FREE, dtype="int64")
        edges[0] = _ROOT
        trie = cls(alphabet, edges, numpy.full(size, -1, dtype="int32"))
        trie._insert(codes, starts, lengths, shared)
        return cls(alphabet, edges, trie._entries)

    def to_arrays(self) -> Dict[str, numpy.ndarray]:
        """The trie as arrays, without free slots."""
        slots = numpy.flatnonzero(self._edges >= 0)
        return {
            "alphabet": self.alphabet,
            "size": numpy.array([len(self._edges)]),
            "slots": slots.astype("int32"),
            "edges": self._edges[slots],
            "entries": self._entries[slots],
        }

    @classmethod
    def from_arrays(cls, arrays: Dict[str, numpy.ndarray]) -> "Trie":
        """The trie that ``to_arrays`` gave; ValueError or KeyError where it cannot be one."""
        size, slots = int(arrays["size"][0]), arrays["slots"]
        power_of_two = size > 1 and size & (size - 1) == 0
        if not power_of_two or 2 * len(slots) > size or slots.min(initial=1) < 1:
            raise ValueError("the table of edges is damaged")
        edges = numpy.full(size, _FREE, dtype="int64")
        edges[0] = _ROOT
        entries = numpy.full(size, -1, dtype="int32")
        edges[slots], entries[slots] = arrays["edges"], arrays["entries"]
        return cls(arrays["alphabet"], edges, entries)

    def walk(self, codes: numpy.ndarray, places: numpy.ndarray) -> Iterator[Hits]:
        """Find all entries that begin at some places, shorter ones first.

        codes: int ``(n,)``, the last one 0, as must be one after each text: no entry goes over it.
        places: int64 ``(m,)``, ascending.
        """
        nodes = self._first[codes[places]]
        alive = numpy.flatnonzero(nodes)
        nodes, places = nodes[alive], places[alive]
        length = 1
        while places.size:
            entries = self._entries[nodes]
            ends = numpy.flatnonzero(entries >= 0)
            if ends.size:
                yield Hits(length, places[ends], entries[ends])
            nodes = self._children(nodes, codes[places + length])
            alive = numpy.flatnonzero(nodes)
            nodes, places = nodes[alive], places[alive]
            length += 1

    def _children(self, nodes: numpy.ndarray, codes: numpy.ndarray) -> numpy.ndarray:
        """The node after each node by a code, 0 where there is none. Shape: (n,), (n,) -> (n,)."""
        wanted = nodes * self._n_codes + codes
        slots = self._slots(wanted)
        found = self._edges[slots]
        other = numpy.flatnonzero((found != wanted) & (found != _FREE))
        while other.size:
            slots[other] = (slots[other] + 1) & (len(self._edges) - 1)
            found[other] = self._edges[slots[other]]
            other = other[(found[other] != wanted[other]) & (found[other] != _FREE)]
        slots[found == _FREE] = 0
        return slots

    def _slots(self, edges: numpy.ndarray) -> numpy.ndarray:
        """Where to begin to look for edges: the highest bits of a product."""
        return ((edges.view("uint64") * _MULTIPLIER) >> self._shift).view("int64")

    def _insert(
        self,
        codes: numpy.ndarray,
        starts: numpy.ndarray,
        lengths: numpy.ndarray,
        shared: numpy.ndarray,
    ) -> None:
        """Insert all entries, one character further at a time."""
        nodes = numpy.zeros(len(lengths), dtype="int64")
        for depth in range(int(lengths.max(initial=0))):
            rows = numpy.flatnonzero(lengths > depth)
            new = shared[rows] <= depth
            edges = nodes[rows] * self._n_codes + codes[starts[rows] + depth]
            nodes[rows] = self._place(edges[new])[numpy.cumsum(new) - 1]
            ends = rows[lengths[rows] == depth + 1]
            self._entries[nodes[ends]] = ends

    def _place(self, edges: numpy.ndarray) -> numpy.ndarray:
        """Give each of some new edges a slot of its own. Shape: (n,) -> (n,)."""
        slots = self._slots(edges)
        todo = numpy.arange(len(edges))
        while todo.size:
            free = todo[self._edges[slots[todo]] == _FREE]
            self._edges[slots[free]] = edges[free]  # where several want one slot, one gets it
            todo = todo[self._edges[slots[todo]] != edges[todo]]
            slots[todo] = (slots[todo] + 1) & (len(self._edges) - 1)
        return slots


def _shared_prefixes(
    codes: numpy.ndarray, starts: numpy.ndarray, lengths: numpy.ndarray
) -> numpy.ndarray:
    """How many first characters each entry has in common with the one before it."""
    shared = numpy.zeros(len(lengths), dtype="int64")
    rows, depth = numpy.arange(1, len(lengths)), 0
    while rows.size:
        rows = rows[numpy.minimum(lengths[rows], lengths[rows - 1]) > depth]
        rows = rows[codes[starts[rows] + depth] == codes[starts[rows - 1] + depth]]
        shared[rows] += 1
        depth += 1
    return shared
