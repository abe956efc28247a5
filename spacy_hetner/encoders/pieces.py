"""From docs to word pieces: tokenised once, cut into windows, aligned to tokens by offsets.

``read_pieces`` knows no docs: what is pre-trained on is cut by it as docs are later.
"""

import warnings
from itertools import pairwise
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy
from spacy.tokens import Doc

from ..errors import Warnings
from .alignment import PieceBatch, align_offsets
from .windows import Window, sentence_windows, strided_windows


class Pieces(NamedTuple):
    """The word pieces of a text, without special ones.

    ids: int64 ``(n_pieces,)``; link_token, link_piece: int64 ``(n_links,)``, ordered by token, then
    by piece: these share a character, or ``by_token`` the piece is one of the token's.
    """

    ids: numpy.ndarray
    link_token: numpy.ndarray
    link_piece: numpy.ndarray


def read_pieces(
    tokenizer: Any,
    texts: Sequence[str],
    offsets: Sequence[numpy.ndarray],
    *,
    by_token: bool = False,
) -> List[Pieces]:
    """Cut texts to pieces, and link these to the tokens.

    tokenizer (Any): A fast Hugging Face tokenizer.
    offsets (Sequence[numpy.ndarray]): For each text the character ranges of its tokens, half-open,
        int ``(n_tokens, 2)``; see ``token_offsets``.
    by_token (bool): Cut each token on its own rather than the running text.
    """
    encoded = encode_texts(tokenizer, texts, offsets if by_token else None)
    results = []
    for i, ranges in enumerate(offsets):
        ids = numpy.asarray(encoded["input_ids"][i], dtype="int64")
        if by_token:
            links = numpy.asarray(encoded.word_ids(i), dtype="int64"), numpy.arange(len(ids))
        else:
            pieces = numpy.asarray(encoded["offset_mapping"][i], dtype="int64").reshape(-1, 2)
            links = align_offsets(ranges, pieces)
        results.append(Pieces(ids, *links))
    return results


def encode_texts(
    tokenizer: Any,
    texts: Sequence[str],
    offsets: Optional[Sequence[numpy.ndarray]] = None,
    *,
    literal: bool = False,
    placed: bool = True,
) -> Any:
    """What a fast tokenizer makes of texts, without special pieces, as its library hands it over.

    offsets (Optional[Sequence[numpy.ndarray]]): Cut the tokens at these character ranges each on
        its own, so that ``word_ids`` are tokens; None: the running text, with ``offset_mapping``.
    literal (bool): Read the name of a special piece in a text, such as "[MASK]", as text.
    placed (bool): Give the ``offset_mapping``, which takes longer than to cut a short text.
    """
    inputs: Any = list(texts)
    if offsets is not None:
        inputs = [
            [text[start:end] for start, end in ranges.tolist()]
            for text, ranges in zip(texts, offsets, strict=True)
        ]
    if not inputs:  # Hugging Face tokenizers fail on an empty batch.
        return {"input_ids": []}
    return tokenizer(
        inputs,
        add_special_tokens=False,
        is_split_into_words=offsets is not None,
        return_offsets_mapping=placed and offsets is None,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
        **({"split_special_tokens": True} if literal else {}),
    )


def token_offsets(tokens: Sequence[str], spaces: Optional[Sequence[bool]] = None) -> numpy.ndarray:
    """The character range of each token in the text they make: half-open, int64 ``(n_tokens, 2)``.

    spaces (Optional[Sequence[bool]]): Whether a blank follows each token; None: it always does.
    """
    lengths = numpy.array([len(token) for token in tokens], dtype="int64")
    follows = numpy.ones(len(tokens), bool) if spaces is None else numpy.asarray(spaces, dtype=bool)
    starts = numpy.cumsum(lengths + follows) - lengths - follows
    return numpy.stack((starts, starts + lengths), axis=1)


def doc_offsets(doc: Doc) -> numpy.ndarray:
    """The character range of each token of a doc: half-open, int64 ``(n_tokens, 2)``."""
    offsets = doc.to_array(["IDX", "LENGTH"]).astype("int64")
    offsets[:, 1] += offsets[:, 0]
    return offsets


def part_of_doc(
    doc: Doc, offsets: numpy.ndarray, start: int, end: int
) -> Tuple[str, numpy.ndarray]:
    """The text of tokens [start, end) of a doc, and the character ranges of these in it.

    offsets: of all tokens, as ``doc_offsets`` gives them. There is at least one token.
    """
    begin = int(offsets[start, 0])
    return doc.text[begin : int(offsets[end - 1, 1])], offsets[start:end] - begin


def special_pieces(tokenizer: Any) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """The pieces that the tokenizer puts before and after a text: int64 each."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a", add_special_tokens=True)["input_ids"]
    at = next(i for i in range(len(whole)) if whole[i : i + len(plain)] == plain)
    return (
        numpy.asarray(whole[:at], dtype="int64"),
        numpy.asarray(whole[at + len(plain) :], dtype="int64"),
    )


def pair_pieces(tokenizer: Any) -> Tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """The pieces that the tokenizer puts before, between and after two texts: int64 each."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a", "a", add_special_tokens=True)["input_ids"]
    n = len(plain)
    at, again = (i for i in range(len(whole)) if whole[i : i + n] == plain)
    parts = whole[:at], whole[at + n : again], whole[again + n :]
    before, between, after = (numpy.asarray(part, dtype="int64") for part in parts)
    return before, between, after


def first_pieces(pieces: Pieces) -> Tuple[numpy.ndarray, numpy.ndarray]:
    """The tokens that have pieces, ascending, and the first piece of each: int64 ``(k,)`` each."""
    tokens, first_links = numpy.unique(pieces.link_token, return_index=True)
    return tokens, pieces.link_piece[first_links]


class PieceTokenizer:
    """Turns docs into a PieceBatch with a fast Hugging Face tokenizer.

    capacity: most pieces of text a window holds (special pieces not counted); overlap: pieces
    that neighbouring windows of a long doc share; context_sentences: -1 reads a doc as one
    running text, k >= 0 gives each sentence a window with k sentences on either side;
    by_token: tokenise each spaCy token on its own rather than the running text, which keeps
    tokens smaller than a word (the letters of a Latin word in character corpora) distinct.
    """

    def __init__(
        self,
        tokenizer: Any,
        *,
        capacity: int,
        overlap: int,
        context_sentences: int = -1,
        by_token: bool = False,
    ) -> None:
        self.tokenizer = tokenizer
        self.prefix, self.suffix = special_pieces(tokenizer)
        self.capacity = capacity
        self.overlap = overlap
        self.context_sentences = context_sentences
        self.by_token = by_token

    def __call__(self, docs: List[Doc]) -> PieceBatch:
        self._tell_unbounded(docs)
        window_ids: List[numpy.ndarray] = []
        windows_of_links: List[numpy.ndarray] = []
        rows_of_links: List[numpy.ndarray] = []
        tokens_of_links: List[numpy.ndarray] = []
        n_tokens = 0
        read = read_pieces(
            self.tokenizer,
            [doc.text for doc in docs],
            [doc_offsets(doc) for doc in docs],
            by_token=self.by_token,
        )
        for doc, (ids, link_token, link_piece) in zip(docs, read, strict=True):
            windows = self._windows(doc, len(ids), link_token, link_piece)
            window_of_piece = numpy.zeros(len(ids), dtype="int64")
            row_of_piece = numpy.zeros(len(ids), dtype="int64")
            for window in windows:
                kept = slice(window.keep_start, window.keep_end)
                window_of_piece[kept] = len(window_ids)
                row_of_piece[kept] = numpy.arange(
                    window.keep_start - window.start, window.keep_end - window.start
                ) + len(self.prefix)
                text_ids = ids[window.start : window.end]
                window_ids.append(numpy.concatenate((self.prefix, text_ids, self.suffix)))
            windows_of_links.append(window_of_piece[link_piece])
            rows_of_links.append(row_of_piece[link_piece])
            tokens_of_links.append(link_token + n_tokens)
            n_tokens += len(doc)
        return PieceBatch(
            window_ids=window_ids,
            link_window=_concatenate(windows_of_links),
            link_row=_concatenate(rows_of_links),
            link_token=_concatenate(tokens_of_links),
            n_tokens=n_tokens,
            doc_lengths=[len(doc) for doc in docs],
        )

    def _tell_unbounded(self, docs: List[Doc]) -> None:
        lost = 0 if self.context_sentences < 0 else sum(not _has_sentences(doc) for doc in docs)
        if lost:
            warnings.warn(Warnings.HW034.format(lost=lost, total=len(docs)), stacklevel=3)

    def _windows(
        self, doc: Doc, n_pieces: int, link_token: numpy.ndarray, link_piece: numpy.ndarray
    ) -> List[Window]:
        if self.context_sentences < 0 or not _has_sentences(doc):
            return strided_windows(0, n_pieces, self.capacity, self.overlap)
        # A sentence's pieces run from its first token's first piece to the next sentence's.
        firsts = numpy.searchsorted(link_token, [sent.start for sent in doc.sents])
        piece_at = numpy.append(link_piece, n_pieces)
        cuts = [0, *piece_at[firsts[1:]].tolist(), n_pieces]
        bounds = list(pairwise(cuts))
        return sentence_windows(bounds, self.context_sentences, self.capacity, self.overlap)


def _has_sentences(doc: Doc) -> bool:
    return doc.has_annotation("SENT_START")


def _concatenate(arrays: List[numpy.ndarray]) -> numpy.ndarray:
    return numpy.concatenate(arrays) if arrays else numpy.zeros(0, dtype="int64")
