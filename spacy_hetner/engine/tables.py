"""Parquet files as input of jobs: cut into shards, read, and compared."""

import hashlib
import json
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import Errors
from ..sources import find_files
from ..types import PathLike
from ..validation import check_count
from .folder import JOB, part_files
from .task import Shard
from .work import ROW_GROUP

_DIGEST_BYTES = 16
_HASHED_WHOLE, _END = 2**26, 2**16


def parquet_files(paths: Union[PathLike, Sequence[PathLike]]) -> List[Path]:
    """The Parquet files of paths: files as they are, folders of finished jobs, other folders.

    Raises ValueError for what is not there (HE075) and for a job that is not finished (HE130).
    """
    given = [paths] if isinstance(paths, (str, Path)) else paths
    files: List[Path] = []
    for path in map(Path, given):
        job = (path / JOB).exists()
        files += part_files(path) if job else find_files([path], [".parquet"])
    return files


def parquet_shards(
    paths: Union[PathLike, Sequence[PathLike]], *, row_groups: int = 8
) -> List[Shard]:
    """Cut Parquet files into shards of some row groups each, for ``read_shard``.

    paths: See ``parquet_files``.
    row_groups (int): At most so many a shard; a shard never reaches over the end of a file.
    RETURNS (List[Shard]): Named by number; start and end count row groups.

    Raises ValueError for what is not there (HE075), an unfinished job (HE130), what is no Parquet
    (HE129) and row_groups < 1 (HE078).
    """
    step = check_count("row_groups", row_groups, 1)
    pieces = []
    for path in parquet_files(paths):
        with _readable(path):
            total = pq.read_metadata(path).num_row_groups
        source = str(path.absolute())  # processes elsewhere start in folders of their own
        pieces += [(source, start, min(start + step, total)) for start in range(0, total, step)]
    width = max(5, len(str(len(pieces))))
    return [Shard(f"{number:0{width}d}", *piece) for number, piece in enumerate(pieces)]


def read_shard(shard: Shard, columns: Optional[Sequence[str]] = None) -> Iterator[pa.RecordBatch]:
    """Stream the rows of a shard of ``parquet_shards``, all columns or some.

    Raises ValueError (HE129) for what is no Parquet, is damaged or lacks a column.
    """
    return _read(Path(shard.source), columns, range(shard.start, shard.end))


def first_row(shard: Shard) -> int:
    """How many rows of its file stand before a shard of ``parquet_shards``.

    Raises ValueError (HE129) for what is no Parquet.
    """
    with _readable(Path(shard.source)):
        metadata = pq.read_metadata(shard.source)
        return sum(metadata.row_group(group).num_rows for group in range(shard.start))


def digest(
    paths: Union[PathLike, Sequence[PathLike]], columns: Optional[Sequence[str]] = None
) -> str:
    """A fingerprint of the rows of Parquet files, whatever their order and their files.

    Equal for equal multisets of rows: the sum of a hash of each. Columns count by name, not by
    order, and values as they are in Python, so that int32 and int64 do not differ.

    paths: See ``parquet_files``.
    columns (Optional[Sequence[str]]): Leave out others.
    RETURNS (str): 32 hexadecimal digits.

    Raises ValueError for what is not there (HE075), an unfinished job (HE130) and what is no
    Parquet, is damaged or lacks a column (HE129).
    """
    total = 0
    for path in parquet_files(paths):
        for batch in _read(path, columns):
            names = sorted(batch.schema.names)
            start = hashlib.blake2b(_canonical(names), digest_size=_DIGEST_BYTES)
            values = (batch.column(name).to_pylist() for name in names)
            for row in zip(*values, strict=True):
                hashed = start.copy()
                hashed.update(_canonical(row))
                total += int.from_bytes(hashed.digest(), "big")
    return f"{total % 2 ** (8 * _DIGEST_BYTES):0{2 * _DIGEST_BYTES}x}"


def identify(paths: Union[PathLike, Sequence[PathLike]]) -> List[Dict[str, Any]]:
    """What tells files from others, for the key of a job: names, sizes and a hash of the content.

    Of a file of more than 64 MB, such as a dump, only both ends are read; the time at which it was
    last written stands for what lies between.

    Raises ValueError (HE075) for what is not there.
    """
    given = [paths] if isinstance(paths, (str, Path)) else paths
    return [_identify(path) for path in find_files(given)]


def describe_content(paths: Sequence[PathLike]) -> List[Dict[str, Any]]:
    """As ``identify``, without what changes when files are copied."""
    found = identify(paths)
    return [{key: value for key, value in file.items() if key != "written"} for file in found]


def _identify(path: Path) -> Dict[str, Any]:
    status = path.stat()
    found: Dict[str, Any] = {"name": path.name, "bytes": status.st_size}
    with path.open("rb") as file:
        if status.st_size <= _HASHED_WHOLE:
            hashed = hashlib.blake2b(file.read(), digest_size=_DIGEST_BYTES)
        else:
            hashed = hashlib.blake2b(file.read(_END), digest_size=_DIGEST_BYTES)
            file.seek(status.st_size - _END)
            hashed.update(file.read(_END))
            found["written"] = status.st_mtime_ns
    return {**found, "hash": hashed.hexdigest()}


def _read(
    path: Path, columns: Optional[Sequence[str]], groups: Optional[Sequence[int]] = None
) -> Iterator[pa.RecordBatch]:
    with _readable(path):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        missing = set(columns or ()) - set(file.schema_arrow.names)
        if missing:
            reason = f"columns {', '.join(sorted(missing))} are missing"
            raise ValueError(Errors.HE129.format(path=path, reason=reason))
        for group in range(file.num_row_groups) if groups is None else groups:
            # One by one, since batches could hold rows of several, and with them all their memory.
            # One thread: processes are what runs side by side here.
            batches = file.iter_batches(ROW_GROUP, [group], columns, use_threads=False)
            while True:
                with _readable(path):
                    batch = next(batches, None)
                if batch is None:
                    break
                yield batch


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong in reading a file into HE129."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(Errors.HE129.format(path=path, reason=error)) from error


def _canonical(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":"), default=_plain).encode("ascii")


def _plain(value: Any) -> Any:
    """Bytes, dates and decimals, which JSON does not know."""
    return {type(value).__name__: value.hex() if isinstance(value, bytes) else str(value)}
