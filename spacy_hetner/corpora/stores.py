"""Stores of records: Parquet for work, DocBin for ``spacy train`` and everything else of spaCy.

Parquet is written and read as a stream. DocBin is a good hundred times slower, because spaCy packs
the span groups of each Doc on their own, and it is held in memory as a whole.
"""

import json
import zlib
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Union,
)

import numpy
import pyarrow as pa
import pyarrow.parquet as pq
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from ..errors import Errors
from ..files import replacing
from ..sources import find_files
from ..types import LabelledSpan, PathLike
from .records import SPANS_KEY, Record, doc_to_record, record_to_doc

SCHEMA = pa.schema(
    [
        pa.field("tokens", pa.list_(pa.string()), nullable=False),
        pa.field("spaces", pa.list_(pa.bool_())),
        pa.field("starts", pa.list_(pa.int32()), nullable=False),
        pa.field("ends", pa.list_(pa.int32()), nullable=False),
        pa.field("labels", pa.list_(pa.string()), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("meta", pa.string()),
    ]
)
ROW_GROUP = 8192


class Store(NamedTuple):
    """A way to keep records: how they are written and read."""

    write: Callable[[Iterable[Record], PathLike], int]
    read: Callable[[PathLike], Iterator[Record]]


def write_parquet(records: Iterable[Record], path: PathLike) -> int:
    """Write records as Parquet (zstd, with checksums), row group by row group.

    The file appears under its name when it is complete, or not at all.

    RETURNS (int): How many records were written.

    Raises ValueError (HE081) if the file cannot be written.
    """
    count = 0
    rest = iter(records)
    with (
        replacing(path) as partial,
        pq.ParquetWriter(partial, SCHEMA, compression="zstd", write_page_checksum=True) as file,
    ):
        while batch := list(islice(rest, ROW_GROUP)):
            file.write_batch(to_batch(batch), row_group_size=ROW_GROUP)
            count += len(batch)
    return count


def read_parquet(
    path: PathLike, *, rng: Optional[numpy.random.Generator] = None
) -> Iterator[Record]:
    """Stream the records of a Parquet file.

    rng (Optional[numpy.random.Generator]): Shuffle the row groups, and the records within each.

    Raises ValueError (HE079) for a file that is no record store, or a damaged one.
    """
    with _readable(path):
        file = pq.ParquetFile(path, page_checksum_verification=True)
    with file:
        missing = [name for name in SCHEMA.names if name not in file.schema_arrow.names]
        if missing:
            reason = f"columns {', '.join(missing)} are missing"
            raise ValueError(Errors.HE079.format(path=path, reason=reason))
        groups = numpy.arange(file.num_row_groups)
        if rng is not None:
            rng.shuffle(groups)
        for group in groups:
            with _readable(path):
                table = file.read_row_group(int(group), columns=SCHEMA.names)
            if rng is not None:
                table = table.take(rng.permutation(len(table)))
            yield from from_table(table)


def write_docbin(records: Iterable[Record], path: PathLike, *, spans_key: str = SPANS_KEY) -> int:
    """Write records as a DocBin, see ``record_to_doc``. Otherwise as ``write_parquet``."""
    vocab = Vocab()
    docs = DocBin(attrs=["ENT_IOB", "ENT_TYPE"], store_user_data=True)
    for record in records:
        docs.add(record_to_doc(record, vocab, spans_key))
    with replacing(path) as partial:
        docs.to_disk(partial)
    return len(docs)


def read_docbin(path: PathLike, *, spans_key: str = SPANS_KEY) -> Iterator[Record]:
    """Stream the records of a DocBin. Raises ValueError (HE079) for a file that is none."""
    with _readable(path):
        docs = DocBin().from_disk(path)
    return (doc_to_record(doc, spans_key) for doc in docs.get_docs(Vocab()))


STORES: Dict[str, Store] = {
    ".parquet": Store(write_parquet, read_parquet),
    ".spacy": Store(write_docbin, read_docbin),
}
"""By the suffix of their files."""


def store_of(path: PathLike) -> Store:
    """The kind of store that a file is, by its suffix. Raises ValueError (HE077) if it has none."""
    store = STORES.get(Path(path).suffix)
    if store is None:
        raise ValueError(Errors.HE077.format(path=path))
    return store


def read_stores(
    paths: Sequence[PathLike],
    *,
    spans_key: str = SPANS_KEY,
    rng: Optional[numpy.random.Generator] = None,
) -> Iterator[Record]:
    """Stream the records of files, or of the stores in folders.

    spans_key (str): The span group of a DocBin's docs; Parquet holds one set of spans.
    rng (Optional[numpy.random.Generator]): Shuffle, see ``read_parquet``; a DocBin, which is in
        memory anyway, as a whole.

    Raises ValueError for paths without stores (HE075, HE077), files that are none (HE079) and docs
    of other span groups (HE084).
    """
    files = find_files(paths, list(STORES))
    if rng is not None:
        rng.shuffle(files)  # type: ignore[arg-type]
    for file in files:
        if store_of(file).read is read_parquet:
            yield from read_parquet(file, rng=rng)
        elif rng is None:
            yield from read_docbin(file, spans_key=spans_key)
        else:
            records = list(read_docbin(file, spans_key=spans_key))
            yield from (records[index] for index in rng.permutation(len(records)))


@contextmanager
def _readable(path: PathLike) -> Iterator[None]:
    """Turn what goes wrong in reading a store into HE079."""
    try:
        yield
    except (pa.ArrowException, zlib.error, OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(Errors.HE079.format(path=path, reason=error)) from error


def to_batch(records: Sequence[Record]) -> pa.RecordBatch:
    """Records as columns, with the schema ``SCHEMA``."""
    columns: Dict[str, List[Any]] = {
        "tokens": [record.tokens for record in records],
        "spaces": [record.spaces for record in records],
        "starts": [[span.start for span in record.spans] for record in records],
        "ends": [[span.end for span in record.spans] for record in records],
        "labels": [[span.label for span in record.spans] for record in records],
        "id": [record.id for record in records],
        "doc_id": [record.doc_id for record in records],
        "meta": [
            json.dumps(record.meta, ensure_ascii=False) if record.meta else None
            for record in records
        ],
    }
    return pa.RecordBatch.from_pydict(columns, schema=SCHEMA)


def from_table(table: Union[pa.Table, pa.RecordBatch]) -> Iterator[Record]:
    """The inverse of ``to_batch``."""
    columns = table.to_pydict()
    for row in zip(*(columns[name] for name in SCHEMA.names), strict=True):
        tokens, spaces, starts, ends, labels, identity, doc_id, meta = row
        spans = list(map(LabelledSpan, starts, ends, labels))
        yield Record(tokens, spans, spaces, identity, doc_id, json.loads(meta) if meta else {})
