"""What a job is made of: shards of its input, and a task that turns each into rows."""

from collections import Counter, defaultdict
from typing import Dict, Iterable, Iterator, NamedTuple, Protocol

import pyarrow as pa

Counts = Dict[str, Counter]
"""What was counted on the way, for example ``{"labels": ..., "dropped": ...}``; keys are text."""


class Shard(NamedTuple):
    """A piece of the input: what start and end count (row groups, bytes) is the task's affair."""

    name: str
    source: str
    start: int
    end: int


class Task(Protocol):
    """A pure function from a shard to rows: they depend on the shard and the task's settings only.

    It travels to other processes by pickling, as does what it holds: make it a frozen dataclass
    of settings, of a module that the processes can import, and let a cached function of that
    module load what is heavy, once a process.

    While it runs it adds to the counts, which it finds empty.
    """

    @property
    def schema(self) -> pa.Schema: ...

    def __call__(self, shard: Shard, counts: Counts) -> Iterator[pa.RecordBatch]: ...


def new_counts() -> Counts:
    """Counts in which every counter is there when it is asked for."""
    return defaultdict(Counter)


def merge_counts(parts: Iterable[Counts]) -> Counts:
    """The sum of counts; names stand in the order in which they first occur."""
    total = new_counts()
    for part in parts:
        for name, counter in part.items():
            total[name].update(counter)
    return dict(total)
