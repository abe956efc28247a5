"""The encoder's input as arrays: pieces in windows, and the tokens that they belong to."""

from dataclasses import dataclass
from typing import List, Tuple

import numpy


@dataclass
class PieceBatch:
    """The encoder's input for a batch of docs.

    window_ids: one int64 array of piece ids a window, special pieces included.
    link_window, link_row, link_token: int64 ``(n_links,)``; each link says that the vector at row
        ``link_row`` of window ``link_window`` belongs to token ``link_token`` (counted over the
        whole batch). Links are ordered by token, then by piece. A token that the piece tokenizer
        swallows (some control characters) has no link.
    n_tokens: tokens in the batch; doc_lengths: tokens of each doc.
    """

    window_ids: List[numpy.ndarray]
    link_window: numpy.ndarray
    link_row: numpy.ndarray
    link_token: numpy.ndarray
    n_tokens: int
    doc_lengths: List[int]


def align_offsets(
    token_offsets: numpy.ndarray, piece_offsets: numpy.ndarray
) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """Link tokens to the pieces that share a character with them.

    token_offsets, piece_offsets: int ``(n, 2)``, half-open character ranges, in text order.
    RETURNS: ``(link_token, link_piece)``, int64 ``(n_links,)`` each, ordered by token.
    """
    first = numpy.searchsorted(piece_offsets[:, 1], token_offsets[:, 0], side="right")
    last = numpy.searchsorted(piece_offsets[:, 0], token_offsets[:, 1], side="left")
    return _expand_ranges(first, numpy.maximum(last - first, 0))


def _expand_ranges(
    first: numpy.ndarray, counts: numpy.ndarray
) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """Row i becomes the links (i, first[i]), (i, first[i] + 1), ... of length counts[i]."""
    owner = numpy.repeat(numpy.arange(len(first)), counts)
    before = numpy.cumsum(counts) - counts
    return owner, numpy.arange(len(owner)) - before[owner] + first[owner]
