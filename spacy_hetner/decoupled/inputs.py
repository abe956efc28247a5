"""What the two encoders of Decoupled NER read of a region, a half-open span of tokens.

The mention encoder reads the words of the region and nothing else, the context encoder all but
these. Neither may see a trace of the other's part, also not in where the tokenizer cuts: a word
that a region ends in is cut to pieces differently with the rest of it than without. So the parts
of a text are cut as if each stood alone. One pass over the whole text does for all its regions
wherever they end with words of the tokenizer, which cuts words independently of each other.
"""

from typing import Any, Dict, List, NamedTuple, Sequence, Tuple, Union

import numpy
from spacy.tokens import Doc

from ..encoders.pieces import doc_offsets, encode_texts, part_of_doc, special_pieces
from ..encoders.windows import share_room
from ..errors import Errors
from ..spans.batch import sentence_bounds
from ..types import SpanArray
from ..validation import check_count

Part = Union[str, numpy.ndarray]
"""A part of a text that is still to be cut to pieces, or its pieces."""


class RegionPieces(NamedTuple):
    """The pieces of the text before a region, of the region and of the text after: int64 each."""

    before: numpy.ndarray
    inside: numpy.ndarray
    after: numpy.ndarray


class DistinctRows(NamedTuple):
    """What one encoder reads of n regions, equal inputs once.

    rows: piece ids, special ones included, int64 each; places: int64 ``(len(rows),)``, the piece of
    each whose vector is wanted; row_of: int64 ``(n,)``, the row of each region.
    """

    rows: List[numpy.ndarray]
    places: numpy.ndarray
    row_of: numpy.ndarray


class RegionReader:
    """Cuts regions of texts to pieces, and makes inputs of them.

    tokenizer (Any): A fast Hugging Face tokenizer.
    capacity (int): Most pieces of an input, special ones around it not counted, masks counted.
    by_token (bool): Cut each token on its own rather than the running text.
    RAISES (ValueError): HE250 for a tokenizer without a mask piece, HE078 for a capacity below 1.
    """

    def __init__(self, tokenizer: Any, *, capacity: int, by_token: bool = False) -> None:
        if tokenizer.mask_token_id is None:
            raise ValueError(Errors.HE250.format(tokenizer=type(tokenizer).__name__))
        self.tokenizer = tokenizer
        self.mask = int(tokenizer.mask_token_id)
        self.capacity = check_count("capacity", capacity, 1)
        self.by_token = by_token
        self.prefix, self.suffix = special_pieces(tokenizer)

    def read(
        self,
        texts: Sequence[str],
        offsets: Sequence[numpy.ndarray],
        regions: Sequence[SpanArray],
    ) -> List[RegionPieces]:
        """The pieces of all regions, text after text.

        offsets: For each text the character ranges of its tokens, half-open, int ``(n_tokens, 2)``.
        regions: For each text half-open spans of tokens, int64 ``(n, 2)``, none empty.
        """
        cut = self._cut_tokens if self.by_token else self._cut_running
        return cut(texts, offsets, regions)

    def mention(self, pieces: RegionPieces) -> numpy.ndarray:
        """The mention encoder's input. Of a region beyond the capacity it has both ends."""
        return numpy.concatenate((self.prefix, self._fitting(pieces.inside), self.suffix))

    def context(self, pieces: RegionPieces, masks: int = 1) -> Tuple[numpy.ndarray, numpy.ndarray]:
        """The context encoder's input, and where its masks stand: int64 ``(masks,)``.

        One mask says nothing of the region's length. Where the text is longer than the capacity,
        the input is a window around the masks, in their middle as far as the text allows.

        RAISES (ValueError): HE251 for more masks than the capacity.
        """
        if masks > self.capacity:
            raise ValueError(Errors.HE251.format(masks=masks, capacity=self.capacity))
        room = self.capacity - masks
        left, right = share_room(len(pieces.before), len(pieces.after), room)
        before = pieces.before[len(pieces.before) - left :]
        hidden = numpy.full(masks, self.mask, dtype="int64")
        after = pieces.after[:right]
        ids = numpy.concatenate((self.prefix, before, hidden, after, self.suffix))
        return ids, len(self.prefix) + left + numpy.arange(masks)

    def masked_pieces(self, pieces: RegionPieces) -> Tuple[numpy.ndarray, ...]:
        """As ``context`` with a mask for each piece of the region, and these pieces, which are to
        be guessed: three arrays. Of a region beyond the capacity they are those of both ends."""
        targets = self._fitting(pieces.inside)
        return (*self.context(pieces, len(targets)), targets)

    def mentions(self, regions: Sequence[RegionPieces]) -> DistinctRows:
        """The mention encoder's inputs for some regions; the vector wanted is the first."""
        return _distinct([(self.mention(region), 0) for region in regions])

    def contexts(self, regions: Sequence[RegionPieces]) -> DistinctRows:
        """The context encoder's inputs for some regions, with one mask each, whose vector it is."""
        return _distinct([(ids, int(place)) for ids, (place,) in map(self.context, regions)])

    def _fitting(self, inside: numpy.ndarray) -> numpy.ndarray:
        if len(inside) <= self.capacity:
            return inside
        tail = self.capacity // 2
        kept = inside[: self.capacity - tail], inside[len(inside) - tail :]
        return numpy.concatenate(kept)

    def _cut_tokens(
        self,
        texts: Sequence[str],
        offsets: Sequence[numpy.ndarray],
        regions: Sequence[SpanArray],
    ) -> List[RegionPieces]:
        encoded = encode_texts(self.tokenizer, texts, offsets, literal=True)
        found = []
        for i, spans in enumerate(regions):
            ids = numpy.asarray(encoded["input_ids"][i], dtype="int64")
            token_of = numpy.asarray(encoded.word_ids(i), dtype="int64")
            for start, end in numpy.searchsorted(token_of, spans).tolist():
                found.append(RegionPieces(ids[:start], ids[start:end], ids[end:]))
        return found

    def _cut_running(
        self,
        texts: Sequence[str],
        offsets: Sequence[numpy.ndarray],
        regions: Sequence[SpanArray],
    ) -> List[RegionPieces]:
        encoded = encode_texts(self.tokenizer, texts, literal=True)
        parts: List[Part] = []
        for i, (text, ranges, spans) in enumerate(zip(texts, offsets, regions, strict=True)):
            whole = _Whole.of(encoded, i, text)
            for first, last in spans.tolist():
                start, end = int(ranges[first, 0]), int(ranges[last - 1, 1])
                parts += (whole.before(start), text[start:end], whole.after(end))
        unread = list(dict.fromkeys(part for part in parts if isinstance(part, str)))
        ids = encode_texts(self.tokenizer, unread, literal=True, placed=False)["input_ids"]
        read = {
            text: numpy.asarray(row, dtype="int64") for text, row in zip(unread, ids, strict=True)
        }
        pieces = [read[part] if isinstance(part, str) else part for part in parts]
        return [RegionPieces(*pieces[i : i + 3]) for i in range(0, len(pieces), 3)]


class _Whole(NamedTuple):
    """A text cut in one go. starts, ends, words: the characters and the word of each piece."""

    text: str
    ids: numpy.ndarray
    starts: numpy.ndarray
    ends: numpy.ndarray
    words: numpy.ndarray

    @classmethod
    def of(cls, encoded: Any, i: int, text: str) -> "_Whole":
        offsets = numpy.asarray(encoded["offset_mapping"][i], dtype="int64").reshape(-1, 2)
        ids = numpy.asarray(encoded["input_ids"][i], dtype="int64")
        words = numpy.asarray(encoded.word_ids(i), dtype="int64")
        return cls(text, ids, offsets[:, 0], offsets[:, 1], words)

    def before(self, char: int) -> Part:
        """What the text before a character is cut to on its own."""
        # Without blanks at its end: to some tokenizers they belong to the word behind them.
        text = self.text[:char].rstrip()
        n = int(numpy.searchsorted(self.ends, len(text), side="right"))
        return self.ids[:n] if self._parted(n, len(text)) else text

    def after(self, char: int) -> Part:
        """What the text from a character on is cut to on its own."""
        n = int(numpy.searchsorted(self.starts, char, side="left"))
        return self.ids[n:] if self._parted(n, char) else self.text[char:]

    def _parted(self, n: int, char: int) -> bool:
        """Whether neither a piece nor a word lies on both sides of a character, n pieces on."""
        if (n > 0 and self.ends[n - 1] > char) or (n < len(self.ids) and self.starts[n] < char):
            return False
        return not 0 < n < len(self.ids) or bool(self.words[n - 1] != self.words[n])


def read_docs(
    reader: RegionReader, docs: Sequence[Doc], spans: Sequence[SpanArray]
) -> List[RegionPieces]:
    """The pieces of spans of docs, int64 (n, 2) a doc, doc after doc, as they are given.

    Their text is the sentence, all that a span lies in, or the doc if it has no sentences.
    """
    texts: List[str] = []
    offsets: List[numpy.ndarray] = []
    regions: List[SpanArray] = []
    places: List[numpy.ndarray] = []
    for doc, own in zip(docs, spans, strict=True):
        if not len(own):
            continue
        chars, bounds = doc_offsets(doc), sentence_bounds(doc)
        sentences = numpy.searchsorted(bounds[:, 0], own - (0, 1), side="right") - 1
        ranges, text_of = numpy.unique(sentences, axis=0, return_inverse=True)
        first_place = sum(map(len, places))
        for i, (first, last) in enumerate(ranges.tolist()):
            start = bounds[first, 0]
            text, ranges_in_text = part_of_doc(doc, chars, start, bounds[last, 1])
            texts.append(text)
            offsets.append(ranges_in_text)
            inside = numpy.flatnonzero(text_of.reshape(-1) == i)
            regions.append(own[inside] - start)
            places.append(first_place + inside)
    read = reader.read(texts, offsets, regions)
    order = numpy.argsort(numpy.concatenate(places)) if places else ()
    return [read[i] for i in order]


def _distinct(inputs: Sequence[Tuple[numpy.ndarray, int]]) -> DistinctRows:
    """Rows of pieces with a place in each, equal ones once, in order of appearance."""
    numbers: Dict[Tuple[int, bytes], int] = {}
    keys = [(place, ids.tobytes()) for ids, place in inputs]
    row_of = numpy.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype="int64")
    firsts = [inputs[i] for i in numpy.unique(row_of, return_index=True)[1].tolist()]
    places = numpy.array([place for _, place in firsts], dtype="int64")
    return DistinctRows([ids for ids, _ in firsts], places, row_of)
