"""What the objectives of Decoupled NER share: regions of records as examples, and their classes.

An example is a labelled span of a record, whatever else it overlaps, or a region that is none
(``NON_ENTITIES``). Class 0 is no entity, the labels of the training records follow.
"""

from itertools import chain
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ...corpora.distant import NON_ENTITIES
from ...corpora.records import Record
from ...corpora.steps import DROPPED, LABELS
from ...decoupled.inputs import RegionPieces, RegionReader
from ...encoders.pieces import token_offsets
from ...engine.task import Counts
from ...errors import Errors
from ...evaluation.metrics import PRF, Ratio
from ...types import PathLike
from .reading import PieceReader, label_counts

NO_ENTITY = "O"
NOT_LEARNT_CLASS = -1
"""The class of a label that the training records lack: it has no loss, and is never found."""

TOTALS, NOT_LEARNT, CUT = "totals", "examples of labels not in training", "cut"
WITHOUT_PIECES = "region without pieces"
LONG_REGION = "region longer than a window"


class Example(NamedTuple):
    """A region, and the number of its class."""

    pieces: RegionPieces
    label: int


def inspect_regions(train: Sequence[PathLike], objective: str) -> Dict[str, Any]:
    """``labels``, sorted; ``examples``, how many spans have each.

    RAISES (ValueError): HE260 if no record has a labelled span.
    """
    examples = label_counts(train)
    if not examples:
        stores = ", ".join(map(str, train))
        raise ValueError(Errors.HE260.format(objective=objective, stores=stores))
    return {"labels": list(examples), "examples": examples}


def class_names(facts: Mapping[str, Any]) -> List[str]:
    """What the outputs of a head are scores of."""
    return [NO_ENTITY, *facts["labels"]]


class ExampleReader:
    """Reads the examples of records, and counts them.

    labels (Sequence[str]): Those of the classes from 1 on.
    max_pieces (int): Most pieces of an input, special ones not counted.
    regions: Makes inputs of what is read.
    RAISES (ValueError): As ``RegionReader`` does.
    """

    def __init__(
        self,
        encoder: str,
        labels: Sequence[str],
        counts: Counts,
        *,
        by_token: bool,
        max_pieces: int,
    ) -> None:
        pieces = PieceReader(encoder, by_token=by_token, max_pieces=max_pieces)
        self.capacity = pieces.capacity
        self.regions = RegionReader(pieces.tokenizer, capacity=self.capacity, by_token=by_token)
        self.classes = {label: number for number, label in enumerate(labels, 1)}
        self.counts = counts

    def __call__(self, records: Sequence[Record]) -> Iterator[Example]:
        """The examples of records, in order: labelled spans, then regions of no entity."""
        regions = [_labelled_regions(record) for record in records]
        found = self.regions.read(
            [record.text for record in records],
            [token_offsets(record.tokens, record.spaces) for record in records],
            [numpy.array([r[:2] for r in of], dtype="int64").reshape(-1, 2) for of in regions],
        )
        self.counts[TOTALS]["records"] += len(records)
        for pieces, (_, _, label) in zip(found, chain.from_iterable(regions), strict=True):
            if not len(pieces.inside):
                self.counts[DROPPED][WITHOUT_PIECES] += 1
                continue
            if len(pieces.inside) > self.capacity:
                self.counts[CUT][LONG_REGION] += 1
            yield Example(pieces, self._class_of(label))

    def _class_of(self, label: Optional[str]) -> int:
        """The number of a label's class; what has none is no entity."""
        if label is None:
            self.counts[LABELS][NO_ENTITY] += 1
            return 0
        self.counts[LABELS if label in self.classes else NOT_LEARNT][label] += 1
        return self.classes.get(label, NOT_LEARNT_CLASS)


def _labelled_regions(record: Record) -> List[Tuple[int, int, Optional[str]]]:
    """Starts, ends and labels; None for what is no entity."""
    others = record.meta.get(NON_ENTITIES, ())
    labelled = [(start, end, label) for start, end, label in record.spans]
    return [*labelled, *((start, end, None) for start, end in others)]


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy, summed over the examples whose class is learnt.

    logits: ``(n, C + 1)``; labels: int64 ``(n,)``.
    """
    return cross_entropy(logits, labels, ignore_index=NOT_LEARNT_CLASS, reduction="sum")


def class_statistics(logits: Tensor, labels: Tensor) -> Tensor:
    """For ``class_scores``: how many examples are right, how many there are, and of those that are
    entities how many are right, predicted and gold. float64 ``(5,)``."""
    predicted = logits.argmax(1)
    right = predicted == labels
    is_entity = predicted > 0
    counts = [right, torch.ones_like(right), right & is_entity, is_entity, labels != 0]
    return torch.stack([count.sum() for count in counts]).double()


def class_scores(statistics: numpy.ndarray) -> Dict[str, float]:
    """``f``, ``p`` and ``r`` of entities, ``accuracy`` of all examples; 0 where undefined."""
    right, total, correct, predicted, gold = map(int, statistics.tolist())
    scores = PRF(Ratio(correct, predicted), Ratio(correct, gold)).to_dict()
    return {**scores, "accuracy": Ratio(right, total).value}
