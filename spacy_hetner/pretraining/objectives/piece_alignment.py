"""To teach an encoder with small pieces what one with large pieces says of the same text.

An encoder that was trained with long word pieces, and gets characters instead, reads what it was
never taught to. Here it learns to read them: where both encoders' pieces end together, the mean of
its vectors should be the mean of its teacher's.
"""

import math
from dataclasses import dataclass
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
from torch.nn.functional import cosine_similarity

from ...corpora.records import Record
from ...corpora.steps import DROPPED
from ...encoders.hugging_face import load_encoder
from ...encoders.pieces import Pieces
from ...engine.task import Counts, Shard
from ...errors import Errors
from ...types import PathLike
from ...validation import check_choice, check_count, check_range
from ..stage import describe_encoder
from .objective import Batch, Instance, Learner, Objective, instance_schema
from .reading import PieceReader, flat_places, pad, stored_records, to_batch

TOTALS = "totals"
UNALIGNED = "token without pieces on one side"
TOO_LONG = "block longer than a window"
SCALES = ("vector", "dimension")

_ERROR, _COSINE = "squared_error", "cosine"
_TEACHER = "teacher_"
_BLANKS = ("▁", "Ġ")  # what SentencePiece and byte-level BPE write for a space
_LEAST = 1e-6


@dataclass(frozen=True)
class PieceAlignment(Objective):
    """Vectors of small pieces like those that a teacher has of larger ones.

    For the settings see ``make_piece_alignment``.
    """

    teacher: str
    by_token: bool = False
    max_pieces: int = 256
    layers: Optional[Sequence[int]] = None
    scale: str = "dimension"
    squared_error: float = 1.0
    cosine: float = 1.0
    dropout: bool = False

    name: ClassVar[str] = "piece_alignment"
    score: ClassVar[str] = "similarity"

    def __post_init__(self) -> None:
        check_count("max_pieces", self.max_pieces, 1)
        check_choice("scale", self.scale, SCALES)
        for name in (_ERROR, _COSINE):
            check_range(name, getattr(self, name), 0, math.inf)
        if self.layers == () or not (self.squared_error or self.cosine):
            raise ValueError(
                Errors.HE235.format(
                    layers=self.layers, error=self.squared_error, cosine=self.cosine
                )
            )

    @property
    def weights(self) -> Mapping[str, float]:
        """``squared_error`` and ``cosine``, as in the settings."""
        return {_ERROR: self.squared_error, _COSINE: self.cosine}

    def inspect(self, train: Sequence[PathLike]) -> Dict[str, Any]:
        """``teacher``: what is known of it; the records say nothing that the head must know.

        RAISES (ValueError): As ``describe_encoder``.
        """
        return {"teacher": describe_encoder(self.teacher)}

    def task(self, encoder: PathLike, facts: Mapping[str, Any]) -> "AlignmentTask":
        """See ``AlignmentTask``."""
        return AlignmentTask(str(encoder), self.teacher, self.by_token, self.max_pieces)

    def learner(self, transformer: nn.Module, facts: Mapping[str, Any]) -> "Student":
        """See ``Student``."""
        return Student(transformer, load_encoder(self.teacher).transformer, self)

    def collate(self, rows: List[Instance], rng: numpy.random.Generator) -> Batch:
        """Pad instances of both sides.

        For the student, and with ``teacher_`` before the name for the teacher: ``input_ids``,
        ``attention_mask``: ``(b, longest)``; ``rows``, ``blocks``: ``(n,)``, the pieces that are
        aligned, as places in the flat ``input_ids``, and the block of each, counted over the batch.
        ``sizes``: ``(2, n_blocks)``, how many pieces of student and teacher each block has.
        """
        tensors: Dict[str, Tensor] = {}
        sizes = []
        block_counts = [_count_blocks(row) for row in rows]
        before = numpy.cumsum([0, *block_counts])
        for prefix in ("", _TEACHER):
            padded = pad([row[prefix + "pieces"] for row in rows])
            longest = padded["input_ids"].shape[1]
            places = flat_places([row[prefix + "rows"] for row in rows], longest)
            blocks = numpy.concatenate(
                [row[prefix + "blocks"] + start for row, start in zip(rows, before, strict=False)]
            )
            sizes.append(numpy.bincount(blocks, minlength=before[-1]))
            tensors |= {prefix + name: tensor for name, tensor in padded.items()}
            tensors[prefix + "rows"] = torch.from_numpy(places)
            tensors[prefix + "blocks"] = torch.from_numpy(blocks.astype("int64"))
        tensors["sizes"] = torch.from_numpy(numpy.stack(sizes))
        terms = float(before[-1])
        mask = tensors["attention_mask"]
        return Batch(tensors, {_ERROR: terms, _COSINE: terms}, int(mask.sum()), mask.numel())

    def scores(self, statistics: numpy.ndarray) -> Dict[str, float]:
        """``similarity``, the mean cosine, and ``error``, the mean squared error."""
        error, similarity, n = statistics.tolist()
        return {"similarity": similarity / max(n, 1), "error": error / max(n, 1)}

    def head_record(self, facts: Mapping[str, Any]) -> Dict[str, Any]:
        """The head is a projection to the width of the teacher, or nothing if they are as wide."""
        teacher = {name: facts["teacher"][name] for name in ("name", "weights")}
        return {"objective": self.name, "teacher": teacher, "layers": self.layers}


def make_piece_alignment(
    *,
    teacher: str,
    by_token: bool = False,
    max_pieces: int = 256,
    layers: Optional[Sequence[int]] = None,
    scale: str = "dimension",
    squared_error: float = 1.0,
    cosine: float = 1.0,
    dropout: bool = False,
) -> PieceAlignment:
    """Teach an encoder to say of its pieces what a teacher says of its own, larger ones.

    teacher (str): Encoder folder. It reads the running text.
    by_token (bool): Cut each token on its own for the student; take what it will be used with. The
        teacher's pieces are never finer than tokens: of the pieces of a token the mean is aligned.
    max_pieces (int): Most pieces of a text that either side reads at once, special ones not
        counted. A longer text is cut where pieces of both sides end.
    layers (Optional[Sequence[int]]): Whose outputs are compared: -1 is the last layer, 0 the
        embeddings; None: those of every layer, of encoders with as many.
    scale (str): "vector" divides the squared error by the square of the teacher's vector;
        "dimension" does so after it took off the teacher's mean over the batch and divided each
        dimension by its standard deviation, so that what all vectors share, or few large
        dimensions, do not decide everything.
    squared_error, cosine (float): Weights of the two losses, the relative squared error and one
        minus the cosine.
    dropout (bool): Whether the student has the dropout of its configuration. The teacher has none.
    RAISES (ValueError): HE002, HE004, HE078, HE235 for values that make no sense.
    """
    chosen = None if layers is None else tuple(layers)
    return PieceAlignment(
        teacher, by_token, max_pieces, chosen, scale, squared_error, cosine, dropout
    )


class Student(Learner):
    """An encoder, a projection where its teacher is wider or narrower, and the teacher.

    RAISES (ValueError): HE236 for a layer that one of them does not have.
    """

    def __init__(
        self, transformer: nn.Module, teacher: nn.Module, settings: PieceAlignment
    ) -> None:
        super().__init__()
        self.layers = _choose_layers(transformer, teacher, settings.layers)
        width, target = (model.config.hidden_size for model in (transformer, teacher))  # type: ignore[union-attr]
        self.transformer = transformer
        self.head = nn.Identity() if width == target else nn.Linear(width, target)  # type: ignore[arg-type]
        self.settings = settings
        self._teacher = _Frozen(teacher)

    def train(self, mode: bool = True) -> "Student":
        """As of any module, but for the dropout of the encoder, which may be left off."""
        super().train(mode)
        self.transformer.train(mode and self.settings.dropout)
        return self

    def forward(self, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Both losses, the mean over layers, summed over blocks; see ``collate`` for shapes."""
        errors, similarities = self._compare(tensors)
        return {_ERROR: errors.sum(), _COSINE: (1 - similarities).sum()}

    def measure(self, tensors: Dict[str, Tensor]) -> Tensor:
        """Errors and cosines, summed, and their number."""
        errors, similarities = self._compare(tensors)
        return torch.stack([errors.sum(), similarities.sum(), errors.new_tensor(errors.numel())])

    def _compare(self, tensors: Dict[str, Tensor]) -> Tuple[Tensor, Tensor]:
        """Of each block the error and the cosine, mean over layers: float64 ``(n_blocks,)``."""
        prefix = _TEACHER
        theirs = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        targets = self._means(self._teacher(theirs), theirs, tensors["sizes"][1])
        outputs = _run(self.transformer, tensors)
        found = self._means(list(map(self.head, outputs)), tensors, tensors["sizes"][0])
        if self.settings.scale == "dimension":
            center = targets.mean(1, keepdim=True)
            spread = targets.std(1, keepdim=True, correction=0).clamp(min=_LEAST)
            targets, found = (targets - center) / spread, (found - center) / spread
        size = targets.square().sum(-1).clamp(min=_LEAST)
        errors = (found - targets).square().sum(-1) / size
        similarities = cosine_similarity(found, targets, dim=-1)
        return errors.double().mean(0), similarities.double().mean(0)

    def _means(
        self, outputs: Sequence[Tensor], tensors: Mapping[str, Tensor], sizes: Tensor
    ) -> Tensor:
        """The mean vector of each block: float32 ``(n_layers, n_blocks, width)``."""
        means = []
        for output in (outputs[layer] for layer in self.layers):
            vectors = output.flatten(0, 1)[tensors["rows"]].float()
            total = vectors.new_zeros(len(sizes), vectors.shape[1])
            means.append(total.index_add(0, tensors["blocks"], vectors) / sizes[:, None])
        return torch.stack(means)


def _choose_layers(
    student: nn.Module, teacher: nn.Module, layers: Optional[Sequence[int]]
) -> Sequence[int]:
    """The layers to compare. RAISES (ValueError): HE236 for one that is not there on both sides."""
    depths: List[int] = [int(model.config.num_hidden_layers) for model in (student, teacher)]  # type: ignore[arg-type, union-attr]
    least = min(depths)
    if layers is None and len(set(depths)) == 1:
        return range(1, least + 1)
    wrong = [layer for layer in layers or () if not -least - 1 <= layer <= least]
    if layers is None or wrong:
        raise ValueError(
            Errors.HE236.format(layers=wrong or "null (all)", student=depths[0], teacher=depths[1])
        )
    return layers


class _Frozen:
    """A model that is only asked: no module, so that it is neither trained nor saved."""

    def __init__(self, transformer: nn.Module) -> None:
        self.transformer = transformer.eval().requires_grad_(False)

    def __call__(self, tensors: Mapping[str, Tensor]) -> Sequence[Tensor]:
        self.transformer.to(tensors["input_ids"].device)
        with torch.no_grad():
            return _run(self.transformer, tensors)


def _run(transformer: nn.Module, tensors: Mapping[str, Tensor]) -> Sequence[Tensor]:
    """The embeddings and the output of each layer: ``(b, longest, width)``."""
    return transformer(
        input_ids=tensors["input_ids"],
        attention_mask=tensors["attention_mask"],
        output_hidden_states=True,
        return_dict=True,
    ).hidden_states


@dataclass(frozen=True)
class AlignmentTask:
    """From a shard of records to instances: a text, or a part of a long one, on both sides.

    ``pieces``: all that the encoder reads, special ones included; ``rows``, ``blocks``: the place
    of each aligned piece among those, and its block; the same for the teacher. A block is the
    shortest run of tokens at both ends of which pieces of both sides end.
    """

    encoder: str
    teacher: str
    by_token: bool
    max_pieces: int

    schema: ClassVar[pa.Schema] = instance_schema(
        *("pieces", "rows", "blocks"),
        *("teacher_pieces", "teacher_rows", "teacher_blocks"),
    )

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the instances of a shard."""
        student = PieceReader(self.encoder, by_token=self.by_token, max_pieces=self.max_pieces)
        teacher = PieceReader(self.teacher, by_token=False, max_pieces=self.max_pieces)
        for records in stored_records(shard, counts):
            instances: List[Instance] = []
            read = [_without_blanks(reader, records) for reader in (student, teacher)]
            for record, *sides in zip(records, *read, strict=True):
                instances += _cut(record, sides, (student, teacher), counts)
            counts[TOTALS]["records"] += len(records)
            counts[TOTALS]["characters"] += sum(
                len(token) for record in records for token in record.tokens
            )
            counts[TOTALS]["blocks"] += sum(map(_count_blocks, instances))
            yield to_batch(instances, self.schema)


def _without_blanks(reader: PieceReader, records: List[Record]) -> List[Pieces]:
    """The pieces of records. One that is a blank and nothing else belongs to no token."""
    blanks = [i for i in map(reader.tokenizer.get_vocab().get, _BLANKS) if i is not None]
    found = []
    for ids, link_token, link_piece in reader(records):
        says = ~numpy.isin(ids[link_piece], blanks)
        found.append(Pieces(ids, link_token[says], link_piece[says]))
    return found


class Blocks(NamedTuple):
    """Runs of tokens, numbered in order, and which pieces are in them.

    pieces: for each side the block of each piece, int64 ``(n_pieces,)``; -1 is none. n: how many
    blocks there are; lost: how many tokens are in none.
    """

    pieces: List[numpy.ndarray]
    n: int
    lost: int


def find_blocks(sides: Sequence[Pieces], n_tokens: int) -> Blocks:
    """The shortest runs of tokens whose borders no piece of either side crosses.

    A run in which a token has no piece on one of the sides is no block: its means would be of
    different things.
    """
    crossed = numpy.zeros(n_tokens + 1, dtype="int64")
    has_pieces = numpy.ones(n_tokens, dtype=bool)
    firsts = []
    for ids, link_token, link_piece in sides:
        first = numpy.full(len(ids), n_tokens)
        last = numpy.full(len(ids), -1)
        numpy.minimum.at(first, link_piece, link_token)
        numpy.maximum.at(last, link_piece, link_token)
        linked = last >= 0
        numpy.add.at(crossed, first[linked] + 1, 1)
        numpy.add.at(crossed, last[linked] + 1, -1)
        has_pieces[numpy.setdiff1d(numpy.arange(n_tokens), link_token)] = False
        firsts.append(first)
    begins = numpy.cumsum(crossed[:n_tokens]) == 0
    run_of = numpy.cumsum(begins) - 1
    is_block = numpy.ones(int(begins.sum()), dtype=bool)
    is_block[run_of[~has_pieces]] = False
    number = numpy.where(is_block, numpy.cumsum(is_block) - 1, -1)
    block_of = numpy.append(number[run_of], -1)  # what is linked to no token is in no block
    return Blocks(
        [block_of[first] for first in firsts],
        int(is_block.sum()),
        int((block_of[:n_tokens] < 0).sum()),
    )


def _cut(
    record: Record, sides: Sequence[Pieces], readers: Sequence[PieceReader], counts: Counts
) -> Iterator[Instance]:
    """The instances of a record: as many blocks at a time as both sides can read."""
    blocks = find_blocks(sides, len(record.tokens))
    starts = [_block_starts(of_piece, blocks.n) for of_piece in blocks.pieces]
    capacities = [reader.capacity for reader in readers]
    _drop(counts, UNALIGNED, blocks.lost)
    for begin, end in _windows(starts, capacities):
        if begin == end:
            _drop(counts, TOO_LONG, 1)
            continue
        instance: Instance = {}
        for prefix, reader, pieces, of_piece, start in zip(
            ("", _TEACHER), readers, sides, blocks.pieces, starts, strict=True
        ):
            window = slice(start[begin], start[end])
            aligned = numpy.flatnonzero(of_piece[window] >= 0)
            instance[prefix + "pieces"] = reader.frame(pieces.ids[window])
            instance[prefix + "rows"] = aligned + len(reader.prefix)
            instance[prefix + "blocks"] = of_piece[window][aligned] - begin
        yield instance


def _block_starts(of_piece: numpy.ndarray, n: int) -> numpy.ndarray:
    """Where the pieces of each block begin, and the end of all: ``(n + 1,)``.

    Pieces in no block go with the block before them, those before the first with that.
    """
    places = numpy.flatnonzero(of_piece >= 0)
    starts = places[numpy.searchsorted(of_piece[places], numpy.arange(n))]
    starts[:1] = 0
    return numpy.append(starts, len(of_piece))


def _windows(
    starts: Sequence[numpy.ndarray], capacities: Sequence[int]
) -> Iterator[Tuple[int, int]]:
    """Ranges of blocks that fit, as long as can be; an empty one for a block that never fits."""
    n = len(starts[0]) - 1
    begin = 0
    while begin < n:
        end = min(
            int(numpy.searchsorted(start, start[begin] + capacity, side="right")) - 1
            for start, capacity in zip(starts, capacities, strict=True)
        )
        yield begin, max(begin, end)
        begin = max(begin + 1, end)


def _count_blocks(instance: Instance) -> int:
    return int(instance["blocks"][-1]) + 1


def _drop(counts: Counts, cause: str, number: int) -> None:
    if number:
        counts[DROPPED][cause] += number
