"""Cutting long sentences where a reader would pause."""

from typing import List, Sequence

import numpy

from ..types import SpanArray

PUNCTUATION = "。！？；，、：…!?;,.:"


def split_long(n: int, max_length: int, cut_after: Sequence[int]) -> SpanArray:
    """Cut a sentence of n tokens into pieces of at most max_length.

    Each piece ends after the last punctuation mark inside its window, where there is one, else at
    the window's end.

    cut_after: indices of the punctuation marks, ascending. RETURNS: int64 (n_pieces, 2), half-open;
        together they are [0, n).
    """
    marks = numpy.asarray(cut_after, dtype="int64")
    cuts: List[int] = [0]
    while n - cuts[-1] > max_length:
        window_end = cuts[-1] + max_length
        inside = marks[(marks >= cuts[-1]) & (marks < window_end)]
        cuts.append(int(inside[-1]) + 1 if len(inside) else window_end)
    if n:
        cuts.append(n)
    return numpy.stack([cuts[:-1], cuts[1:]], axis=1).astype("int64")


def punctuation_marks(words: Sequence[str], marks: str) -> List[int]:
    """Indices of the words that are one of the given characters."""
    return [i for i, word in enumerate(words) if len(word) == 1 and word in marks]
