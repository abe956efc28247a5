"""The order of training: which instances make up which batch, whoever asks.

An order is a function of a seed and the epoch, and of nothing else: not of how many processes
train, nor of where a run was cut off.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Iterator, List, NamedTuple, Protocol, Sequence, Tuple, Union

import numpy
import pyarrow as pa
import pyarrow.parquet as pq

from ..encoders.batching import length_buckets
from ..engine.tables import parquet_files
from ..types import PathLike
from ..validation import check_count, check_range
from .objectives.objective import LENGTH, Instance


class RowGroup(NamedTuple):
    """A row group of a file of instances."""

    path: str
    number: int
    rows: int


class Pool:
    """Instances that are shuffled together, read when they are asked for."""

    def __init__(self, groups: Sequence[RowGroup]) -> None:
        self.groups = groups

    @cached_property
    def lengths(self) -> numpy.ndarray:
        """int64 ``(n,)``: pieces that the encoder reads of each instance."""
        return self._read([LENGTH.name])[LENGTH.name].to_numpy().astype("int64")

    def rows(self, indices: numpy.ndarray) -> List[Instance]:
        """Some of the instances, each as an array a column."""
        return [
            {name: values[starts[i] : starts[i + 1]] for name, (starts, values) in self._lists}
            for i in indices.tolist()
        ]

    @cached_property
    def _lists(self) -> List[Tuple[str, Tuple[numpy.ndarray, numpy.ndarray]]]:
        table = self._read()
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        return [
            (name, (column.offsets.to_numpy(), column.values.to_numpy()))
            for name, column in columns.items()
            if name != LENGTH.name
        ]

    def _read(self, columns: Union[List[str], None] = None) -> pa.Table:
        tables = []
        for group in self.groups:
            with pq.ParquetFile(group.path) as file:  # one at a time: there may be thousands
                tables.append(file.read_row_group(group.number, columns=columns))
        return pa.concat_tables(tables)


class PlannedBatch(NamedTuple):
    """A batch of an epoch: its number in the epoch, and where its instances are."""

    epoch: int
    number: int
    pool: Pool
    indices: numpy.ndarray

    def rows(self) -> List[Instance]:
        """The instances."""
        return self.pool.rows(self.indices)


class Instances:
    """Stored instances.

    paths: Parquet files of instances, or folders of them.
    """

    def __init__(self, paths: Union[PathLike, Sequence[PathLike]]) -> None:
        self.groups: List[RowGroup] = []
        for path in map(str, parquet_files(paths)):
            metadata = pq.read_metadata(path)
            for number in range(metadata.num_row_groups):
                if rows := metadata.row_group(number).num_rows:
                    self.groups.append(RowGroup(path, number, rows))

    def __len__(self) -> int:
        return sum(group.rows for group in self.groups)


class Sampler(Protocol):
    """The batches of an epoch, numbered, in the order of training: a pure function."""

    def __call__(self, instances: Instances, seed: int, epoch: int) -> Iterator[PlannedBatch]: ...


@dataclass(frozen=True)
class BucketSampler:
    """Shuffled batches of similar length.

    Row groups are shuffled and put together to pools; the instances of a pool are shuffled, put
    into batches of similar length, and the batches shuffled. So memory is that of a pool, and only
    the lengths are read of batches that others train on.

    batch_pieces (int): At most so many pieces a batch, padding included; a longer instance is a
        batch of its own.
    min_density (float): At least this share of them is no padding.
    pool (int): Instances that are shuffled together, at least.
    RAISES (ValueError): HE002, HE078 for values out of their ranges.
    """

    batch_pieces: int = 4096
    min_density: float = 0.9
    pool: int = 65536

    def __post_init__(self) -> None:
        check_count("batch_pieces", self.batch_pieces, 1)
        check_range("min_density", self.min_density, 0, 1)
        check_count("pool", self.pool, 1)

    def __call__(self, instances: Instances, seed: int, epoch: int) -> Iterator[PlannedBatch]:
        random = numpy.random.default_rng([seed, epoch])
        number = 0
        for pool in self._pools(instances, random.permutation(len(instances.groups))):
            shuffled = random.permutation(len(pool.lengths))
            buckets = length_buckets(pool.lengths[shuffled], self.min_density, self.batch_pieces)
            for place in random.permutation(len(buckets)):
                yield PlannedBatch(epoch, number, pool, shuffled[buckets[place]])
                number += 1

    def _pools(self, instances: Instances, order: numpy.ndarray) -> Iterator[Pool]:
        chosen: List[RowGroup] = []
        for index in order.tolist():
            chosen.append(instances.groups[index])
            if sum(group.rows for group in chosen) >= self.pool:
                yield Pool(chosen)
                chosen = []
        if chosen:
            yield Pool(chosen)


def make_bucket_sampler(
    batch_pieces: int = 4096, min_density: float = 0.9, pool: int = 65536
) -> BucketSampler:
    """Registered as ``spacy_hetner.BucketSampler.v1``; see BucketSampler."""
    return BucketSampler(batch_pieces, min_density, pool)


def steps_of(
    batches: Iterator[PlannedBatch], accumulate: int, start: int = 0
) -> Iterator[List[PlannedBatch]]:
    """The batches of each step of an epoch, from a step on; the last step may be smaller."""
    rest = islice(batches, start * accumulate, None)
    while step := list(islice(rest, accumulate)):
        yield step
