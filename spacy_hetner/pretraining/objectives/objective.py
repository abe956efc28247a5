"""What an encoder can be taught: from records to instances, from a batch to losses and scores.

The trainer knows nothing but this. An objective adds a task for the engine, which cuts records to
integers once, and a module over the encoder, whose losses are sums, so that they can be divided by
the number of terms in a whole step, whichever process counts them.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Dict, List, Mapping, NamedTuple, Sequence

import numpy
import pyarrow as pa
from torch import Tensor, nn

from ...engine.task import Task
from ...types import PathLike

LENGTH = pa.field("length", pa.int32(), nullable=False)
"""In every schema of instances: how many pieces the encoder reads, special ones included."""

Instance = Dict[str, numpy.ndarray]
"""One row of the instances: an integer array a column."""


def instance_schema(*columns: str) -> pa.Schema:
    """The schema of instances: ``length``, and lists of integers."""
    return pa.schema(
        [LENGTH, *(pa.field(name, pa.list_(pa.int32()), nullable=False) for name in columns)]
    )


class Batch(NamedTuple):
    """What one pass of the encoder reads.

    tensors: on the CPU; counts: for each loss how many terms its sum has; pieces, padded: what
    the encoder reads without and with padding.
    """

    tensors: Dict[str, Tensor]
    counts: Dict[str, float]
    pieces: int
    padded: int


class Learner(nn.Module):
    """An encoder and the head of an objective; these two and nothing else are trained."""

    transformer: nn.Module
    head: nn.Module

    def forward(self, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
        """The sum of each loss over a batch: scalars."""
        raise NotImplementedError

    def measure(self, tensors: Dict[str, Tensor]) -> Tensor:
        """Statistics of a batch that add up over batches: float64 ``(k,)``."""
        raise NotImplementedError

    def encode(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """What the encoder says of a padded batch, see ``reading.pad``: ``(b, longest, width)``."""
        return self.transformer(
            input_ids=tensors["input_ids"],
            attention_mask=tensors["attention_mask"],
            return_dict=True,
        ).last_hidden_state


class Objective(ABC):
    """The settings of what is taught; a frozen dataclass, registered in ``misc``.

    name: what its losses are logged under; score: the score that chooses the best checkpoint, the
    higher the better.
    """

    name: ClassVar[str]
    score: ClassVar[str]

    @property
    def weights(self) -> Mapping[str, float]:
        """The losses, each with its weight in their sum."""
        return {self.name: 1.0}

    @abstractmethod
    def inspect(self, train: Sequence[PathLike]) -> Dict[str, Any]:
        """What the training records say that the head must know, such as the labels: JSON."""

    @abstractmethod
    def task(self, encoder: PathLike, facts: Mapping[str, Any]) -> Task:
        """From shards of records to instances, with the tokenizer of an encoder folder."""

    @abstractmethod
    def learner(self, transformer: nn.Module, facts: Mapping[str, Any]) -> Learner:
        """The encoder with a new head."""

    @abstractmethod
    def collate(self, rows: List[Instance], rng: numpy.random.Generator) -> Batch:
        """Instances as one padded batch; ``rng`` is the same wherever the batch is made."""

    @abstractmethod
    def scores(self, statistics: numpy.ndarray) -> Dict[str, float]:
        """Scores from the sum of what ``Learner.measure`` gave."""

    @abstractmethod
    def head_record(self, facts: Mapping[str, Any]) -> Dict[str, Any]:
        """What one needs to know to use the weights of the head: JSON."""
