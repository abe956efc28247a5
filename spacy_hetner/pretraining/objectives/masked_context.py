"""To say what stands in a place of a sentence, and of which type (Decoupled NER, section 3.2).

All pieces of a region are replaced by masks. Each of them is guessed, as in BERT's objective, and
the mean of the encoder's outputs at the masks has to tell the type of the region. Pieces are as
many as masks here; the scorer that is trained later gets one mask whatever the length.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Iterator, List, Mapping, Sequence, Tuple

import numpy
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout

from ...engine.task import Counts, Shard
from ...errors import Errors
from ...types import PathLike
from ...validation import check_count, check_range
from .objective import Batch, Instance, Learner, Objective, instance_schema
from .piece_head import PieceHead, input_embeddings
from .reading import flat_places, pad, special_ids, stored_records, to_batch
from .regions import (
    CUT,
    NOT_LEARNT_CLASS,
    TOTALS,
    Example,
    ExampleReader,
    class_loss,
    class_names,
    class_scores,
    class_statistics,
    inspect_regions,
)

NOT_GUESSED = -1
"""In ``targets``: a special piece, which is masked as its region is, but never to be guessed."""

LONG_CONTEXT = "context longer than a window"
LEFT_OUT, SPECIAL = "not guessed", "special piece, such as [UNK]"

_MLM, _TYPE = "mlm", "type"


@dataclass(frozen=True)
class MaskedContext(Objective):
    """Types and pieces of masked mentions, from their context (Decoupled NER, EMNLP 2021).

    For the settings see ``make_masked_context``.
    """

    weight_mlm: float = 1.0
    weight_type: float = 1.0
    guess_non_entities: bool = True
    by_token: bool = False
    max_pieces: int = 256
    dropout: float = 0.1

    name: ClassVar[str] = "masked_context"

    def __post_init__(self) -> None:
        for weight in ("weight_mlm", "weight_type"):
            check_range(weight, getattr(self, weight), 0, math.inf)
        check_count("max_pieces", self.max_pieces, 1)
        check_range("dropout", self.dropout, 0, 1)
        if not (self.weight_mlm or self.weight_type):
            raise ValueError(Errors.HE261)

    @property
    def score(self) -> str:  # type: ignore[override]
        """``f``; ``piece_accuracy`` if types are not learnt."""
        return "f" if self.weight_type else "piece_accuracy"

    @property
    def weights(self) -> Mapping[str, float]:
        """``mlm`` and ``type``, as in the settings."""
        return {_MLM: self.weight_mlm, _TYPE: self.weight_type}

    def inspect(self, train: Sequence[PathLike]) -> Dict[str, Any]:
        """See ``inspect_regions``."""
        return inspect_regions(train, self.name)

    def task(self, encoder: PathLike, facts: Mapping[str, Any]) -> "ContextTask":
        """See ``ContextTask``."""
        return ContextTask(str(encoder), tuple(facts["labels"]), self.by_token, self.max_pieces)

    def learner(self, transformer: nn.Module, facts: Mapping[str, Any]) -> "ContextReader":
        """See ``ContextReader``."""
        return ContextReader(transformer, len(class_names(facts)), self.dropout)

    def collate(self, rows: List[Instance], rng: numpy.random.Generator) -> Batch:
        """Pad instances.

        ``input_ids``, ``attention_mask``: ``(b, longest)``; ``labels``: ``(b,)``; ``rows``,
        ``regions``: ``(n,)``, of each mask its place in the flat ``input_ids`` and its window;
        ``guessed``, ``targets``: ``(m,)``, which of these masks are to be guessed, and the pieces.
        """
        padded = pad([row["pieces"] for row in rows])
        mask = padded["attention_mask"]
        labels = numpy.concatenate([row["label"] for row in rows]).astype("int64")
        places = flat_places([row["masks"] for row in rows], mask.shape[1])
        regions = places // mask.shape[1]
        targets = numpy.concatenate([row["targets"] for row in rows]).astype("int64")
        wanted = (targets != NOT_GUESSED) & (self.guess_non_entities | (labels[regions] != 0))
        guessed = numpy.flatnonzero(wanted)
        arrays = {
            "labels": labels,
            "rows": places,
            "regions": regions,
            "guessed": guessed,
            "targets": targets[guessed],
        }
        tensors = {**padded, **{name: torch.from_numpy(array) for name, array in arrays.items()}}
        learnt = float((labels != NOT_LEARNT_CLASS).sum())
        terms = {_MLM: float(len(guessed)), _TYPE: learnt}
        return Batch(tensors, terms, int(mask.sum()), mask.numel())

    def scores(self, statistics: numpy.ndarray) -> Dict[str, float]:
        """``class_scores``, and ``piece_accuracy``, the share of pieces guessed rightly."""
        right, total = statistics[:2].tolist()
        return {**class_scores(statistics[2:]), "piece_accuracy": right / max(total, 1)}

    def head_record(self, facts: Mapping[str, Any]) -> Dict[str, Any]:
        """``types.*`` are a layer over the mean at the masks, ``pieces.*`` over each of them."""
        return {
            "objective": self.name,
            "classes": class_names(facts),
            "input": "the sentence, each piece of a region masked",
            "pieces": ["dense", "the encoder's activation", "norm", "decoder"],
            "decoder": "the encoder's input embeddings, and bias",
            "by_token": self.by_token,
        }


def make_masked_context(
    *,
    weight_mlm: float = 1.0,
    weight_type: float = 1.0,
    guess_non_entities: bool = True,
    by_token: bool = False,
    max_pieces: int = 256,
    dropout: float = 0.1,
) -> MaskedContext:
    """Teach an encoder what stands in the place of a mention, and of which type it is.

    weight_mlm, weight_type (float): Weights of the two losses.
    guess_non_entities (bool): Guess the pieces of regions that are no entity, too.
    by_token (bool): Tokenise each token on its own; take what the encoder will be used with.
    max_pieces (int): Most pieces of a sentence that are read, masks counted, special ones not. Of a
        longer one a window around the region is; of a longer region both ends are.
    dropout (float): Between encoder and the layer that tells the type.
    RAISES (ValueError): HE002, HE078, HE261 for values that make no sense.
    """
    return MaskedContext(weight_mlm, weight_type, guess_non_entities, by_token, max_pieces, dropout)


class ContextHead(nn.Module):
    """pieces: guesses the piece at a mask; types: tells the type of the mean over masks."""

    def __init__(self, transformer: nn.Module, n_classes: int) -> None:
        super().__init__()
        config: Any = transformer.config
        self.pieces = PieceHead(config, *input_embeddings(transformer).shape)
        self.types = nn.Linear(config.hidden_size, n_classes)


class ContextReader(Learner):
    """An encoder with a ``ContextHead``.

    RAISES (ValueError): HE241 for an encoder without a table of input embeddings.
    """

    head: ContextHead

    def __init__(self, transformer: nn.Module, n_classes: int, dropout: float) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = ContextHead(transformer, n_classes)
        self.dropout = dropout

    def forward(self, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """Both losses, summed, over pieces and over regions; see ``collate`` for shapes."""
        pieces, types = self._logits(tensors)
        return {
            _MLM: cross_entropy(pieces, tensors["targets"], reduction="sum"),
            _TYPE: class_loss(types, tensors["labels"]),
        }

    def measure(self, tensors: Dict[str, Tensor]) -> Tensor:
        """How many pieces are guessed rightly, how many there are, and ``class_statistics``."""
        pieces, types = self._logits(tensors)
        right = (pieces.argmax(1) == tensors["targets"]).sum()
        guessed = torch.stack([right, right.new_tensor(len(tensors["targets"]))]).double()
        return torch.cat([guessed, class_statistics(types, tensors["labels"])])

    def _logits(self, tensors: Dict[str, Tensor]) -> Tuple[Tensor, Tensor]:
        """Of pieces ``(m, n_pieces)``, of classes ``(b, classes)``."""
        vectors = self.encode(tensors).flatten(0, 1)[tensors["rows"]]
        pieces = self.head.pieces.logits(vectors[tensors["guessed"]], self.transformer)
        means = mean_of_each(vectors, tensors["regions"], len(tensors["labels"]))
        types = self.head.types(dropout(means, self.dropout, self.training))
        return pieces, types.float()


def mean_of_each(vectors: Tensor, regions: Tensor, n: int) -> Tensor:
    """The mean of the vectors of each region: float32 ``(n, width)``.

    vectors: ``(m, width)``; regions: int64 ``(m,)``, whose each is. No region is without.
    """
    total = vectors.new_zeros(n, vectors.shape[1], dtype=torch.float32)
    total = total.index_add(0, regions, vectors.float())
    return total / regions.bincount(minlength=n)[:, None]


@dataclass(frozen=True)
class ContextTask:
    """From a shard of records to instances: the sentence of each example, its region masked.

    ``pieces``: all that the encoder reads, special ones included; ``masks``: where the masks are
    among these; ``targets``: for each of them the piece in its place, or NOT_GUESSED; ``label``:
    the class.
    """

    encoder: str
    labels: Sequence[str]
    by_token: bool
    max_pieces: int

    schema: ClassVar[pa.Schema] = instance_schema("pieces", "masks", "targets", "label")

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the instances of a shard."""
        read = ExampleReader(
            self.encoder,
            self.labels,
            counts,
            by_token=self.by_token,
            max_pieces=self.max_pieces,
        )
        special = special_ids(read.regions.tokenizer)
        for records in stored_records(shard, counts):
            instances = [_mask(example, read, special, counts) for example in read(records)]
            yield to_batch(instances, self.schema)


def _mask(
    example: Example, read: ExampleReader, special: numpy.ndarray, counts: Counts
) -> Instance:
    ids, masks, targets = read.regions.masked_pieces(example.pieces)
    is_special = numpy.isin(targets, special)
    counts[TOTALS]["masked pieces"] += len(targets)
    if is_special.any():
        counts[LEFT_OUT][SPECIAL] += int(is_special.sum())
    if sum(map(len, example.pieces)) > read.capacity:
        counts[CUT][LONG_CONTEXT] += 1
    return {
        "pieces": ids,
        "masks": masks,
        "targets": numpy.where(is_special, NOT_GUESSED, targets),
        "label": numpy.array([example.label]),
    }
