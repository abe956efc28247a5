"""To say of a name, without its context, which type it has (Decoupled NER, section 3.2).

A dictionary is enough to learn it from: ``spacy hetner gazetteer mentions`` makes records of one.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Iterator, List, Mapping, Sequence

import numpy
import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout

from ...engine.task import Counts, Shard
from ...types import PathLike
from ...validation import check_count, check_range
from .objective import Batch, Instance, Learner, Objective, instance_schema
from .reading import pad, stored_records, to_batch
from .regions import (
    NOT_LEARNT_CLASS,
    ExampleReader,
    class_loss,
    class_names,
    class_scores,
    class_statistics,
    inspect_regions,
)


@dataclass(frozen=True)
class MentionTyping(Objective):
    """Types of names that stand alone (Decoupled NER, EMNLP 2021).

    For the settings see ``make_mention_typing``.
    """

    by_token: bool = False
    max_pieces: int = 64
    dropout: float = 0.1

    name: ClassVar[str] = "mention_typing"
    score: ClassVar[str] = "f"

    def __post_init__(self) -> None:
        check_count("max_pieces", self.max_pieces, 1)
        check_range("dropout", self.dropout, 0, 1)

    def inspect(self, train: Sequence[PathLike]) -> Dict[str, Any]:
        """See ``inspect_regions``."""
        return inspect_regions(train, self.name)

    def task(self, encoder: PathLike, facts: Mapping[str, Any]) -> "MentionTask":
        """See ``MentionTask``."""
        return MentionTask(str(encoder), tuple(facts["labels"]), self.by_token, self.max_pieces)

    def learner(self, transformer: nn.Module, facts: Mapping[str, Any]) -> "MentionTyper":
        """See ``MentionTyper``."""
        return MentionTyper(transformer, len(class_names(facts)), self.dropout)

    def collate(self, rows: List[Instance], rng: numpy.random.Generator) -> Batch:
        """Pad instances.

        ``input_ids``, ``attention_mask``: ``(b, longest)``; ``labels``: ``(b,)``.
        """
        padded = pad([row["pieces"] for row in rows])
        labels = numpy.concatenate([row["label"] for row in rows]).astype("int64")
        mask = padded["attention_mask"]
        learnt = float((labels != NOT_LEARNT_CLASS).sum())
        tensors = {**padded, "labels": torch.from_numpy(labels)}
        return Batch(tensors, {self.name: learnt}, int(mask.sum()), mask.numel())

    def scores(self, statistics: numpy.ndarray) -> Dict[str, float]:
        """See ``class_scores``."""
        return class_scores(statistics)

    def head_record(self, facts: Mapping[str, Any]) -> Dict[str, Any]:
        """The outputs are ``classes``, of the vector at the first piece."""
        return {
            "objective": self.name,
            "classes": class_names(facts),
            "input": "the name alone",
            "by_token": self.by_token,
        }


def make_mention_typing(
    *, by_token: bool = False, max_pieces: int = 64, dropout: float = 0.1
) -> MentionTyping:
    """Teach an encoder which types names have, and which words are none.

    by_token (bool): Tokenise each token on its own; take what the encoder will be used with.
    max_pieces (int): Most pieces of a name that are read, special ones not counted. Of a longer one
        both ends are.
    dropout (float): Between encoder and head.
    RAISES (ValueError): HE002, HE078 for values that make no sense.
    """
    return MentionTyping(by_token, max_pieces, dropout)


class MentionTyper(Learner):
    """Encoder - the vector of the first piece, [CLS] - dropout - Linear(width, classes)."""

    head: nn.Linear

    def __init__(self, transformer: nn.Module, n_classes: int, dropout: float) -> None:
        super().__init__()
        config: Any = transformer.config
        self.transformer = transformer
        self.head = nn.Linear(config.hidden_size, n_classes)
        self.dropout = dropout

    def forward(self, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """See ``class_loss``, and ``collate`` for shapes."""
        return {MentionTyping.name: class_loss(self._logits(tensors), tensors["labels"])}

    def measure(self, tensors: Dict[str, Tensor]) -> Tensor:
        """See ``class_statistics``."""
        return class_statistics(self._logits(tensors), tensors["labels"])

    def _logits(self, tensors: Dict[str, Tensor]) -> Tensor:
        vectors = self.encode(tensors)[:, 0]
        return self.head(dropout(vectors, self.dropout, self.training)).float()


@dataclass(frozen=True)
class MentionTask:
    """From a shard of records to instances: the name of each example.

    ``pieces``: all that the encoder reads, special ones included; ``label``: the class.
    """

    encoder: str
    labels: Sequence[str]
    by_token: bool
    max_pieces: int

    schema: ClassVar[pa.Schema] = instance_schema("pieces", "label")

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        """Stream the instances of a shard."""
        read = ExampleReader(
            self.encoder,
            self.labels,
            counts,
            by_token=self.by_token,
            max_pieces=self.max_pieces,
        )
        for records in stored_records(shard, counts):
            instances = [
                {"pieces": read.regions.mention(pieces), "label": numpy.array([label])}
                for pieces, label in read(records)
            ]
            yield to_batch(instances, self.schema)
