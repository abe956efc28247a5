"""Work on stored records column by column: each step a pure function of a batch.

No Python object is made of a record, so a step costs microseconds a sentence. What is drawn depends
on the seed and the record's id only (``sampling``), so that neither the order of the records nor
how they are cut into shards matters.
"""

from dataclasses import dataclass
from typing import Iterator, List, Literal, Mapping, NamedTuple, Optional, Protocol, Sequence, Tuple

import numpy
import pyarrow as pa
import pyarrow.compute as pc

from ..engine.tables import read_shard
from ..engine.task import Counts, Shard
from ..errors import Errors
from ..labels.type_map import map_labels
from ..sampling import uniform
from .stores import SCHEMA

LABELS, SENTENCES_WITH, DROPPED = "labels", "sentences with", "dropped"
"""What is counted: mentions by label, sentences that have one, things dropped by cause."""

DEV_PART = "sentence of the dev part"
TRAIN_PART = "sentence of the train part"


class Step(Protocol):
    """Rows of ``stores.SCHEMA`` to such rows. It travels between processes by pickling."""

    def __call__(self, batch: pa.RecordBatch, counts: Counts) -> pa.RecordBatch: ...


class LabelColumn(NamedTuple):
    """The labels of the spans of a batch.

    rows: int64 ``(n,)``, the sentence of each span, ascending; codes: int64 ``(n,)``, its label as
    a place in ``names``; names: every label of the batch, once.
    """

    rows: numpy.ndarray
    codes: numpy.ndarray
    names: List[str]

    def is_among(self, labels: Sequence[str]) -> numpy.ndarray:
        """Whether each span has one of some labels: bool ``(n,)``."""
        return numpy.isin(self.names, list(labels))[self.codes]

    def count_rows(self, chosen: numpy.ndarray, total: int) -> numpy.ndarray:
        """How many chosen spans each of all sentences has: int64 ``(total,)``."""
        return numpy.bincount(self.rows[chosen], minlength=total)

    def distinct(self) -> "LabelColumn":
        """Every label of a sentence once."""
        pairs = numpy.unique(self.rows * len(self.names) + self.codes)
        return LabelColumn(*numpy.divmod(pairs, max(1, len(self.names))), self.names)


def label_column(batch: pa.RecordBatch) -> LabelColumn:
    """The labels of a batch of records."""
    encoded = batch["labels"].flatten().dictionary_encode()
    rows = pc.list_parent_indices(batch["labels"]).to_numpy().astype("int64")
    codes = encoded.indices.to_numpy().astype("int64")
    return LabelColumn(rows, codes, encoded.dictionary.to_pylist())


def count_labels(batch: pa.RecordBatch, counts: Counts) -> None:
    """Add a batch to the counts of labels."""
    column = label_column(batch)
    for section, found in [(LABELS, column), (SENTENCES_WITH, column.distinct())]:
        numbers = numpy.bincount(found.codes, minlength=len(column.names)).tolist()
        counts[section].update(dict(zip(column.names, numbers, strict=True)))


def keep_rows(
    batch: pa.RecordBatch, kept: numpy.ndarray, counts: Counts, cause: str
) -> pa.RecordBatch:
    """The rows where ``kept`` (bool ``(n,)``) is true; the others are counted as dropped."""
    if lost := int((~kept).sum()):
        counts[DROPPED][cause] += lost
    return batch.filter(pa.array(kept))


def with_labels(
    batch: pa.RecordBatch, labels: pa.Array, kept: Optional[numpy.ndarray] = None
) -> pa.RecordBatch:
    """The batch with other labels, one for each of its spans, and only the spans ``kept``."""
    parents = pc.list_parent_indices(batch["labels"]).to_numpy()
    flat = {name: batch[name].flatten() for name in ("starts", "ends")}
    flat["labels"] = labels
    if kept is not None:
        parents = parents[kept]
        flat = {name: values.filter(pa.array(kept)) for name, values in flat.items()}
    return replace_columns(batch, nested(flat, parents, len(batch)))


def nested(
    flat: Mapping[str, pa.Array], rows: numpy.ndarray, total: int
) -> Mapping[str, pa.ListArray]:
    """Lists, one for each of ``total`` sentences, of values that stand in the given rows."""
    sizes = numpy.bincount(rows, minlength=total)
    offsets = pa.array(numpy.concatenate([[0], numpy.cumsum(sizes)]), pa.int32())
    return {name: pa.ListArray.from_arrays(offsets, values) for name, values in flat.items()}


def replace_columns(batch: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    """The batch with some columns exchanged, in the schema of record stores."""
    arrays = [columns.get(field.name, batch[field.name]).cast(field.type) for field in SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def draw(batch: pa.RecordBatch, *, seed: int, salt: str, column: str = "id") -> numpy.ndarray:
    """A number in [0, 1) for each record, by its id: float64 ``(n,)``.

    Raises ValueError (HE167) for a record without an id.
    """
    ids = batch[column].to_pylist()
    if not all(ids):
        raise ValueError(Errors.HE167.format(column=column))
    return uniform(ids, seed=seed, salt=salt)


@dataclass(frozen=True)
class KeepPart:
    """Split at random: keep the sentences of one part (NER-BERT, section 2.2: 90 to 10).

    part (str): ``train`` or ``dev``. Both, of one seed, make up the whole.
    dev_share (float): Of all sentences, how many belong to dev, about.
    by (str): ``id`` draws sentences, as the paper does; ``doc_id`` whole documents.
    """

    part: Literal["train", "dev"]
    seed: int
    dev_share: float = 0.1
    by: Literal["id", "doc_id"] = "id"

    def __call__(self, batch: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
        is_dev = draw(batch, seed=self.seed, salt="split", column=self.by) < self.dev_share
        if self.part == "dev":
            return keep_rows(batch, is_dev, counts, TRAIN_PART)
        return keep_rows(batch, ~is_dev, counts, DEV_PART)


@dataclass(frozen=True)
class Relabel:
    """Map labels to others, such as 315 categories to 4 types; see ``labels.type_map``.

    Where two labels of one span become the same, the span stays once.

    missing (str): What becomes of a label that the map lacks: ``keep`` it as it is, or ``error``.
    """

    targets: Mapping[str, str]
    missing: Literal["keep", "error"] = "error"

    def __call__(self, batch: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
        column = label_column(batch)
        mapped = map_labels(column.names, self.targets, self.missing)
        labels = pa.array(mapped, pa.string()).take(pa.array(column.codes))
        return with_labels(batch, labels, _first_of_equal(batch, column.rows, labels))


def _first_of_equal(
    batch: pa.RecordBatch, rows: numpy.ndarray, labels: pa.Array
) -> Optional[numpy.ndarray]:
    """Which spans are the first with their bounds and label; None if no bounds come twice."""
    starts, ends = (batch[name].flatten().to_numpy() for name in ("starts", "ends"))
    bounds = numpy.stack([rows, starts, ends], axis=1)
    if not (bounds[1:] == bounds[:-1]).all(axis=1).any():
        return None
    codes = labels.dictionary_encode().indices.to_numpy()
    _, first = numpy.unique(numpy.column_stack([bounds, codes]), axis=0, return_index=True)
    return numpy.isin(numpy.arange(len(rows)), first)


@dataclass(frozen=True)
class RecordTask:
    """A task of the engine: steps, one after the other, over a shard of stored records.

    Counts, of what comes out, mentions by label and sentences with each label; of what does not,
    the cause.
    """

    steps: Tuple[Step, ...] = ()

    schema = SCHEMA

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]:
        for batch in read_shard(shard, SCHEMA.names):
            batch = replace_columns(batch, {})
            for step in self.steps:
                batch = step(batch, counts)
            count_labels(batch, counts)
            yield batch
