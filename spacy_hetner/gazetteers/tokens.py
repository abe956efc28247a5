"""Matching on tokens: entries whose two ends are boundaries of tokens."""

from itertools import pairwise
from typing import Dict, List, NamedTuple, Sequence, Tuple

import numpy

from ..types import SpanArray
from .gazetteer import Gazetteer
from .matcher import join, leftmost_longest, select

TokensAndSpaces = Tuple[Sequence[str], Sequence[bool]]
"""The tokens of a text, and whether a blank follows each."""


class TokenMatches(NamedTuple):
    """Entries found in one text, ordered by start and end.

    spans: int64 ``(n, 2)``, half-open token spans; entries: int64 ``(n,)``, numbers of entries.
    """

    spans: SpanArray
    entries: numpy.ndarray


def match_tokens(
    gazetteer: Gazetteer, texts: Sequence[TokensAndSpaces], *, overlapping: bool
) -> List[TokenMatches]:
    """Find the entries of a gazetteer in tokenised texts, at whole tokens only.

    texts (Sequence[TokensAndSpaces]): Tokens, and whether a blank follows each.
    overlapping (bool): All matches, or, among those at whole tokens, from left to right the
        longest that begins first.
    RETURNS (List[TokenMatches]): The matches of each text.
    """
    joined, bounds = join([_text_of(tokens, spaces) for tokens, spaces in texts])
    first_at, end_at = _boundaries(texts, bounds)
    found = gazetteer.matcher.find_at(joined, bounds, numpy.flatnonzero(first_at >= 0))
    found = select(found, end_at[found.ends] >= 0)
    if not overlapping:
        found = select(found, leftmost_longest(found.starts, found.ends))
    spans = numpy.stack([first_at[found.starts], end_at[found.ends]], axis=1)
    cuts = numpy.searchsorted(found.starts, bounds).tolist()
    return [
        TokenMatches(spans[start:end], found.entries[start:end]) for start, end in pairwise(cuts)
    ]


def _text_of(tokens: Sequence[str], spaces: Sequence[bool]) -> str:
    if not any(spaces):
        return "".join(tokens)
    return "".join([f"{t} " if space else t for t, space in zip(tokens, spaces, strict=True)])


def _boundaries(
    texts: Sequence[TokensAndSpaces], bounds: numpy.ndarray
) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """For each character of the joined texts the token that begins there, and the number of tokens
    up to one that ends before it; -1 where none does. Shape: (bounds[-1] + 1,) each.
    """
    counts = numpy.array([len(tokens) for tokens, _ in texts], dtype="int64")
    n = int(counts.sum())
    lengths = numpy.fromiter((len(t) for tokens, _ in texts for t in tokens), "int64", n)
    spaces = numpy.fromiter((space for _, spaces in texts for space in spaces), "int64", n)
    text_of = numpy.repeat(numpy.arange(len(texts)), counts)
    ends = numpy.cumsum(lengths + spaces) - spaces + text_of  # one character after each text
    numbers = numpy.arange(n) - (numpy.cumsum(counts) - counts)[text_of]
    real = lengths > 0
    first_at, end_at = numpy.full((2, int(bounds[-1]) + 1), -1, dtype="int64")
    first_at[(ends - lengths)[real]] = numbers[real]
    end_at[ends[real]] = numbers[real] + 1
    return first_at, end_at


def bmes_sets(spans: SpanArray, n: int) -> List[Dict[str, List[Tuple[int, int]]]]:
    """For each of ``n`` tokens the words that it begins (B), is inside of (M), ends (E), or is (S).

    spans: int64 ``(m, 2)``, the words, as ``match_tokens(..., overlapping=True)`` finds them.
    RETURNS (List[Dict[str, List[Tuple[int, int]]]]): For each token, the words by their letter, in
        the order given.
    """
    sets: List[Dict[str, List[Tuple[int, int]]]] = [
        {letter: [] for letter in "BMES"} for _ in range(n)
    ]
    for start, end in spans.tolist():
        letters = "S" if end - start == 1 else f"B{'M' * (end - start - 2)}E"
        for token, letter in enumerate(letters, start):
            sets[token][letter].append((start, end))
    return sets
