"""Redirects: which page a link leads to in the end.

Some ten million of them in the English Wikipedia: an array of title hashes, and the titles of the
pages that they lead to, in one Arrow file that is mapped into memory and shared by processes.
"""

from collections import Counter
from typing import Iterable, Iterator, List, Sequence, Tuple, Union

import numpy
import pyarrow as pa
import pyarrow.compute as pc

from ..engine.tables import parquet_shards, read_shard
from ..errors import Errors
from ..files import replacing
from ..types import PathLike
from ..validation import check_count
from .title_hash import find_keys, hash_titles

CIRCULAR = "redirect that leads round in a circle"
TOO_LONG = "redirect over too many redirects"
REPEATED = "title that redirects a second time"

_SCHEMA = pa.schema([("key", pa.uint64()), ("target", pa.large_string())])

TitlePairs = Tuple[Sequence[str], Sequence[str]]
"""Normalised titles of redirect pages, and of the pages that each names."""


class Redirects:
    """Where titles lead to. A title that redirects nowhere leads to itself.

    keys: uint64 ``(n,)``, sorted: hashes of the titles that redirect;
    targets: large_string ``(n,)``: the pages at the end, which redirect no further.
    """

    def __init__(self, keys: numpy.ndarray, targets: pa.Array) -> None:
        self.keys = keys
        self.targets = targets

    def resolve(self, titles: Sequence[str]) -> List[str]:
        """The title that each of some normalised titles leads to."""
        places = find_keys(self.keys, hash_titles(titles)[:, 0])
        found = numpy.flatnonzero(places >= 0)
        resolved = list(titles)
        targets = self.targets.take(pa.array(places[found])).to_pylist()
        for index, target in zip(found.tolist(), targets, strict=True):
            resolved[index] = target
        return resolved

    def __len__(self) -> int:
        return len(self.keys)

    def to_disk(self, path: PathLike) -> None:
        """Write an Arrow file. Raises ValueError (HE081) if it cannot be written."""
        batch = pa.RecordBatch.from_arrays([pa.array(self.keys), self.targets], schema=_SCHEMA)
        with replacing(path) as partial, pa.ipc.new_file(partial, _SCHEMA) as file:
            file.write_batch(batch)

    @classmethod
    def from_disk(cls, path: PathLike) -> "Redirects":
        """Map a file of ``to_disk`` into memory. Raises ValueError (HE162) if it is none."""
        try:
            with pa.memory_map(str(path)) as file:
                batch = pa.ipc.open_file(file).get_batch(0)
            return cls(batch["key"].to_numpy(), batch["target"])
        except (OSError, KeyError, pa.ArrowException) as error:
            raise ValueError(
                Errors.HE162.format(path=path, what="table of redirects", reason=error)
            ) from error


def build_redirects(
    pairs: Iterable[TitlePairs], *, max_steps: int = 8
) -> Tuple[Redirects, "Counter[str]"]:
    """Follow redirects to their ends.

    pairs (Iterable[TitlePairs]): Batches. If a title comes twice, its first target counts.
    max_steps (int): Longest chain that is followed. Those of more redirects are left out, as are
        those that run into a circle: such titles lead to themselves.
    RETURNS: The table, and what was left out, by cause.

    Raises ValueError (HE078) for max_steps below 1.
    """
    check_count("max_steps", max_steps, 1)
    keys, following, targets, dropped = _sorted_table(pairs)
    last = _follow(numpy.arange(len(keys)), following, max_steps - 1)
    unfinished = following[last] >= 0
    circular = numpy.zeros_like(unfinished)
    if unfinished.any():
        circular[unfinished] = _is_circular(last[unfinished], following)
    dropped += Counter({CIRCULAR: int(circular.sum())})
    dropped += Counter({TOO_LONG: int((unfinished & ~circular).sum())})
    ends = targets.take(pa.array(last[~unfinished]))
    return Redirects(keys[~unfinished], ends), dropped


def read_redirects(pages: Union[PathLike, Sequence[PathLike]]) -> Iterator[TitlePairs]:
    """Stream the redirects among pages: Parquet files with the columns title and redirect.

    Raises ValueError as ``engine.tables.parquet_shards`` and ``read_shard`` do.
    """
    for shard in parquet_shards(pages):
        for batch in read_shard(shard, ["title", "redirect"]):
            found = batch.filter(pc.is_valid(batch["redirect"]))
            yield found["title"].to_pylist(), found["redirect"].to_pylist()


def _sorted_table(
    pairs: Iterable[TitlePairs],
) -> Tuple[numpy.ndarray, numpy.ndarray, pa.Array, "Counter[str]"]:
    """Keys of the titles, the row each leads to (-1: to a page), the targets; and losses."""
    keys, onward = [numpy.zeros(0, "uint64")], [numpy.zeros(0, "uint64")]
    targets: List[pa.Array] = [pa.array([], pa.large_string())]
    for titles, leads_to in pairs:
        keys.append(hash_titles(titles)[:, 0])
        onward.append(hash_titles(leads_to)[:, 0])
        targets.append(pa.array(leads_to, pa.large_string()))
    every_key = numpy.concatenate(keys)
    unique, first = numpy.unique(every_key, return_index=True)
    repeated = Counter({REPEATED: len(every_key) - len(unique)})
    following = find_keys(unique, numpy.concatenate(onward)[first])
    return unique, following, pa.concat_arrays(targets).take(pa.array(first)), +repeated


def _follow(rows: numpy.ndarray, following: numpy.ndarray, steps: int) -> numpy.ndarray:
    """The row that each row leads to after so many steps, or before if it ends there."""
    for _ in range(steps):
        onward = following[rows]
        if not (onward >= 0).any():
            break
        rows = numpy.where(onward >= 0, onward, rows)
    return rows


def _is_circular(rows: numpy.ndarray, following: numpy.ndarray) -> numpy.ndarray:
    """Whether rows never come to an end: whether they still go on after as many steps as there
    are rows. The steps are doubled each time.
    """
    jump = numpy.where(following >= 0, following, numpy.arange(len(following)))
    for _ in range(len(following).bit_length()):
        jump = jump[jump]
    return following[jump[rows]] >= 0
