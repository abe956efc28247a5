"""The type of every page by the hash of its title, redirects included: 10 bytes a title.

A folder of two sorted arrays, mapped into memory and so shared by all processes of a machine:
``keys.npy`` (uint64, hashes of titles) and ``types.npy`` (uint16), with the names of the types in
``types.json``. It is built on disk, bucket by bucket, so that memory does not grow with the number
of entities.
"""

import json
from collections import Counter
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Callable, Iterable, Iterator, NamedTuple, Optional, Sequence, Tuple

import numpy
import pyarrow as pa
from numpy.lib import format as npy

from ..errors import Errors
from ..files import replacing
from ..types import PathLike
from .redirects import Redirects
from .title_hash import find_keys, hash_titles

KEYS, TYPES, NAMES = "keys.npy", "types.npy", "types.json"
MAX_TYPES = 2**16

ENTITIES = "entities"
REDIRECTS = "redirects"
UNTYPED_TARGET = "redirects to pages without a type"
COLLIDING = "titles that share a hash"

_KEY, _TYPE = numpy.dtype("<u8"), numpy.dtype("<u2")
_ENTRY = numpy.dtype([("key", _KEY), ("check", _KEY), ("type", _TYPE)])
_BUCKETS = 64
_EDGES = (numpy.arange(1, _BUCKETS, dtype="uint64") << numpy.uint64(58)).astype(_KEY)
_NONE = Redirects(numpy.zeros(0, _KEY), pa.array([], pa.large_string()))


class _Table(NamedTuple):
    """keys: uint64 ``(n,)``, sorted, none twice; types: uint16 ``(n,)``."""

    keys: numpy.ndarray
    types: numpy.ndarray


class TypeIndex:
    """Which type the page of a title has.

    keys: uint64 ``(n,)``, sorted; types: uint16 ``(n,)``; names: what the types are called.
    """

    def __init__(self, keys: numpy.ndarray, types: numpy.ndarray, names: Sequence[str]) -> None:
        self.keys = keys
        self.types = types
        self.names = list(names)

    def find(self, titles: Sequence[str]) -> numpy.ndarray:
        """Types of normalised titles as places in ``names``: int64 ``(n,)``, -1 if not known."""
        places = find_keys(self.keys, hash_titles(titles)[:, 0])
        found = places >= 0
        places[found] = self.types[places[found]]
        return places

    def get(self, title: str) -> Optional[str]:
        """The name of the type of a normalised title, or None."""
        number = int(self.find([title])[0])
        return None if number < 0 else self.names[number]

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def from_disk(cls, folder: PathLike) -> "TypeIndex":
        """Map an index into memory. Raises ValueError (HE162) for a folder that is none."""
        try:
            names = json.loads((Path(folder) / NAMES).read_text(encoding="utf8"))["types"]
            return cls(*_read(Path(folder)), names)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ValueError(
                Errors.HE162.format(path=folder, what="type index", reason=error)
            ) from error


def build_type_index(
    typed: Iterable[Tuple[Sequence[str], numpy.ndarray]],
    names: Sequence[str],
    folder: PathLike,
    *,
    redirects: Optional[Redirects] = None,
) -> "Counter[str]":
    """Write an index.

    typed: Batches of normalised titles and the numbers of their types. Of several types of one
        title the largest number counts: with ``Ontology.by_depth`` as names, the most specific.
    names (Sequence[str]): What the types are called.
    redirects (Optional[Redirects]): Titles that get the type of the page they lead to, unless they
        have a type of their own.
    RETURNS (Counter): Entities, redirects and titles in the index, redirects to pages without a
        type, and titles that share a hash by chance (the larger type number counts for both).

    Raises ValueError for too many types (HE163), if no title has one (HE166), and if the folder
    cannot be written (HE081).
    """
    if len(names) > MAX_TYPES:
        raise ValueError(Errors.HE163.format(limit=MAX_TYPES, count=len(names)))
    folder = Path(folder)
    counts: Counter[str] = Counter()
    # The names come last: without them there is no index, wherever this is cut off.
    with replacing(folder / NAMES) as partial:
        (folder / NAMES).unlink(missing_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".building-") as scratch:
            entities = _sort_entities(typed, Path(scratch), counts)
            if not len(entities.keys):
                raise ValueError(Errors.HE166.format(folder=folder))
            _write(folder, _with_redirects(entities, redirects or _NONE, counts))
            del entities  # a system may refuse to remove a file that is mapped
        partial.write_text(json.dumps({"types": list(names), "counts": counts}), encoding="utf8")
    return counts


def _sort_entities(
    typed: Iterable[Tuple[Sequence[str], numpy.ndarray]], scratch: Path, counts: "Counter[str]"
) -> _Table:
    """Sort on disk: entries go to the file of their bucket, and each bucket fits in memory."""
    with ExitStack() as stack:
        buckets = [
            stack.enter_context((scratch / f"bucket-{number}").open("wb+"))
            for number in range(_BUCKETS)
        ]
        for titles, types in typed:
            entries = numpy.empty(len(titles), _ENTRY)
            entries["key"], entries["check"] = hash_titles(titles).T
            entries["type"] = types
            entries = entries[numpy.argsort(entries["key"])]
            edges = numpy.searchsorted(entries["key"], _EDGES)
            for file, part in zip(buckets, numpy.split(entries, edges), strict=True):
                part.tofile(file)
        _write(scratch, (_one_type_each(file, counts) for file in buckets))
    return _read(scratch)


def _one_type_each(bucket: IO[bytes], counts: "Counter[str]") -> _Table:
    """The entries of a bucket, sorted, of each key the largest type."""
    bucket.seek(0)
    entries = numpy.fromfile(bucket, _ENTRY)
    entries = entries[numpy.lexsort((entries["check"], entries["key"]))]
    key, check = entries["key"], entries["check"]
    new_key = numpy.diff(key, prepend=~key[:1]) != 0
    starts = numpy.flatnonzero(new_key)
    counts[COLLIDING] += int(((numpy.diff(check, prepend=check[:1]) != 0) & ~new_key).sum())
    counts[ENTITIES] += len(starts)
    types = numpy.maximum.reduceat(entries["type"], starts) if len(starts) else entries["type"]
    return _Table(key[starts], types)


def _with_redirects(
    entities: _Table, redirects: Redirects, counts: "Counter[str]"
) -> Iterator[_Table]:
    """Merge in the redirects, bucket by bucket."""
    for own, others in zip(_cuts(entities.keys), _cuts(redirects.keys), strict=True):
        keys, types = entities.keys[own], entities.types[own]
        new = find_keys(keys, redirects.keys[others]) < 0
        targets = redirects.targets.take(numpy.arange(others.start, others.stop)[new])
        places = find_keys(entities.keys, hash_titles(targets.to_pylist())[:, 0])
        typed = places >= 0
        counts[UNTYPED_TARGET] += int((~typed).sum())
        counts[REDIRECTS] += int(typed.sum())
        keys = numpy.concatenate([keys, redirects.keys[others][new][typed]])
        types = numpy.concatenate([types, entities.types[places[typed]]])
        order = numpy.argsort(keys)
        yield _Table(keys[order], types[order])


def _cuts(keys: numpy.ndarray) -> Iterator[slice]:
    """Where each bucket lies in sorted keys."""
    edges = [0, *numpy.searchsorted(keys, _EDGES).tolist(), len(keys)]
    return (slice(start, end) for start, end in pairwise(edges))


def _read(folder: Path) -> _Table:
    """Map arrays into memory. Raises what numpy does, and TypeError for arrays that do not fit."""
    keys, types = (
        numpy.asarray(numpy.load(folder / name, mmap_mode="r", allow_pickle=False))
        for name in (KEYS, TYPES)
    )
    if (keys.dtype, types.dtype, keys.shape) != (_KEY, _TYPE, types.shape):
        raise TypeError(f"{keys.shape} keys ({keys.dtype}), {types.shape} types ({types.dtype})")
    return _Table(keys, types)


def _write(folder: Path, parts: Iterable[_Table]) -> None:
    with (
        replacing(folder / KEYS) as keys_path,
        replacing(folder / TYPES) as types_path,
        _growing(keys_path, _KEY) as keys,
        _growing(types_path, _TYPE) as types,
    ):
        for part in parts:
            keys(part.keys)
            types(part.types)


@contextmanager
def _growing(path: Path, dtype: numpy.dtype) -> Iterator[Callable[[numpy.ndarray], None]]:
    """A ``.npy`` file of one dimension, and how to append to it.

    numpy leaves room in the header, so that the length can be set when it is known.
    """
    length = 0

    def write_header() -> None:
        header = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
        npy.write_array_header_1_0(file, header)

    def append(values: numpy.ndarray) -> None:
        nonlocal length
        values.astype(dtype, copy=False).tofile(file)
        length += len(values)

    with path.open("wb") as file:
        write_header()
        yield append
        file.seek(0)
        write_header()
