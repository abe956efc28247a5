"""What the encoder reads to answer a query on a text: [CLS] query [SEP] text [SEP].

A text is cut to pieces once, for all queries. One that is too long is read in windows that
overlap, and what is said of a token is said in one of them.
"""

from typing import Any, List, NamedTuple, Sequence

import numpy

from ..encoders.pieces import encode_texts, first_pieces, pair_pieces, read_pieces
from ..encoders.windows import strided_windows
from ..errors import Errors
from ..types import SpanArray
from ..validation import check_count
from .module import Pair


class TextPieces(NamedTuple):
    """The pieces of a text, without special ones.

    ids: int64 ``(n_pieces,)``; tokens: int64 ``(k,)``, those that have pieces, ascending; firsts:
    int64 ``(k,)``, the first piece of each.
    """

    ids: numpy.ndarray
    tokens: numpy.ndarray
    firsts: numpy.ndarray

    def narrow(self, spans: SpanArray) -> SpanArray:
        """Half-open spans, without tokens at their edges that have no pieces; what has no other
        token is left out. A start or an end of no piece could not be learned."""
        places = numpy.searchsorted(self.tokens, spans)
        first, last = places[places[:, 0] < places[:, 1]].T
        return numpy.stack((self.tokens[first], self.tokens[last - 1] + 1), axis=1)


class PairReader:
    """Cuts queries and texts to pieces, and makes inputs of them.

    tokenizer (Any): A fast Hugging Face tokenizer; its own template joins query and text.
    longest (int): Most pieces that the encoder reads at once, special ones counted.
    window (int): Most pieces of a text in an input; fewer where the query leaves no room for them.
    overlap (int): Pieces that neighbouring windows of a text share, in full windows; in shorter
        ones the same part of them.
    by_token (bool): Cut each token on its own rather than the running text.
    RAISES (ValueError): HE032 for windows that overlap wholly, HE078 for a window below 1.
    """

    def __init__(
        self, tokenizer: Any, *, longest: int, window: int, overlap: int, by_token: bool = False
    ) -> None:
        check_windows(window, overlap)
        self.tokenizer = tokenizer
        self.longest = longest
        self.window = window
        self.overlap = overlap
        self.by_token = by_token
        self.before, self.between, self.behind = pair_pieces(tokenizer)

    def read_query(self, query: str) -> numpy.ndarray:
        """What stands before the text in an input: int64, special pieces included.

        RAISES (ValueError): HE270 for a query that takes more than half of what the encoder reads.
        """
        (ids,) = encode_texts(self.tokenizer, [query], placed=False)["input_ids"]
        limit = self.longest // 2
        if len(ids) > limit:
            raise ValueError(Errors.HE270.format(query=query[:60], pieces=len(ids), limit=limit))
        return numpy.concatenate((self.before, numpy.array(ids, dtype="int64"), self.between))

    def read_texts(
        self, texts: Sequence[str], offsets: Sequence[numpy.ndarray]
    ) -> List[TextPieces]:
        """The pieces of texts.

        offsets: For each text the character ranges of its tokens, half-open, int ``(n_tokens, 2)``.
        """
        read = read_pieces(self.tokenizer, texts, offsets, by_token=self.by_token)
        return [TextPieces(pieces.ids, *first_pieces(pieces)) for pieces in read]

    def pairs(self, query: numpy.ndarray, text: TextPieces) -> List[Pair]:
        """The inputs of a text under a query of ``read_query``: one, or more if the text is long,
        or none if no token of it has pieces.
        """
        room = self.longest - len(query) - len(self.behind)
        capacity = min(self.window, room)
        overlap = self.overlap * capacity // self.window
        found = []
        for window in strided_windows(0, len(text.ids), capacity, overlap):
            kept = slice(*numpy.searchsorted(text.firsts, (window.keep_start, window.keep_end)))
            if kept.start < kept.stop:
                ids = numpy.concatenate((query, text.ids[window.start : window.end], self.behind))
                rows = text.firsts[kept] - window.start + len(query)
                found.append(Pair(ids, len(query), text.tokens[kept], rows))
        return found


def check_windows(window: int, overlap: int) -> None:
    """RAISES (ValueError): HE032 where windows overlap wholly; HE078 for a window below 1."""
    check_count("window", window, 1)
    if not 0 <= overlap < window:
        raise ValueError(Errors.HE032.format(capacity=window, overlap=overlap))
