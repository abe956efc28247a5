"""BERT's objective: to guess pieces that are hidden (arXiv 1810.04805, section 3.1, task 1).

It needs text only, so that an encoder can be made familiar with a domain (arXiv 2004.10964). All
pieces of a word can be hidden together, for Chinese too, where a word takes a segmenter to find
(arXiv 1906.08101); one piece is then not given away by the others.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import (
    Any,
    ClassVar,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import numpy
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ...candidates.segmenters import SEGMENTERS, Segmenter, load_segmenter
from ...corpora.records import Record
from ...corpora.steps import DROPPED
from ...encoders.pieces import Pieces, read_pieces, token_offsets
from ...engine.task import Counts, Shard
from ...errors import Errors
from ...types import PathLike
from ...validation import check_choice, check_count, check_range
from .objective import Batch, Instance, Learner, Objective, instance_schema
from .piece_head import PieceHead, input_embeddings
from .reading import PieceReader, pad, special_ids, stored_records, to_batch

OFF, TOKENS = "off", "tokens"
WHOLE_WORDS = (OFF, TOKENS, *SEGMENTERS)
"""What a word is: each piece, a token of the record, or what a segmenter says."""

UNMASKED = -1
"""In ``words``: a special piece, which is never to be guessed."""

TOTALS, BY_TOKENS = "totals", "tokens taken for words"
EMPTY = "text without pieces"
NOTHING_TO_GUESS = "window of special pieces only, such as [UNK]"
CHANGED = "text that the segmenter changed"

_ROUNDING = 1e-9
_MOST_EXPONENT = 700.0  # of what a float can hold


@dataclass(frozen=True)
class MaskedLanguageModelling(Objective):
    """Hidden pieces are guessed from those around them (BERT, https://arxiv.org/abs/1810.04805).

    For the settings see ``make_masked_language_modelling``.
    """

    share: float = 0.15
    masked: float = 0.8
    random: float = 0.1
    whole_words: str = OFF
    model: str = ""
    by_token: bool = False
    max_pieces: int = 256

    name: ClassVar[str] = "masked_language_modelling"
    score: ClassVar[str] = "accuracy"

    def __post_init__(self) -> None:
        for name in ("share", "masked", "random"):
            check_range(name, getattr(self, name), 0, 1)
        check_choice("whole_words", self.whole_words, WHOLE_WORDS)
        check_count("max_pieces", self.max_pieces, 1)
        if self.masked + self.random > 1 + _ROUNDING:
            raise ValueError(Errors.HE242.format(masked=self.masked, random=self.random))

    def inspect(self, train: Sequence[PathLike]) -> Dict[str, Any]:
        """Nothing: the head must know no more than the encoder says."""
        return {}

    def task(self, encoder: PathLike, facts: Mapping[str, Any]) -> "MaskingTask":
        """See ``MaskingTask``."""
        return MaskingTask(
            str(encoder), self.whole_words, self.model, self.by_token, self.max_pieces
        )

    def learner(self, transformer: nn.Module, facts: Mapping[str, Any]) -> "MaskedLanguageModel":
        """See ``MaskedLanguageModel``."""
        return MaskedLanguageModel(transformer)

    def collate(self, rows: List[Instance], rng: numpy.random.Generator) -> Batch:
        """Pad instances, and hide pieces.

        ``input_ids``, ``attention_mask``: ``(b, longest)``; ``rows``, ``labels``: ``(n,)``, of each
        piece to guess its place in the flat ``input_ids``, and what it was.
        """
        padded = pad([row["pieces"] for row in rows])
        mask, ids = padded["attention_mask"], padded["input_ids"].view(-1)
        places = mask.view(-1).nonzero().squeeze(1)  # of all pieces, one window after the other
        chosen = choose_pieces([row["words"] for row in rows], self.share, rng)
        hidden = places[torch.from_numpy(chosen)]
        labels = ids[hidden]
        ids[hidden] = torch.from_numpy(self._hide(labels.numpy(), rows[0]["vocabulary"], rng))
        tensors = {**padded, "rows": hidden, "labels": labels}
        return Batch(tensors, {self.name: float(len(labels))}, len(places), mask.numel())

    def _hide(
        self, pieces: numpy.ndarray, vocabulary: numpy.ndarray, rng: numpy.random.Generator
    ) -> numpy.ndarray:
        """What stands in the place of each piece; ``vocabulary`` as in the instances."""
        fates = rng.random(len(pieces))
        mask, ranges = vocabulary[0], vocabulary[1:].reshape(-1, 2).astype("int64")
        sizes = ranges[:, 1] - ranges[:, 0]
        ends = numpy.cumsum(sizes)
        drawn = rng.integers(ends[-1], size=len(pieces))
        range_of = numpy.searchsorted(ends, drawn, side="right")
        others = ranges[range_of, 1] - ends[range_of] + drawn
        kinds = [fates < self.masked, fates < self.masked + self.random]
        return numpy.select(kinds, [mask, others], pieces)

    def scores(self, statistics: numpy.ndarray) -> Dict[str, float]:
        """``accuracy``: the share of pieces guessed rightly; ``perplexity``: e to the mean loss."""
        right, total, loss = statistics.tolist()
        exponent = min(loss / max(total, 1), _MOST_EXPONENT)
        return {"accuracy": right / max(total, 1), "perplexity": float(numpy.exp(exponent))}

    def head_record(self, facts: Mapping[str, Any]) -> Dict[str, Any]:
        """The outputs are scores of the pieces of the vocabulary, of each piece that is read."""
        return {
            "objective": self.name,
            "layers": ["dense", "the encoder's activation", "norm", "decoder"],
            "decoder": "the encoder's input embeddings, and bias",
        }


def make_masked_language_modelling(
    *,
    share: float = 0.15,
    masked: float = 0.8,
    random: float = 0.1,
    whole_words: str = OFF,
    model: str = "",
    by_token: bool = False,
    max_pieces: int = 256,
) -> MaskedLanguageModelling:
    """Teach an encoder to guess hidden pieces of a text, as BERT does.

    share (float): Of the pieces of a text, how many are to be guessed; at least one is.
    masked, random (float): Of these, how many are replaced by the mask piece, and by any other; the
        rest stays as it is.
    whole_words (str): What is hidden together: "off", single pieces; "tokens", the pieces of a
        token; or the pieces of a word by "lac", "jieba" or "pkuseg".
    model (str): The model of the segmenter; by default its own. pkuseg brings none: a folder.
    by_token (bool): Tokenise each token on its own; take what the encoder will be used with. A word
        then has whole tokens only: it has those that begin in it.
    max_pieces (int): Most pieces of a text that are read at once, special ones not counted. A
        longer one is cut between words into parts of about one length.
    RAISES (ValueError): HE002, HE004, HE078, HE242 for values that make no sense.
    """
    return MaskedLanguageModelling(share, masked, random, whole_words, model, by_token, max_pieces)


def choose_pieces(
    words: Sequence[numpy.ndarray], share: float, rng: numpy.random.Generator
) -> numpy.ndarray:
    """Draw the pieces to be guessed, in each window so many of its words that their pieces are, in
    the mean, the share of its pieces; at least one word, though it be more.

    words: For each window the word of each piece, int ``(n_pieces,)``: 0, 1, 2, ... or UNMASKED.
        Each window has a word.
    RETURNS: bool, one for each piece of all windows.
    """
    n_words = numpy.array([window.max() + 1 for window in words])
    firsts = numpy.cumsum(n_words) - n_words
    flat = numpy.concatenate(
        [
            numpy.where(window >= 0, window + first, UNMASKED)
            for window, first in zip(words, firsts.tolist(), strict=True)
        ]
    )
    sizes = numpy.bincount(flat[flat >= 0], minlength=n_words.sum())
    window_of = numpy.repeat(numpy.arange(len(words)), n_words)
    order = numpy.lexsort((rng.random(len(sizes)), window_of))
    totals = numpy.add.reduceat(sizes, firsts)
    drawn = sizes[order]
    before = numpy.cumsum(drawn) - drawn - numpy.repeat(numpy.cumsum(totals) - totals, n_words)
    # The word that crosses the share is in as often as makes the mean right.
    luck = rng.random(len(words))[window_of]
    chosen = numpy.zeros(len(sizes) + 1, dtype=bool)  # the last for pieces of no word
    chosen[order] = (before + luck * drawn < share * totals[window_of]) | (before == 0)
    return chosen[flat]


class MaskedLanguageModel(Learner):
    """Encoder - dense - activation - LayerNorm - the encoder's input embeddings - softmax.

    RAISES (ValueError): HE241 for an encoder without a table of input embeddings.
    """

    head: PieceHead

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = PieceHead(transformer.config, *input_embeddings(transformer).shape)

    def forward(self, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Cross-entropy of the hidden pieces, summed; see ``collate`` for shapes."""
        loss = cross_entropy(self._logits(tensors), tensors["labels"], reduction="sum")
        return {MaskedLanguageModelling.name: loss}

    def measure(self, tensors: Dict[str, Tensor]) -> Tensor:
        """How many pieces are guessed rightly, how many there are, and the sum of their losses."""
        logits, labels = self._logits(tensors), tensors["labels"]
        right = (logits.argmax(1) == labels).sum()
        loss = cross_entropy(logits, labels, reduction="sum")
        return torch.stack([right.double(), right.new_tensor(len(labels)).double(), loss.double()])

    def _logits(self, tensors: Dict[str, Tensor]) -> Tensor:
        hidden = self.encode(tensors).flatten(0, 1)[tensors["rows"]]
        return self.head.logits(hidden, self.transformer)


@dataclass(frozen=True)
class MaskingTask:
    """From a shard of records to instances: the windows of each record.

    ``pieces``: all that the encoder reads, special ones included; ``words``: of each of them the
    number of its word in the window, or UNMASKED; ``vocabulary``: the mask piece, and begin and end
    of each range of pieces that are not special.

    A piece is in the word of its first character. What is in no word, such as white space, is
    in the word that follows.
    """

    encoder: str
    whole_words: str
    model: str
    by_token: bool
    max_pieces: int

    schema: ClassVar[pa.Schema] = instance_schema("pieces", "words", "vocabulary")

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the instances of a shard.

        Raises ValueError: HE240 for an encoder without a mask piece, HE243 for a text that the
        segmenter fails at, and as ``load_segmenter`` and ``PieceReader`` do.
        """
        cutter = _Cutter(self, counts)
        for records in stored_records(shard, counts):
            yield to_batch(cutter.cut(records), self.schema)


class Vocabulary(NamedTuple):
    """special: the pieces that are never guessed; entry: as the instances have it."""

    special: numpy.ndarray
    entry: numpy.ndarray


class _Cutter:
    """Cuts records to instances, and counts what is lost."""

    def __init__(self, task: MaskingTask, counts: Counts) -> None:
        self.read = PieceReader(task.encoder, by_token=task.by_token, max_pieces=task.max_pieces)
        self.vocabulary = _read_vocabulary(self.read.tokenizer, task.encoder)
        self.task = task
        self.counts = counts
        self.segmenter: Optional[Segmenter] = None
        if task.whole_words in SEGMENTERS:
            self.segmenter = _load_once(task.whole_words, task.model)

    def cut(self, records: List[Record]) -> List[Instance]:
        """The instances of records, in order."""
        by_token = self.task.by_token
        texts = [record.text for record in records]
        units = [
            token_offsets(record.tokens, record.spaces) if by_token else _characters(text)
            for record, text in zip(records, texts, strict=True)
        ]
        read = read_pieces(self.read.tokenizer, texts, units, by_token=by_token)
        instances: List[Instance] = []
        for record, ranges, pieces in zip(records, units, read, strict=True):
            instances += self._windows(pieces.ids, self._words(record, ranges, pieces))
        totals = self.counts[TOTALS]
        totals["records"] += len(records)
        totals["words"] += sum(int(instance["words"].max()) + 1 for instance in instances)
        totals["pieces"] += sum(int((instance["words"] >= 0).sum()) for instance in instances)
        return instances

    def _windows(self, ids: numpy.ndarray, words: numpy.ndarray) -> Iterator[Instance]:
        self._drop(EMPTY, not len(ids))
        for begin, end in cut_between_words(words, self.read.capacity):
            places = numpy.flatnonzero(~numpy.isin(ids[begin:end], self.vocabulary.special))
            self._drop(NOTHING_TO_GUESS, not len(places))
            if len(places):
                pieces = self.read.frame(ids[begin:end])
                numbers = numpy.full(len(pieces), UNMASKED)
                changes = numpy.diff(words[begin:end][places], prepend=words[begin + places[0]])
                numbers[len(self.read.prefix) + places] = numpy.cumsum(changes != 0)
                yield {"pieces": pieces, "words": numbers, "vocabulary": self.vocabulary.entry}

    def _words(self, record: Record, units: numpy.ndarray, pieces: Pieces) -> numpy.ndarray:
        """The word of each piece, by numbers that never fall: ``(n_pieces,)``."""
        if self.task.whole_words == OFF:
            return numpy.arange(len(pieces.ids))
        firsts = numpy.full(len(pieces.ids), len(record.text))
        numpy.minimum.at(firsts, pieces.link_piece, units[pieces.link_token, 0])
        # A piece of no character, as some tokenizers have at the start, goes with the next.
        firsts = numpy.minimum.accumulate(firsts[::-1])[::-1]
        return numpy.searchsorted(self._word_ends(record), firsts, side="right")

    def _word_ends(self, record: Record) -> numpy.ndarray:
        """The character after each word."""
        if self.segmenter is not None:
            ends = find_word_ends(record.text, self._segment(record.text))
            if ends is not None:
                return ends
            self.counts[BY_TOKENS][CHANGED] += 1
        return token_offsets(record.tokens, record.spaces)[:, 1]

    def _segment(self, text: str) -> List[str]:
        assert self.segmenter is not None
        try:
            return [word for word, _ in self.segmenter(text)]
        except Exception as error:  # each of them has exceptions of its own
            source = self.task.whole_words
            message = Errors.HE243.format(source=source, text=text[:40], reason=error)
            raise ValueError(message) from error

    def _drop(self, cause: str, number: int) -> None:
        if number:
            self.counts[DROPPED][cause] += int(number)


def find_word_ends(text: str, words: Sequence[str]) -> Optional[numpy.ndarray]:
    """The character after each word of a text, int64 ``(n_words,)``.

    White space may be missing, or stand in words; None if the words differ from the text otherwise.
    """
    ends = []
    place = 0
    for word in filter(None, map(str.strip, words)):
        while text[place : place + 1].isspace():
            place += 1
        if not text.startswith(word, place):
            return None
        place += len(word)
        ends.append(place)
    return None if text[place:].strip() else numpy.array(ends, dtype="int64")


def cut_between_words(words: numpy.ndarray, capacity: int) -> Iterator[Tuple[int, int]]:
    """Ranges of at most ``capacity`` pieces, as few and as even as can be. A word is cut only if
    it is longer than such a range.

    words: The word of each piece, by numbers that never fall, int ``(n_pieces,)``.
    """
    borders = numpy.flatnonzero(words[1:] != words[:-1]) + 1
    begin = 0
    while begin < len(words):
        left = len(words) - begin
        parts = -(-left // capacity)
        end = begin - (-left // parts)
        if end < len(words):
            place = int(numpy.searchsorted(borders, end, side="right")) - 1
            if place >= 0 and borders[place] > begin:
                end = int(borders[place])
        yield begin, end
        begin = end


def _characters(text: str) -> numpy.ndarray:
    """The range of each character: ``(n_characters, 2)``."""
    return numpy.arange(len(text))[:, None] + numpy.arange(2)


@lru_cache(maxsize=2)
def _read_vocabulary(tokenizer: Any, encoder: str) -> Vocabulary:
    """Once for a tokenizer.

    RAISES (ValueError): HE240 without a mask piece.
    """
    if tokenizer.mask_token_id is None:
        raise ValueError(Errors.HE240.format(encoder=encoder))
    special = special_ids(tokenizer)
    ordinary = numpy.setdiff1d(list(tokenizer.get_vocab().values()), special)
    begins = numpy.flatnonzero(numpy.diff(ordinary, prepend=-2) != 1)
    ends = numpy.append(begins[1:], len(ordinary)) - 1
    ranges = numpy.stack((ordinary[begins], ordinary[ends] + 1), axis=1)
    entry = numpy.concatenate(([tokenizer.mask_token_id], ranges.ravel()))
    return Vocabulary(special, entry)


@lru_cache(maxsize=1)
def _load_once(source: str, model: str) -> Segmenter:
    """A segmenter, once a process."""
    return load_segmenter(source, model)
